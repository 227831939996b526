"""Fields of manifests that take literals, as widgets of ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from workflow_engine.block import field_place

_LARGEST = 2**31 - 1
"""The upper end of whole numbers that have none of their own; ComfyUI's own is 2048."""

_SEPARATOR = re.compile(r"[,\n]")
_WIDGETS = {"boolean": "BOOLEAN", "integer": "INT", "number": "FLOAT"}


@dataclass(frozen=True)
class Widget:
    """A field of a manifest that takes literals, as a widget.

    Attributes:
        name: of the field.
        info: what pydantic knows about it.
        adapter: checks its literals.
        shape: the JSON schema of its literals that are not null.
        optional: whether null is one of them.
    """

    name: str
    info: FieldInfo
    adapter: TypeAdapter[Any]
    shape: Mapping[str, Any]
    optional: bool

    @classmethod
    def of(cls, name: str, info: FieldInfo) -> Widget:
        """The widget of a field."""
        adapter: TypeAdapter[Any] = TypeAdapter(field_place(info)[1])
        schema = adapter.json_schema()
        options = schema.get("anyOf", [schema])
        shape = next(option for option in options if option != {"type": "null"})
        return cls(name, info, adapter, shape, optional={"type": "null"} in options)

    @property
    def null(self) -> Any:
        """What stands for null: the number below the smallest that fits, or no names."""
        return self.shape["minimum"] - 1 if "minimum" in self.shape else ""

    @property
    def default(self) -> Any:
        """What the widget shows at first."""
        value = "" if self.info.is_required() else self.info.get_default()
        return self.null if value is None else value

    @property
    def told(self) -> str:
        """What the field is for, and what stands for null."""
        empty = {"": "nothing"}.get(self.null, self.null)
        return (self.info.description or self.name.replace("_", " ")) + (f" ({empty} for null)" if self.optional else "")

    def declared(self) -> tuple[Any, dict[str, Any]]:
        """The widget as ComfyUI declares it: its type or its choices, and how it is shown."""
        shown: dict[str, Any] = {"default": self.default, "tooltip": self.told}
        if "enum" in self.shape:
            return list(self.shape["enum"]), shown
        kind = _WIDGETS.get(self.shape["type"], "STRING")
        if kind == "STRING":
            return kind, {**shown, "multiline": self.info.is_required() or self.shape["type"] == "array"}
        if kind in ("INT", "FLOAT"):
            above = self.shape.get("exclusiveMinimum")
            least = self.null if self.optional else self.shape.get("minimum", above)
            shown |= {"min": least, "max": self.shape.get("maximum", _LARGEST), "step": 1 if kind == "INT" else 0.05}
        return kind, shown

    def value(self, given: Any) -> Any:
        """What the widget holds as the field has it.

        Raises:
            ValueError: it does not fit.
        """
        read = given
        if self.optional and given == self.null:
            read = None
        elif self.shape["type"] == "array" and isinstance(given, str):
            read = [name for name in map(str.strip, _SEPARATOR.split(given)) if name]
        try:
            return self.adapter.validate_python(read)
        except ValidationError as error:
            raise ValueError(f"{self.name}={given!r}: {error.errors()[0]['msg']}; what would fit: {self.told}") from None
