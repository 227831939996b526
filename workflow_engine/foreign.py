"""What blocks answer in the types of numpy and torch: numbers and lists are taken as Python's, for others a cure is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflow_engine.errors import a
from workflow_engine.kinds import DETECTIONS, IMAGE, LIST_OF_VALUES, Kind

_NUMBERS = frozenset({"integer", "float", "float_zero_to_one", "boolean", "string"})
_DETECTIONS = frozenset(kind.name for kind in DETECTIONS)


def is_foreign(value: Any) -> bool:
    """Whether a value is of numpy or torch, without importing them."""
    return type(value).__module__.partition(".")[0] in ("numpy", "torch")


def python_value(value: Any) -> Any:
    """A number of numpy, or a tensor of one number, as Python's; anything else as it is."""
    single = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if single else value


def as_list(value: Any) -> Any:
    """An array as a list of Python's numbers, nested where it has several dimensions; anything else as it is."""
    return value.tolist() if is_foreign(value) and getattr(value, "ndim", None) else value


def rows(value: Any) -> Any:
    """An array as the list of its rows, which stay arrays; anything else as it is."""
    return list(value) if is_foreign(value) and getattr(value, "ndim", None) else value


def misfit(name: str, kinds: Sequence[Kind], value: Any) -> str:
    """That a block gave something else than one of its outputs promises, and what would fit."""
    names = {kind.name for kind in kinds}
    promised = ", ".join(kind.name for kind in kinds)
    return f"the output `{name}` is {promised}, but the block gave {_described(value)}{_cure(names, value)}"


def _described(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"an array {list(shape)} of {dtype}"
    return a(value) if is_foreign(value) else f"a {type(value).__name__}"


def _cure(kinds: set[str], value: Any) -> str:
    if IMAGE.name in kinds and hasattr(value, "shape"):
        return "; `image.derive(pixels)` for pixels of the same view, or `Image(pixels)` for a new picture, would fit"
    if IMAGE.name in kinds and hasattr(value, "getbands"):
        return "; `Image.load(picture)` would fit"
    if kinds & _DETECTIONS:
        return "; `supervision.Detections` would fit"
    if kinds <= _NUMBERS and getattr(value, "size", 0) == 1 and hasattr(value, "item"):
        return "; one number, `value.item()`, would fit"
    if kinds == {LIST_OF_VALUES.name}:
        return "; a list would fit"
    return ""
