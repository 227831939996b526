"""Values as plain JSON: what every part of the project writes, so that every reader of JSON can read it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

MAX_DEPTH: Final = 100
"""How many levels of lists and dicts JSON may have, in and out; deeper ones overflow the stack of many a program."""


def of_arrays(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's; anything else as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def plain(value: Any, other: Callable[[Any], Any] = of_arrays) -> Any:
    """A value as texts, numbers, lists and dicts; NaN and the infinities, which JSON has no notation for, become None.

    Args:
        value: any value.
        other: what becomes of a value that is nothing of these; its answer is made plain in turn.

    Raises:
        ValueError: lists and dicts lie deeper in each other than `MAX_DEPTH`.
    """
    return _plain(value, other, 0)


def _plain(value: Any, other: Callable[[Any], Any], depth: int) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > MAX_DEPTH:
        raise ValueError(f"a value has more than {MAX_DEPTH} levels of lists and dicts")
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, other, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, other, depth + 1) for item in value]
    return _plain(other(value), other, depth + 1)


def _key(key: Any) -> str:
    """The name of a key, as `json` writes it."""
    return json.dumps(key) if key is None or isinstance(key, bool) else str(key)


def dumps(value: Any, other: Callable[[Any], Any] = of_arrays, *, indent: int | None = None) -> str:
    """A value as JSON text that can be written as UTF-8: what cannot, such as half an emoji, is escaped.

    Raises:
        ValueError: it is too deep.
    """
    made = plain(value, other)
    text = json.dumps(made, ensure_ascii=False, allow_nan=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(made, allow_nan=False, indent=indent)
    return text


def loads(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no JSON, or deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON of more than {MAX_DEPTH} levels; flatter JSON would fit") from None
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Check that lists and dicts lie not too deep in each other.

    Raises:
        ValueError: they do.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner.extend(item.values())
            elif isinstance(item, (list, tuple)):
                inner.extend(item)
        level = inner
        if not level:
            return
    raise ValueError(f"JSON of more than {MAX_DEPTH} levels; flatter JSON would fit")
