"""Fields of manifests that take literals, as widgets of ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from workflow_engine.block import field_place

_LARGEST = 2**31 - 1
"""The upper end of whole numbers that have none of their own; ComfyUI's own is 2048."""

_STEPS = {"INT": 1, "FLOAT": 0.05}
_SEPARATOR = re.compile(r"[,\n]")
_WIDGETS = {"boolean": "BOOLEAN", "integer": "INT", "number": "FLOAT"}

ORDER = (
    "phrase", "model_id", "max_new_tokens", "num_beams", "no_repeat_ngram_size", "constrained", "regions_to_use",
    "granularity", "classes", "coordinates", "padding", "thickness", "color_palette", "text", "text_scale", "opacity",
    "box_format", "device", "precision",
)  # fmt: skip
"""The widgets of all nodes in the order in which they were added: saved workflows keep values by place, not by name, so that a
new one belongs at the end."""


class OwnFields(BaseModel):
    """Fields of nodes that no block has."""

    box_format: Literal["xyxy", "xywh", "cxcywh"] = Field(
        "xyxy", description="what four numbers of a box are: two corners, a corner and the size, or the centre and the size"
    )
    device: Literal["default", "cpu", "cuda", "mps", "xpu"] = Field(
        "default", description="where the model runs; default: where ComfyUI runs its models"
    )
    precision: Literal["default", "float32", "bfloat16", "float16"] = Field(
        "default", description="float32 is exact, the others need half the memory and may change answers; default: as ComfyUI "
        "chooses for the device"
    )  # fmt: skip


@dataclass(frozen=True)
class Widget:
    """A field of a manifest that takes literals, as a widget.

    Attributes:
        name: of the field.
        info: what pydantic knows about it.
        adapter: checks its literals.
        shape: the JSON schema of its literals that are not null.
        optional: whether null is one of them.
        words: what it is for, where the words of the manifest are not those of ComfyUI.
    """

    name: str
    info: FieldInfo
    adapter: TypeAdapter[Any]
    shape: Mapping[str, Any]
    optional: bool
    words: str | None = None

    @classmethod
    def of(cls, name: str, info: FieldInfo, words: str | None = None) -> Widget:
        """The widget of a field."""
        adapter: TypeAdapter[Any] = TypeAdapter(field_place(info)[1])
        schema = adapter.json_schema()
        options = schema.get("anyOf", [schema])
        shape = next(option for option in options if option != {"type": "null"})
        return cls(name, info, adapter, shape, {"type": "null"} in options, words)

    @property
    def kind(self) -> str:
        """What ComfyUI calls it."""
        return "COMBO" if "enum" in self.shape else _WIDGETS.get(self.shape["type"], "STRING")

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number that fits."""
        step = _STEPS[self.kind]
        least = self.shape.get("minimum", self.shape.get("exclusiveMinimum", -_LARGEST - step) + step)
        most = self.shape.get("maximum", self.shape.get("exclusiveMaximum", _LARGEST + step) - step)
        return least, most

    @property
    def null(self) -> Any:
        """What stands for a field that is not given: the number below the smallest that fits, or no text."""
        return self.bounds[0] - _STEPS[self.kind] if self.kind in _STEPS else ""

    @property
    def default(self) -> Any:
        """What the widget shows at first."""
        value = "" if self.info.is_required() else self.info.get_default()
        return self.null if value is None else value

    @property
    def told(self) -> str:
        """What the field is for, and what leaves it to its default."""
        said = self.words or self.info.description or self.name.replace("_", " ")
        if not self.optional:
            return said
        return f"{said} ({'empty' if self.null == '' else self.null} for the default)"

    def declared(self) -> tuple[Any, dict[str, Any]]:
        """The widget as ComfyUI declares it: its type or its choices, and how it is shown."""
        shown: dict[str, Any] = {"default": self.default, "tooltip": self.told}
        if self.kind == "COMBO":
            return ([""] if self.optional else []) + list(self.shape["enum"]), shown
        if self.kind == "STRING":
            return "STRING", {**shown, "multiline": self.info.is_required() or self.shape["type"] == "array"}
        if self.kind in _STEPS:
            least, most = self.bounds
            shown |= {"min": self.null if self.optional else least, "max": most, "step": _STEPS[self.kind]}
        return self.kind, shown

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


def ordered(widgets: Iterable[Widget]) -> tuple[Widget, ...]:
    """Widgets in the order of `ORDER`; those it does not name come last."""
    known = {name: place for place, name in enumerate(ORDER)}
    return tuple(sorted(widgets, key=lambda widget: known.get(widget.name, len(ORDER))))


def own(*names: str) -> tuple[Widget, ...]:
    """Widgets of fields that no block has."""
    return tuple(Widget.of(name, OwnFields.model_fields[name]) for name in names)
