"""Lines that are crossed: which side of a line things are on, and where a text beside a line is legible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")

MOST_TRACKS: Final = 16_384
"""How many tracks a line remembers; those it has not seen for the longest time are forgotten first."""
_GAP: Final = 4
"""Pixels between a line and the text beside it, and around the text."""


class CountingLine:
    """A line that tracks cross; every track is remembered on the side where it was seen last, however long ago.

    Args:
        start: one end (x, y).
        end: the other one.
    """

    def __init__(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._start = np.array(start, float)
        self._way = np.array(end, float) - self._start
        if not self._way.any():
            raise ValueError("the line has no length; two different ends would fit")
        self._sides: dict[int, bool] = {}
        self.count_in = 0
        self.count_out = 0

    def cross(self, tracks: list[int], anchors: NDArray[Any]) -> tuple[list[int], list[int]]:
        """Count the things of one frame.

        A thing beyond an end of the line, or on both sides of it, is on no side yet.

        Args:
            tracks: the track of every thing; negative ones are none.
            anchors: points of every thing, `[points, things, 2]`; all of them must be on one side.

        Returns:
            The places of those that crossed to the left of who looks from the start to the end, and of those to the right.
        """
        crossed: tuple[list[int], list[int]] = ([], [])
        for place, (track, side) in enumerate(zip(tracks, self._sides_of(anchors), strict=True)):
            if side is None or track < 0:
                continue
            before = self._sides.pop(track, side)
            self._sides[track] = side
            if side != before:
                crossed[0 if side else 1].append(place)
        while len(self._sides) > MOST_TRACKS:
            del self._sides[next(iter(self._sides))]
        self.count_in += len(crossed[0])
        self.count_out += len(crossed[1])
        return crossed

    def _sides_of(self, anchors: NDArray[Any]) -> list[bool | None]:
        """Whether every thing is on the left of the line; None where it is on no side."""
        away = np.asarray(anchors, float) - self._start
        along = away @ self._way
        beside = ((along >= 0) & (along <= self._way @ self._way)).all(axis=0)
        left = self._way[0] * away[..., 1] - self._way[1] * away[..., 0] < 0
        clear = beside & (left.all(axis=0) | ~left.any(axis=0))
        return [bool(side) if certain else None for side, certain in zip(left.all(axis=0), clear, strict=True)]


def write_beside(
    canvas: NDArray[Any], line: tuple[tuple[int, int], tuple[int, int]], text: str, *, scale: float, thickness: int,
    colour: tuple[int, int, int],
) -> None:  # fmt: skip
    """Write a text beside a line, on a ground of its colour, within the picture; smaller where it would not fit.

    Args:
        canvas: the picture `[height, width, 3]`, changed in place.
        line: its two ends.
        text: what to write.
        scale: of OpenCV's letters.
        thickness: of their strokes.
        colour: of the ground, BGR.
    """
    height, width = canvas.shape[:2]
    (wide, high), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    share = min(1.0, (width - 2 * _GAP) / max(wide, 1), (height - 2 * _GAP) / max(high + base, 1))
    if share < 1:
        scale, thickness = scale * max(share, 0.05), max(1, int(thickness * share))
        (wide, high), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    box = (wide + 2 * _GAP, high + base + 2 * _GAP)
    left, top = _place(line, box, (width, height))
    cv2.rectangle(canvas, (left, top), (left + box[0] - 1, top + box[1] - 1), colour, cv2.FILLED)
    bright = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2] > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    foot = (left + _GAP, top + _GAP + high)
    cv2.putText(canvas, text, foot, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def _place(line: tuple[tuple[int, int], tuple[int, int]], box: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The upper left corner of a box beside a line: at its middle, else near an end, else wherever the picture has room."""
    ends = np.array(line, float)
    way = ends[1] - ends[0]
    normal = np.array([-way[1], way[0]]) / max(float(np.hypot(*way)), 1.0)
    reach = (abs(normal) @ np.array(box)) / 2 + _GAP
    room = np.maximum(np.array(size) - np.array(box), 0)
    corners = [
        np.clip(np.rint(ends[0] + way * share + normal * side * reach - np.array(box) / 2), 0, room).astype(int)
        for share in (0.5, 0.25, 0.75, 0.0, 1.0)
        for side in (-1, 1)
    ]
    free = (corner for corner in corners if not cv2.clipLine((*corner.tolist(), *box), *line)[0])
    left, top = next(free, corners[0]).tolist()
    return left, top
