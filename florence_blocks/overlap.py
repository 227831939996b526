"""How well outlines are expected to overlap the thing they stand for.

Three things can be wrong with an outline, and the model's own probabilities tell of each:

- It is around something else. That is decided at its first corner, which the others follow: what counts is the mass within a
  tolerance around that corner, a share of the sides of the outline.
- Its corners are a little off. A corner that moves sweeps a triangle over each of its two edges; one that slides along a
  straight line sweeps nothing, however far. Swept area over the area of the outline is what the overlap loses.
- It ends too early or too late: the probability of the token that closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from florence_blocks.evidence import NEAR, deviations, within
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

TOLERANCE: Final = 0.15
"""How far the first corner may be off on either axis, as a share of the side of the outline.

A box that is off by so much on both axes still overlaps its place by more than a half.
"""


@dataclass(frozen=True)
class Outline:
    """A polygon, and what the model gave it.

    Attributes:
        corners: `[corners, 2]`, x and y in bins.
        near: of every coordinate the bins around it, `[corners, 2, 2 * NEAR + 1]`.
        closing: the probability that it ends where it does.
    """

    corners: NDArray[np.float64]
    near: NDArray[np.float32]
    closing: float


def expected_overlap(outlines: Sequence[Outline]) -> float:
    """The overlap (intersection over union) to expect of some outlines of one thing, from 0 to 1.

    Each outline counts by its area; without any area there is no overlap. What corners sweep is taken as lying outside of the
    outline, so that the overlap is 1 / (1 + swept area / area).
    """
    areas = np.array([_area(outline.corners) for outline in outlines])
    total = float(areas.sum())
    if not total > 0:
        return 0.0
    there = np.array([_is_there(outline) * outline.closing for outline in outlines])
    swept = sum(_swept(outline) for outline in outlines)
    return float(areas @ there) / total / (1 + swept / total)


def _area(corners: NDArray[np.float64]) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _is_there(outline: Outline) -> float:
    """The probability that the first corner is within the tolerance on both axes."""
    sides = np.ptp(outline.corners, axis=0)
    found = 1.0
    for side, near in zip(sides, outline.near[0], strict=True):
        found *= within(near, min(max(round(TOLERANCE * float(side)), 2), NEAR))
    return found


def _swept(outline: Outline) -> float:
    """The area that the corners are expected to sweep, in square bins."""
    off = deviations(outline.near)
    into = outline.corners - np.roll(outline.corners, 1, axis=0)
    swept = 0.0
    for edges in (into, np.roll(into, -1, axis=0)):
        swept += float(np.hypot(off[:, 0] * edges[:, 1], off[:, 1] * edges[:, 0]).sum()) / 2
    return swept
