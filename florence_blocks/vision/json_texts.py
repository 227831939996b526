"""JSON in texts that people and language models write: in Markdown blocks, between sentences, line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any, Final

from workflow_engine.detections import is_detections
from workflow_engine.detections_json import serialise
from workflow_engine.errors import a
from workflow_engine.plain import check_depth, loads

_FENCED: Final = re.compile(r"(`{3,5}|~{3,5})[ \t]*([A-Za-z0-9_+-]*)[ \t]*\r?\n?(.*?)\1", re.DOTALL)
_FENCE_LINE: Final = re.compile(r"^[ \t]*(?:`{3,5}|~{3,5})[A-Za-z0-9_+-]*[ \t]*\r?$", re.MULTILINE)
_BETWEEN: Final = re.compile(r"[\s,]*")
_TAIL: Final = re.compile(r"[\s,]*\]?[\s,]*\Z")


def spoken(value: Any) -> Any:
    """What JSON has no notation for, in the form of the language.

    Raises:
        ValueError: there is none, as for images.
    """
    if is_detections(value):
        return serialise(value)
    if hasattr(value, "tolist"):  # numpy
        return value.tolist()
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise ValueError(f"{a(value)} has no place in JSON; texts, numbers, lists and detections would fit")


def payload(text: str) -> Any:
    """The first object or list that a text holds as JSON.

    Raises:
        ValueError: it holds none.
    """
    found = next(payloads(text), None)
    if found is None:
        raise ValueError("no JSON")
    return found


def payloads(text: str) -> Iterator[Any]:
    """The objects and lists that a text holds as JSON, one per way of reading it, the likeliest first.

    These are the Markdown blocks that say they are JSON in any spelling, other blocks, the whole text, its values one behind
    the other, and what stands between its outer brackets.
    """
    blocks = [(tag.casefold(), inner) for _, tag, inner in _FENCED.findall(text)]
    told = [inner for tag, inner in blocks if tag.startswith("json")]
    others = [inner for tag, inner in blocks if not tag.startswith("json")]
    bare = _FENCE_LINE.sub("", text)
    for part in (*told, *others, text, bare):
        yield from _read(part)
    yield from _one_by_one(bare)
    spans = [(bare.find(first), bare.rfind(last) + 1) for first, last in ("[]", "{}")]
    for start, end in sorted(spans):
        if 0 <= start < end:
            yield from _read(bare[start:end])


def _read(text: str) -> Iterator[Any]:
    try:
        found = loads(text)
    except ValueError:
        return
    if isinstance(found, (dict, list)):
        yield found


def _one_by_one(text: str) -> Iterator[list[Any]]:
    """All values of a text that is nothing but objects and lists, with blanks and commas between them."""
    decoder, values, place = json.JSONDecoder(), [], 0
    while True:
        place = _end(_BETWEEN, text, place)
        if text[place : place + 1] not in ("{", "["):
            break
        try:
            value, place = decoder.raw_decode(text, place)
            check_depth(value)
        except (ValueError, RecursionError):
            return
        values += value if isinstance(value, list) else [value]
    if values and _TAIL.match(text, place):
        yield values


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Every whole object of a text that is cut off or no JSON as a whole."""
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
            check_depth(value)
            yield value
        except RecursionError:
            return
        except ValueError:
            place += 1
        place = text.find("{", place)
