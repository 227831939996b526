"""Where labels go so that they do not lie on each other, in time that grows with their number.

supervision pushes overlapping labels apart pair by pair, again and again, which takes seconds for some hundreds. Here each
label takes the nearest free place of a few, and a grid of the places that are taken says at once which labels are near.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

Rectangle = tuple[float, float, float, float]

_STEPS: Final = ((0, 0), (0, -1), (0, 1), (0, -2), (0, 2), (1, 0), (-1, 0), (0, -3), (0, 3), (1, -1), (1, 1), (0, -4), (0, 4))
"""Places to try, in widths and heights of the label: up and down first, where a label still stands beside its box."""
_GAP: Final = 1
"""Pixels between labels."""


def spread(boxes: Any, size: tuple[int, int]) -> Any:
    """Labels within an image, moved so that they do not overlap; one that finds no free place stays where it was.

    Args:
        boxes: `[n, 4]`, the rectangles of the labels in pixels, the first the most important.
        size: width and height of the image.
    """
    if not len(boxes):
        return boxes
    sides = np.maximum(np.median(boxes[:, 2:] - boxes[:, :2], axis=0), 1).tolist()
    taken = _Taken(sides[0], sides[1])
    placed = []
    for box in boxes.tolist():
        wanted = _inside(box, size)
        free = next((place for place in _near(wanted, size) if taken.is_free(place)), None)
        if free is not None:
            taken.add(free)
        placed.append(free or wanted)
    return np.array(placed, dtype=boxes.dtype)


def _near(box: Rectangle, size: tuple[int, int]) -> Iterator[Rectangle]:
    left, top, right, bottom = box
    wide, high = right - left + _GAP, bottom - top + _GAP
    for across, down in _STEPS:
        yield _inside((left + across * wide, top + down * high, right + across * wide, bottom + down * high), size)


def _inside(box: Any, size: tuple[int, int]) -> Rectangle:
    """A rectangle moved into the image; one that is larger begins at its left or upper edge."""
    left, top, right, bottom = box
    x = max(0.0, min(left, size[0] - (right - left)))
    y = max(0.0, min(top, size[1] - (bottom - top)))
    return x, y, x + right - left, y + bottom - top


class _Taken:
    """The places that are taken, found by the cells of a grid that they lie in."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._cells: dict[tuple[int, int], list[Rectangle]] = defaultdict(list)

    def add(self, box: Rectangle) -> None:
        """Take a place."""
        for cell in self._covered(box):
            self._cells[cell].append(box)

    def is_free(self, box: Rectangle) -> bool:
        """Whether nothing lies in a place."""
        left, top, right, bottom = box
        for cell in self._covered(box):
            for other in self._cells.get(cell, ()):
                if left < other[2] and other[0] < right and top < other[3] and other[1] < bottom:
                    return False
        return True

    def _covered(self, box: Rectangle) -> Iterator[tuple[int, int]]:
        for column in range(int(box[0] // self._width), int(box[2] // self._width) + 1):
            for row in range(int(box[1] // self._height), int(box[3] // self._height) + 1):
                yield column, row
