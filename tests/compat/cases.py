"""Definitions for both runtimes, two or more per block, with nested batches, gates and empties."""

from __future__ import annotations

from tests.compat.suites import (
    answers,
    classical,
    classifications,
    crops,
    depth,
    detections,
    drawings,
    fusion,
    odd,
    pixels,
    queries,
    times,
    values,
)

_SUITES = (answers, classical, classifications, times, crops, detections, fusion, values, pixels, drawings, queries, odd, depth)

CASES = tuple(case for suite in _SUITES for case in suite.CASES)
