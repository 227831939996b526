"""Where labels go so that they do not lie on each other, in time that grows with their number.

supervision pushes overlapping labels apart pair by pair, again and again, which takes seconds for some hundreds. Here each
label takes the nearest free place of a few, and a picture of the pixels that are taken says at once which are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

Rectangle = tuple[int, int, int, int]

_STEPS: Final = ((0, 0), (0, -1), (0, 1), (0, -2), (0, 2), (1, 0), (-1, 0), (0, -3), (0, 3))
"""Places to try, in widths and heights of the label: up and down first, where a label still stands beside its box."""
_CROWDED: Final = 0.5
"""The share of the image that labels may cover."""
_GAP: Final = 1
"""Pixels between labels."""


def spread(boxes: Any, size: tuple[int, int]) -> Any:
    """Labels within an image, moved so that they do not overlap; one that finds no free place stays where it was.

    Where labels would cover half the image, all of them stay: there is nowhere to go.

    Args:
        boxes: `[n, 4]`, the rectangles of the labels in whole pixels, the first the most important.
        size: width and height of the image.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    if sides.prod(axis=1).sum() > _CROWDED * size[0] * size[1]:
        return boxes
    taken = np.zeros((size[1], size[0]), dtype=bool)
    placed = []
    for box in boxes.astype(int).tolist():
        wanted = _inside(box, size)
        place = next((near for near in _near(wanted, size) if not taken[_part(near)].any()), None)
        if place is not None:
            taken[_part(place)] = True
        placed.append(place or wanted)
    return np.array(placed, dtype=boxes.dtype).reshape(-1, 4)


def _part(box: Rectangle) -> tuple[slice, slice]:
    """The pixels of a rectangle, as an index."""
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _near(box: Rectangle, size: tuple[int, int]) -> Iterator[Rectangle]:
    left, top, right, bottom = box
    wide, high = right - left + _GAP, bottom - top + _GAP
    for across, down in _STEPS:
        yield _inside((left + across * wide, top + down * high, right + across * wide, bottom + down * high), size)


def _inside(box: Any, size: tuple[int, int]) -> Rectangle:
    """A rectangle moved into the image; one that is larger begins at its left or upper edge."""
    left, top, right, bottom = box
    x = max(0, min(left, size[0] - (right - left)))
    y = max(0, min(top, size[1] - (bottom - top)))
    return x, y, x + right - left, y + bottom - top
