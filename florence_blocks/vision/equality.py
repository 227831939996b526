"""Whether two values are the same: numbers, texts, arrays, detections, images, and lists and dicts of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

_FIELDS: Final = ("xyxy", "mask", "confidence", "class_id", "tracker_id")
_IDENTIFIERS: Final = frozenset(["detection_id", "inference_id", "parent_id"])
"""What is another one every time, though nothing else is."""


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; NaN is equal to NaN, and identifiers that are made anew every time do not count.

    Images are equal where their pixels are, detections where all they say is, wherever they came from.
    """
    if one is other:
        return True
    if isinstance(one, Image) or isinstance(other, Image):
        return isinstance(one, Image) and isinstance(other, Image) and one.digest == other.digest
    if is_detections(one) or is_detections(other):
        return is_detections(one) and is_detections(other) and _same_detections(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys, others = one.keys() - _IDENTIFIERS, other.keys() - _IDENTIFIERS
        return keys == others and all(same(one[key], other[key]) for key in keys)
    if hasattr(one, "tolist") or hasattr(other, "tolist"):
        return _same_arrays(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)  # NaN


def _same_detections(one: Any, other: Any) -> bool:
    return all(same(getattr(one, field), getattr(other, field)) for field in _FIELDS) and same(one.data, other.data)


def _same_arrays(one: Any, other: Any) -> bool:
    """Arrays, numbers of numpy, and what they are compared with; object arrays item by item."""
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        one, other = (value.item() if getattr(value, "ndim", None) == 0 else value for value in (one, other))
        return type(one) is type(other) and bool(one == other)
    try:
        first, second = np.asarray(one), np.asarray(other)
    except (ValueError, TypeError):  # a list of lists of different lengths
        return False
    if first.shape != second.shape:
        return False
    if "O" in (first.dtype.kind, second.dtype.kind):
        return all(map(same, first.ravel().tolist(), second.ravel().tolist()))
    numbers = first.dtype.kind in "fc" and second.dtype.kind in "fc"
    return bool(np.array_equal(first, second, equal_nan=numbers))
