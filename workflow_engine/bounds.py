"""The bounds of numbers in manifests, each with its reason: a number that is far too large is told before anything runs."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Bounded:
    """The largest number that a field takes, and why: `Annotated[int, Field(ge=1), Bounded(16_384, "they take gigabytes")]`.

    NaN and the infinities are no numbers for it.

    Args:
        most: the largest number.
        why: what is wrong with larger ones; the end of a sentence that begins with them.
        least: the smallest number, where the field says none itself.
    """

    def __init__(self, most: float, why: str, *, least: float | None = None) -> None:
        self.most = most
        self.why = why
        self.least = least

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check a number after its type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The bounds, for editors."""
        least = {} if self.least is None else {"minimum": self.least}
        return {**handler(schema), **least, "maximum": self.most}

    def _check(self, value: float) -> float:
        if value <= self.most and (self.least is None or value >= self.least):
            return value
        low = "at most" if self.least is None else f"from {self.least:,} to"
        raise PydanticCustomError(
            "bounded", "{got} is too much: numbers {low} {most} would fit; {why}",
            {"got": _told(value), "low": low, "most": f"{self.most:,}", "why": self.why, "inside": ""},
        )  # fmt: skip


def _told(value: float) -> str:
    """A number for people, however many digits it has."""
    return "a number of many digits" if isinstance(value, int) and abs(value) > 10**30 else f"{value:,}"
