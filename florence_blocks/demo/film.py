"""Drawn films with known contents: shapes that cross a background, each on a lane of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from florence_blocks.demo.scenes import Scene, Shape, draw_scene

_MARGIN = 0.18
"""How far from the sides a shape begins and ends, as a share of the width."""


@dataclass(frozen=True)
class Film:
    """Frames as scenes, so many a second; shapes keep their places in `scene.shapes`.

    Every other shape goes from left to right, the others from right to left.
    """

    scenes: tuple[Scene, ...]
    rate: float

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)


def draw_film(seed: int, *, frames: int = 24, rate: float = 12.0, width: int = 240, height: int = 240, shapes: int = 2) -> Film:
    """Draw a film.

    Args:
        seed: a number; the same number gives the same film.
        frames: how many.
        rate: frames a second.
        width: pixels.
        height: pixels.
        shapes: how many shapes, each on a lane of its own.
    """
    background = draw_scene(seed, width=width, height=height, shapes=0, words=0).image
    movers = [_mover(seed + 1 + lane, width, height * (lane + 0.5) / shapes, height / shapes) for lane in range(shapes)]
    scenes = []
    for number in range(frames):
        share = number / max(frames - 1, 1)
        canvas = background.copy()
        placed = []
        for lane, shape in enumerate(movers):
            gone = share if lane % 2 == 0 else 1 - share
            placed.append(shape.moved(width * (_MARGIN + (1 - 2 * _MARGIN) * gone), 0))
            placed[-1].paint(canvas)
        scenes.append(Scene(canvas, tuple(placed), ()))
    return Film(tuple(scenes), rate)


def _mover(seed: int, width: int, lane: float, room: float) -> Shape:
    """A shape whose middle is at x = 0 on its lane; the seeds after are tried where it is too large for it."""
    while True:
        shape = draw_scene(seed, width=width, height=width, shapes=1, words=0).shapes[0]
        x1, y1, x2, y2 = shape.box
        if y2 - y1 < 0.8 * room and x2 - x1 < 1.8 * _MARGIN * width:
            return shape.moved(-(x1 + x2) / 2, lane - (y1 + y2) / 2)
        seed += 1000
