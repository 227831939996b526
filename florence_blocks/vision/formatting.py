"""Values into values: templates, properties, expressions, defaults, the time, and inner elements as a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from string import Formatter
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from florence_blocks.vision.operations import Chain, Condition, QueryError, each_operated
from florence_blocks.vision.query import check_names
from workflow_engine.block import Accepts, AnyReference, Block, BlockManifest, Output, Value
from workflow_engine.errors import listing
from workflow_engine.kinds import ANY, LIST_OF_VALUES, STRING, Kind

_PLACEHOLDER = re.compile(r"\s*[A-Za-z0-9_-]+\s*")
_MOST_WIDTH = 10_000
"""The largest width or precision that a placeholder may ask for."""


class _Formatter(Formatter):
    """Python's format language by names alone: no attributes, no items, no widths that fill the memory."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        name = str(key).strip()
        if name not in kwargs:
            raise ValueError(f"the template asks for `{name}`; given: {listing(kwargs)}")
        return kwargs[name]

    def format_field(self, value: Any, format_spec: str) -> str:
        if any(int(number) > _MOST_WIDTH for number in re.findall(r"\d+", format_spec)):
            raise ValueError(f"`{format_spec}` asks for more than {_MOST_WIDTH} characters")
        return str(super().format_field(value, format_spec))


def placeholders(template: str) -> list[str]:
    """The names of a template's {placeholders}; `{{` and `}}` are braces.

    Raises:
        QueryError: a brace is not closed, or a placeholder is no name.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise QueryError(f"{error}; `{{{{` and `}}}}` would be braces") from None
    names = []
    for _, name, form, _ in parts:
        if name is None:
            continue
        if not _PLACEHOLDER.fullmatch(name) or name.strip().isdigit():
            raise QueryError(f"`{{{name}}}` is no placeholder; a name such as {{count}} would fit, and {{{{ for a brace")
        names += [name.strip(), *(placeholders(form) if form else [])]
    return names


def filled(template: str, data: dict[str, Any], operations: dict[str, Chain]) -> str:
    """A template with values, after their operations, in place of its {placeholders}; `{share:.1%}` as Python formats it.

    Raises:
        ValueError: a placeholder has no value, or is none.
    """
    placeholders(template)
    return _Formatter().vformat(template, (), each_operated(data, operations) if operations else data)


def check_template(template: str, given: Iterable[str], inside: str) -> None:
    """Check that a template reads, and that all it asks for is there; `inside` says where in the step it stands.

    Raises:
        PydanticCustomError: one of these is not so.
    """
    try:
        check_names(placeholders(template), given, inside)
    except QueryError as error:
        raise PydanticCustomError("query", "{said}", {"said": str(error), "inside": inside}) from None


class StringTemplate(Block):
    """Fill values into a text; formats are those of Python (`{share:.1%}`), `{{` and `}}` are braces.

    `{"type": "vision/string_template@v1", "name": "sentence", "template": "{count} stars",
    "data": {"count": "$steps.how_many.count"}}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/string_template@v1", "roboflow_core/string_template@v1"]
        template: Value[str] = Field(description="a text with {placeholders}")
        data: dict[str, Annotated[Value[Any], Accepts(ANY)]] = Field(default_factory=dict, description="values by name")
        data_operations: dict[str, Chain] = Field(default_factory=dict, description="operations on values, by name")

        @model_validator(mode="after")
        def _asks_for_what_there_is(self) -> Self:
            if isinstance(self.template, str):
                check_template(self.template, self.data, ".template")
            return self

    outputs = {"output": Output(STRING)}
    light = True

    def run(self, template: str, data: dict[str, Any], data_operations: dict[str, Chain]) -> str:
        """The text of one element; a placeholder without a value fails it."""
        return filled(template, data, data_operations)


class PropertyDefinition(Block):
    """Operations of the query language on a value: the number of detections, their classes, the width of an image.

    `{"type": "vision/property_definition@v1", "name": "names", "data": "$steps.detect.predictions",
    "operations": [{"type": "DetectionsPropertyExtract", "property_name": "class_name"}]}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/property_definition@v1", "roboflow_core/property_definition@v1", "PropertyDefinition",
                      "PropertyExtraction"]  # fmt: skip
        data: AnyReference
        operations: Chain

    outputs = {"output": Output()}
    light = True

    def run(self, data: Any, operations: Chain) -> Any:
        """The value of one element after the operations."""
        return operations(data)


