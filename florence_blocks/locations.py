"""Florence-2's location tokens: `<loc_0>` to `<loc_999>`, a thousand bins on each axis.

A value falls into the bin `floor(value * 1000 / size)`, kept within 0..999, and a bin stands for its centre,
`(bin + 0.5) * size / 1000`. That is the quantiser the model was trained with; rounding, dividing by 999 or leaving out the
half bin (all seen in use) shift every box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

BINS: Final = 1000
_TOKEN: Final = re.compile(r"<loc_(\d{1,3})>")

Box = tuple[float, float, float, float]
Size = tuple[int, int]
"""Width and height in pixels."""


def to_bin(value: float, size: float) -> int:
    """The bin of a pixel coordinate on an axis of `size` pixels; values outside fall into the first or last bin.

    Raises:
        ValueError: the value is no finite number, or the size is not positive.
    """
    if not math.isfinite(value):
        raise ValueError(f"a coordinate is a finite number, not {value}")
    if size <= 0:
        raise ValueError(f"an image has at least one pixel, not {size}")
    return min(max(math.floor(value * BINS / size), 0), BINS - 1)


def to_pixel(bin_: float, size: float) -> float:
    """The centre of a bin in pixels; between two bins, between their centres."""
    return (bin_ + 0.5) * size / BINS


def bin_of(token: str) -> int | None:
    """The bin of a location token; None for any other text (`<loc_1000>` is no location token)."""
    match = _TOKEN.fullmatch(token)
    return int(match[1]) if match else None


def box_tokens(box: Sequence[float], size: Size) -> str:
    """A box (x1, y1, x2, y2) in pixels as four location tokens; swapped corners are put in order.

    Raises:
        ValueError: it is not four finite numbers.
    """
    if len(box) != 4:
        raise ValueError(f"a box is (x1, y1, x2, y2), not {len(box)} numbers")
    x1, y1, x2, y2 = (float(value) for value in box)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):  # before they are put in order: min and max lose a NaN
        raise ValueError(f"a box is four finite numbers, not {(x1, y1, x2, y2)}")
    corners = ordered((x1, y1, x2, y2))
    return "".join(f"<loc_{to_bin(value, size[axis % 2])}>" for axis, value in enumerate(corners))


def ordered(box: Box) -> Box:
    """A box with x1 <= x2 and y1 <= y2."""
    x1, y1, x2, y2 = box
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (sum(areas) - both)
