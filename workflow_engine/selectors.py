"""Selectors: `$inputs.x`, `$steps.s.out`, `$steps.s` and `$steps.s.*`, the references of the workflow language.

A string that does not begin with `$inputs.` or `$steps.` is a plain string, so that "$5 off" stays a literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

NAME = r"[A-Za-z0-9_-]+"
SELECTOR_PATTERN = rf"^\$(inputs\.{NAME}|steps\.{NAME}(\.({NAME}|\*))?)$"
_SELECTOR = re.compile(rf"\$(?:inputs\.(?P<input>{NAME})|steps\.(?P<step>{NAME})(?:\.(?P<output>{NAME}|\*))?)")
_NAME = re.compile(NAME)


@dataclass(frozen=True)
class Selector:
    """A parsed reference; `output` is None for an input or a whole step, and `*` for all outputs of a step."""

    root: Literal["inputs", "steps"]
    name: str
    output: str | None = None

    def __str__(self) -> str:
        return ".".join([f"${self.root}", self.name, *([self.output] if self.output else [])])


def is_selector(value: object) -> bool:
    """Whether a JSON value is meant as a reference, well formed or not."""
    return isinstance(value, str) and value.startswith(("$inputs.", "$steps."))


def parse_selector(text: str) -> Selector:
    """Parse a reference.

    Raises:
        ValueError: the text is meant as a reference but is not one.
    """
    match = _SELECTOR.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a reference; `$inputs.name`, `$steps.name.output` or `$steps.name` would fit")
    if match["input"] is not None:
        return Selector("inputs", match["input"])
    return Selector("steps", match["step"], match["output"])


def is_name(text: object) -> bool:
    """Whether something may name an input, a step or an output."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None
