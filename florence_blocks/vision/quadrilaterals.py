"""Quadrilaterals that are widened until certain points lie within them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from florence_blocks.vision.detection import select
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_EDGES: Final = (
    (3, 0, 0, ("BOTTOM_LEFT", "TOP_LEFT")),
    (1, 2, 0, ("BOTTOM_RIGHT", "TOP_RIGHT")),
    (2, 3, 1, ("BOTTOM_RIGHT", "BOTTOM_LEFT")),
    (0, 1, 1, ("TOP_RIGHT", "TOP_LEFT")),
)
"""Left, right, lower and upper edge: the corners it runs between, with the inside to its right; whether it makes the
quadrilateral wider (0) or higher (1); the corners of a box that must not lie beyond it."""


def widened(quad: NDArray[Any], found: sv.Detections, anchor: str) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """A quadrilateral whose edges are moved outwards, each parallel to itself, until the anchors of detections lie within.

    Args:
        quad: `[4, 2]`, clockwise from the corner at the upper left.
        found: the detections.
        anchor: the point of a detection that counts, such as BOTTOM_CENTER; ALL for the corners of its box.

    Returns:
        The quadrilateral, and by which share it has become wider and higher.

    Raises:
        ValueError: two edges that meet in a corner are parallel.
    """
    quad = np.asarray(quad, np.float64).copy()
    sides = [max(_length(quad, 0, 1), _length(quad, 2, 3)), max(_length(quad, 1, 2), _length(quad, 3, 0))]
    grown = [0.0, 0.0]
    for place in range(len(found)):
        one = select(found, [place])
        for start, end, axis, corners in _EDGES:
            for name in corners if anchor == "ALL" else (anchor,):
                (point,) = one.get_anchors_coordinates(getattr(sv.Position, name))
                grown[axis] += _moved_to(quad, start, end, point)
    return quad.astype(np.float32), (grown[0] / max(sides[0], 1), grown[1] / max(sides[1], 1))


def _length(quad: NDArray[Any], one: int, other: int) -> float:
    return float(np.hypot(*(quad[one] - quad[other])))


def _moved_to(quad: NDArray[Any], start: int, end: int, point: NDArray[Any]) -> float:
    """Move an edge outwards to a point that lies beyond it, in place; how far its first corner went."""
    way = quad[end] - quad[start]
    if way[0] * (point[1] - quad[start][1]) - way[1] * (point[0] - quad[start][0]) > 0:
        return 0.0
    inside = cv2.pointPolygonTest(quad.astype(np.float32), (float(point[0]), float(point[1])), measureDist=False) >= 0
    if inside:
        return 0.0
    before = quad[start].copy()
    fresh = [_crossing(quad[corner], quad[(corner + step) % 4] - quad[corner], point, way) for corner, step in
             ((start, -1), (end, 1))]  # fmt: skip
    quad[start], quad[end] = fresh
    return float(np.hypot(*(quad[start] - before)))


def _crossing(one: NDArray[Any], along: NDArray[Any], other: NDArray[Any], way: NDArray[Any]) -> NDArray[Any]:
    """Where a line through a point meets another one, in whole pixels."""
    across = along[0] * way[1] - along[1] * way[0]
    if abs(across) < 1e-9:
        raise ValueError("two edges of the quadrilateral are parallel where they should meet; four corners would fit")
    away = other - one
    share = (away[0] * way[1] - away[1] * way[0]) / across
    return np.asarray(np.rint(one + along * share))
