"""JSON Schemas in a few words, for the block reference and for messages about what would fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "over", "maximum": "at most", "exclusiveMaximum": "under"}


def takes(schema: Mapping[str, Any]) -> str:
    """What a field takes: `integer at least 1, or a reference`."""
    kinds = f" to {', '.join(schema['kinds'])}" if "kinds" in schema else ""
    if "pattern" in schema:
        return f"a reference{kinds}" if "$" in schema["pattern"][:3] else "a name"
    if "anyOf" in schema:
        literal = [option for option in schema["anyOf"] if "pattern" not in option]
        reference = len(literal) < len(schema["anyOf"])
        words = " or ".join(dict.fromkeys(takes(option) for option in literal))
        return f"{words}, or a reference{kinds}" if reference else words
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([str(schema.get("type", "anything")), *bounds])