class _StaticResult(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["StaticCaseResult"]
    value: Any


class _DynamicResult(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["DynamicCaseResult"]
    parameter_name: str
    operations: Chain | None = None


_Result = Annotated[_StaticResult | _DynamicResult, Discriminator("type")]


class _Case(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["CaseDefinition"]
    condition: Condition
    result: _Result


class _Cases(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["CasesDefinition"]
    cases: list[_Case]
    default: _Result


class Expression(Block):
    """The result of the first case whose condition holds, or the default.

    `{"type": "vision/expression@v1", "name": "verdict", "data": {"count": "$steps.how_many.count"},
    "switch": {"type": "CasesDefinition", "cases": [{"type": "CaseDefinition",
    "condition": {"type": "StatementGroup", "statements": [{"type": "BinaryStatement",
    "left_operand": {"type": "DynamicOperand", "operand_name": "count"}, "comparator": {"type": "(Number) >"},
    "right_operand": {"type": "StaticOperand", "value": 10}}]},
    "result": {"type": "StaticCaseResult", "value": "crowded"}}],
    "default": {"type": "StaticCaseResult", "value": "quiet"}}}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/expression@v1", "roboflow_core/expression@v1", "Expression"]
        data: dict[str, AnyReference] = Field(description="values by name")
        data_operations: dict[str, Chain] = Field(default_factory=dict, description="operations on values, by name")
        switch: _Cases

        @model_validator(mode="after")
        def _asks_for_what_there_is(self) -> Self:
            results = {f"cases[{place}].result": case.result for place, case in enumerate(self.switch.cases)}
            for place, case in enumerate(self.switch.cases):
                check_names(case.condition.names, self.data, f".switch.cases[{place}].condition")
            for where, result in {**results, "default": self.switch.default}.items():
                if isinstance(result, _DynamicResult):
                    check_names([result.parameter_name], self.data, f".switch.{where}.parameter_name")
            return self

    outputs = {"output": Output()}
    light = True

    def run(self, data: dict[str, Any], data_operations: dict[str, Chain], switch: _Cases) -> Any:
        """The result for one element."""
        values = each_operated(data, data_operations)
        result = next((case.result for case in switch.cases if case.condition(values)), switch.default)
        if isinstance(result, _StaticResult):
            return result.value
        value = values[result.parameter_name]
        return result.operations(value) if result.operations else value


class FirstNonEmptyOrDefault(Block):
    """The first value that is there: of several branches, the one that ran.

    `{"type": "vision/first_non_empty_or_default@v1", "name": "text", "data": ["$steps.read.text", "$steps.describe.caption"],
    "default": ""}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/first_non_empty_or_default@v1", "roboflow_core/first_non_empty_or_default@v1",
                      "FirstNonEmptyOrDefault"]  # fmt: skip
        data: list[AnyReference] = Field(min_length=1, description="values, the wanted one first")
        default: Any = Field(None, description="the value when none is there")

    outputs = {"output": Output()}
    accepts_missing = True
    light = True

    def run(self, data: list[Any], default: Any) -> Any:
        """The value of one element."""
        return next((value for value in data if value is not None), default)


class DimensionCollapse(Block):
    """The inner elements of every outer one as a list: the texts of all crops of an image. Nothing gives `[]`.

    `{"type": "vision/dimension_collapse@v1", "name": "texts", "data": "$steps.read.text"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/dimension_collapse@v1", "roboflow_core/dimension_collapse@v1", "DimensionCollapse"]
        data: AnyReference

    outputs = {"output": Output(LIST_OF_VALUES)}
    dimension = -1
    inner = ("data",)
    light = True

    def run(self, data: list[Any]) -> list[Any]:
        """The list for one outer element."""
        return data


class CurrentTime(Block):
    """The time at which a step runs, in a time zone.

    `{"type": "vision/current_time@v1", "name": "now", "timezone": "Europe/Paris"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/current_time@v1", "roboflow_core/current_time@v1"]
        timezone: Value[str] = Field("UTC", description="a name of the IANA time zone database")

    outputs = {
        "timestamp": Output(Kind("timestamp")),
        "iso_string": Output(STRING),
        "date": Output(STRING),
        "time": Output(STRING),
    }
    light = True

    def run(self, timezone: str) -> dict[str, Any]:
        """The time now."""
        try:
            now = datetime.now(ZoneInfo(timezone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`{timezone}` is no time zone; UTC or Europe/Paris would fit") from None
        return {
            "timestamp": now, "iso_string": now.isoformat(), "date": now.strftime("%Y-%m-%d"), "time": now.strftime("%H:%M:%S"),
        }  # fmt: skip
