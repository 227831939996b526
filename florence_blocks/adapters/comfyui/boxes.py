"""What sockets hold for the boxes of images, whichever node it comes from: nested by image or flat, numbers or mappings.

A box is four numbers, in a list, an array or a tensor, or a mapping that says what its numbers are, such as
`{x, y, width, height}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from florence_blocks.adapters.comfyui.batches import Batches
from workflow_engine.detections import object_array
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
Leaf = Callable[[Any], Any]
"""What a value is as one box, text or number; None where it is none."""

_CORNERS: Final = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_SIZES: Final = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_INSIDE: Final = ("bbox", "box")
"""Under which names a mapping may hold its box."""

_KINDS: Final = {
    "bboxes": ("no box", "[x1, y1, x2, y2] in pixels"),
    "labels": ("no label", "a text"),
    "confidences": ("no confidence", "a number"),
}
"""What is told of a value that does not fit, and what would."""


def boxes_found(
    batches: Batches, bboxes: Any, labels: Any = None, confidences: Any = None, form: BoxFormat = "xyxy"
) -> list[sv.Detections]:
    """The boxes of every image as detections, with what is known about them.

    Args:
        batches: the images.
        bboxes: what the socket holds.
        labels: one text per box; None where nothing is connected.
        confidences: one number per box; None where nothing is connected.
        form: what four numbers are that do not say it themselves.

    Raises:
        ValueError: something is no box, or there are more or fewer than fit.
    """
    boxes = _boxes(batches, bboxes, form)
    names = _beside("labels", batches, labels, boxes, _label)
    sure = _beside("confidences", batches, confidences, boxes, _confidence)
    order = {name: index for index, name in enumerate(dict.fromkeys(chain.from_iterable(names or ())))}
    return [
        sv.Detections(
            xyxy=np.array(row, dtype=float).reshape(-1, 4),
            confidence=np.array(sure[image], dtype=float) if sure else None,
            class_id=np.array([order[name] for name in names[image]], dtype=int) if names else None,
            data={"class_name": object_array(list(names[image]) if names else [""] * len(row))},
        )
        for image, row in enumerate(boxes)
    ]


def _boxes(batches: Batches, entries: Sequence[Any], form: BoxFormat) -> list[Any]:
    """The boxes of every image."""
    read = [_entry("bboxes", entry, lambda value: _box(value, form)) for entry in entries]
    images = len(batches.images)
    if all(entry.flat for entry in read):
        if images == 1 and len(read) > 1:
            return [list(chain.from_iterable(entry.rows[0] for entry in read))]
        if len(read) == 1 and len(read[0].rows[0]) == images > 1:
            raise ValueError(
                f"bboxes is one flat list of {images} boxes for {images} images: one for each image, or all for every image? "
                "A list of boxes per image says it"
            )
    return batches.spread("bboxes", list(chain.from_iterable(entry.rows for entry in read)))


def _beside(name: str, batches: Batches, entries: Any, boxes: Sequence[Any], leaf: Leaf) -> list[Any] | None:
    """One value for every box of every image; None where the socket is not connected."""
    if entries is None:
        return None
    read = [_entry(name, entry, leaf) for entry in entries]
    found = list(chain.from_iterable(entry.rows for entry in read))
    if len(batches.images) == 1 and all(entry.flat for entry in read):
        found = [list(chain.from_iterable(found))]
    rows = batches.spread(name, found)
    for image, (row, own) in enumerate(zip(rows, boxes, strict=True)):
        if len(row) != len(own):
            raise ValueError(f"{name}[{image}] has {len(row)} entries for {len(own)} boxes; one for each box would fit")
    return rows


# ------------------------------------------------------------------ one entry of a socket


class _Entry(NamedTuple):
    """What an entry of a socket holds: a list per image, or one flat list."""

    rows: list[list[Any]]
    flat: bool


def _entry(name: str, entry: Any, leaf: Leaf) -> _Entry:
    plain = _plain(entry)
    alone = leaf(plain)
    if alone is not None:
        return _Entry([[alone]], flat=True)
    if not isinstance(plain, list):
        raise ValueError(f"{name}={repr(entry)[:80]}; for every image a list would fit, each entry {_KINDS[name][1]}")
    items = [leaf(item) for item in plain]
    if all(item is not None for item in items):
        return _Entry([items], flat=True)
    rows = []
    for place, (row, alone) in enumerate(zip(plain, items, strict=True)):
        rows.append(_row(name, place, row, leaf) if alone is None else [alone])
    return _Entry(rows, flat=False)


def _row(name: str, image: int, row: Any, leaf: Leaf) -> list[Any]:
    """The list of one image."""
    wrong, fits = _KINDS[name]
    if not isinstance(row, list):
        raise ValueError(f"{name}[{image}]={repr(row)[:80]} is {wrong}; {fits} would fit")
    found = []
    for place, item in enumerate(row):
        value = leaf(item)
        if value is None:
            told = f"{name}[{image}]={repr(row)[:80]}" if _is_bare(item) else f"{name}[{image}][{place}]={repr(item)[:80]}"
            raise ValueError(f"{told} is {wrong}; {fits} would fit")
        found.append(value)
    return found


def _is_bare(item: Any) -> bool:
    """Whether a value is a number, so that the list around it was meant to be a box."""
    return isinstance(item, (int, float))


def _plain(value: Any) -> Any:
    """Arrays, tensors and tuples as lists."""
    if hasattr(value, "xyxy"):  # detections
        value = value.xyxy
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# ------------------------------------------------------------------ one box, text or number


def _box(value: Any, form: BoxFormat) -> list[float] | None:
    """Corners `[x1, y1, x2, y2]`, the smaller ones first."""
    if isinstance(value, Mapping):
        return _of_mapping(value, form)
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(edge) for edge in value):
        return None
    x, y, third, fourth = map(float, value)
    if form == "xyxy":
        return _in_order(x, y, third, fourth)
    if form == "xywh":
        return _in_order(x, y, x + third, y + fourth)
    return _in_order(x - third / 2, y - fourth / 2, x + third / 2, y + fourth / 2)


def _of_mapping(value: Mapping[str, Any], form: BoxFormat) -> list[float] | None:
    """A box by the names of its numbers; the place of a box with a size is its corner, unless the format says its centre."""
    for name in _INSIDE:
        if name in value:
            return _box(_plain(value[name]), form)
    for names in _CORNERS:
        if all(name in value for name in names):
            return _box([_plain(value[name]) for name in names], "xyxy")
    for names in _SIZES:
        if all(name in value for name in names):
            return _box([_plain(value[name]) for name in names], "cxcywh" if form == "cxcywh" else "xywh")
    return None


def _in_order(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _label(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _confidence(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
