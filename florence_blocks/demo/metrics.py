"""Measures of the evaluation, on plain boxes, masks and texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from florence_blocks.demo.scenes import Box

HIT_IOU = 0.5


class Tally:
    """Hits out of tries."""

    def __init__(self) -> None:
        self.hits = 0.0
        self.tries = 0

    def add(self, hits: float, tries: int = 1) -> None:
        """Count so many hits in so many tries."""
        self.hits += hits
        self.tries += tries

    @property
    def share(self) -> float:
        """Hits per try; NaN before the first."""
        return self.hits / self.tries if self.tries else float("nan")


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (sum(areas) - both)


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; two empty ones are equal."""
    union = int((one | other).sum())
    return float((one & other).sum()) / union if union else 1.0


def matches(found: Sequence[tuple[str, Box]], wanted: Sequence[tuple[str, Box]]) -> list[float]:
    """The IoU of every wanted thing that is found: same label, IoU at least 0.5, each found thing used once."""
    pairs = [
        (iou(box, other), index, place)
        for index, (label, box) in enumerate(wanted)
        for place, (name, other) in enumerate(found)
        if label == name
    ]
    used: set[int] = set()
    done: dict[int, float] = {}
    for overlap, index, place in sorted(pairs, reverse=True):
        if overlap >= HIT_IOU and index not in done and place not in used:
            used.add(place)
            done[index] = overlap
    return list(done.values())
