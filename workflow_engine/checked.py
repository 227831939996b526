"""Numbers from outside, checked: finite, within bounds, and told with their place where they are not."""

from __future__ import annotations

import math
from typing import Any, Final

from workflow_engine.errors import a

MAX_NUMBER: Final = 1e7
"""How large a coordinate may be, in pixels; larger ones come of a mistake and overflow what draws them."""


def number(value: Any, where: str, *, most: float = MAX_NUMBER) -> float:
    """A finite number between `-most` and `most`.

    Raises:
        ValueError: the value is none; texts and truth values are no numbers.
    """
    if _is_number(value) and abs(value) <= most:  # NaN is neither
        return float(value)
    raise ValueError(f"{where}: {_told(value)} is no number from {-most:g} to {most:g}")


def whole(value: Any, where: str, *, least: int, most: int) -> int:
    """A whole number between two others; 3.0 is one.

    Raises:
        ValueError: the value is none.
    """
    if _is_number(value) and least <= value <= most and value == int(value):
        return int(value)
    raise ValueError(f"{where}: {_told(value)} is no whole number from {least} to {most}")


def unknown(value: Any) -> bool:
    """Whether a value says that there is none: None and NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_number(value: Any) -> bool:
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value  # numpy's numbers
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _told(value: Any) -> str:
    """A value for people; of what is long, what it is."""
    if isinstance(value, int) and abs(value) > 1 << 128:
        return "a number of more than 38 digits"
    if value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 40):
        return repr(value)
    return a(value)
