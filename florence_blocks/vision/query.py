"""The query language of workflows: chains of operations on values, and conditions on them.

A definition is checked and turned into closures once, when a workflow is compiled; at run time nothing is looked up. The
operations themselves are in `operations.py`, one function each.
"""

from __future__ import annotations

import inspect
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from florence_blocks.vision.equality import same
from workflow_engine.detections import PlacedPoint, Zones, polygons
from workflow_engine.errors import UNKNOWN_FIELD, a, did_you_mean, listing
from workflow_engine.language import said
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")

Parameters = Mapping[str, Any]
Step = Callable[[Any, Parameters], Any]
Test = Callable[[Parameters], bool]

DEFAULT_OPERAND: Final = "_"
_NONE: Final[Parameters] = {}
_BOOLEAN: Final = TypeAdapter(bool)


class QueryError(ValueError):
    """A definition is wrong, or a value does not fit the operation or comparison it came to.

    Attributes:
        inside: where the mistake is in the definition that was parsed: `[1].type`, `.statements[0]`.
    """

    def __init__(self, message: str, inside: str = "") -> None:
        self.inside = inside
        super().__init__(message)


@dataclass(frozen=True)
class Operation:
    """One operation of the language: its fields, and what it does with a value and those fields."""

    name: str
    fields: type[BaseModel]
    apply: Callable[..., Any]
    takes_parameters: bool


OPERATIONS: dict[str, Operation] = {}
"""Every operation by name; filled by `operations.py`."""


def operation(name: str, **fields: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function `(value, **fields)` as an operation; fields are given as pydantic's `create_model` takes them."""

    def register(apply: Callable[..., Any]) -> Callable[..., Any]:
        model = create_model(name, __config__=ConfigDict(extra="forbid", frozen=True), type=(str, name), **fields)
        OPERATIONS[name] = Operation(name, model, apply, "parameters" in inspect.signature(apply).parameters)
        return apply

    return register


class Parsed(ABC):
    """A part of a definition that is validated by its own `parse` and keeps no JSON."""

    json_schema: Mapping[str, Any] = {}

    @classmethod
    @abstractmethod
    def parse(cls, value: Any) -> Any:
        """Read the JSON.

        Raises:
            QueryError: it is not right; the message says where.
        """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by `parse`."""

        def validate(value: Any) -> Any:
            if isinstance(value, cls):
                return value
            try:
                return cls.parse(value)
            except QueryError as error:
                raise PydanticCustomError("query", "{said}", {"said": str(error), "inside": error.inside}) from None

        return core_schema.no_info_plain_validator_function(validate)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The shape, for editors."""
        return dict(cls.json_schema)


class Chain(Parsed):
    """Operations applied one after the other: `[{"type": "SequenceLength"}, ...]`."""

    json_schema = {"type": "array", "items": {"type": "object", "required": ["type"]}}

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    def __call__(self, value: Any, parameters: Parameters = _NONE) -> Any:
        """The value after all operations; `parameters` are what conditions inside may ask for by name.

        Raises:
            QueryError: an operation got a value it cannot take.
        """
        for step in self.steps:
            value = step(value, parameters)
        return value

    @classmethod
    def parse(cls, value: Any) -> Chain:
        """Read a list of operations."""
        return _chain(value, "")


def _chain(value: Any, place: str) -> Chain:
    if not isinstance(value, list):
        raise QueryError(f"operations are a list of objects, not {a(value)}", place)
    return Chain([_step(item, f"{place}[{index}]") for index, item in enumerate(value)])


def _step(item: Any, place: str) -> Step:
    row = OPERATIONS[_type_of(item, place, OPERATIONS, "operation")]
    fields = _fields(row.fields, item, place)
    given = {name: getattr(fields, name) for name in row.fields.model_fields if name != "type"}

    if row.takes_parameters:
        return lambda value, parameters: row.apply(value, parameters=parameters, **given)

    def step(value: Any, parameters: Parameters) -> Any:
        try:
            return row.apply(value, **given)
        except QueryError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            raise QueryError(f"{row.name} cannot take {_short(value)}: {error}") from error

    return step


def _type_of(item: Any, place: str, known: Mapping[str, Any], what: str) -> str:
    """The type of a part of a definition, which must be known."""
    if not isinstance(item, Mapping):
        raise QueryError(f"a {what} is an object, not {a(item)}", place)
    name = item.get("type")
    if not isinstance(name, str) or name not in known:
        near = did_you_mean(str(name), known) or f"known: {listing(known)}"
        raise QueryError(f"unknown {what} {name!r} ({near})", f"{place}.type")
    return name


_FINDINGS = {"extra_forbidden": UNKNOWN_FIELD, "missing": "required and missing"}


def _fields(model: type[BaseModel], item: Mapping[str, Any], place: str) -> BaseModel:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        details = error.errors(include_url=False)
        detail = next((one for one in details if one["type"] == "extra_forbidden"), details[0])
        inner = ".".join(str(part) for part in detail["loc"])
        near = did_you_mean(inner, model.model_fields) if detail["type"] == "extra_forbidden" else ""
        message = _FINDINGS.get(detail["type"]) or said(detail)
        deeper = detail.get("ctx", {}).get("inside", "")
        raise QueryError(message + (f" ({near})" if near else ""), f"{place}.{inner}{deeper}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return f"a {type(value).__name__} ({text if len(text) <= 40 else text[:37] + '...'})"


def check_names(asked: Iterable[str], given: Iterable[str], inside: str) -> None:
    """Check that all values a part of a definition asks for are there.

    Raises:
        PydanticCustomError: one is not; `inside` says where in the step it is asked for.
    """
    given = list(given)
    for name in sorted(set(asked) - set(given)):
        near = did_you_mean(name, given) or f"given: {listing(given)}"
        raise PydanticCustomError("query", "{said}", {"said": f"it asks for `{name}` ({near})", "inside": inside})


# ------------------------------------------------------------------ statements


def _in_zone(point: Any, zone: Any) -> bool:
    """Whether a point (x, y) lies within a polygon, or one of several, not on its edge.

    The polygons are in the pixels of the image that went into the run, unless a step made them, for then they were brought to
    the detections.
    """
    if isinstance(point, PlacedPoint) and not isinstance(zone, Zones):
        point = point.on_root
    x, y = float(point[0]), float(point[1])
    corners = [np.array(polygon, dtype=np.float32) for polygon in polygons(zone)]
    return any(cv2.pointPolygonTest(polygon, (x, y), measureDist=False) > 0 for polygon in corners)


def _within(value: Any, sequence: Any) -> bool:
    """Whether a value is one of a sequence, a key of a dict, or a part of a text."""
    if isinstance(sequence, (list, tuple)) or hasattr(sequence, "tolist"):
        return any(same(value, item) for item in sequence)
    return value in sequence


COMPARATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": same,
    "(Number) ==": operator.eq,
    "!=": lambda one, other: not same(one, other),
    "(Number) !=": operator.ne,
    "(Number) >": operator.gt,
    "(Number) >=": operator.ge,
    "(Number) <": operator.lt,
    "(Number) <=": operator.le,
    "(Number) in range": lambda value, bounds: bounds[0] <= value <= bounds[1],
    "(String) startsWith": lambda text, part: text.startswith(part),
    "(String) endsWith": lambda text, part: text.endswith(part),
    "(String) contains": lambda text, part: part in text,
    "in (Sequence)": lambda value, sequence: _within(value, sequence),
    "(Detection) in zone": lambda point, zone: _in_zone(point, zone),
    "any in (Sequence)": lambda values, sequence: any(_within(value, sequence) for value in values),
    "all in (Sequence)": lambda values, sequence: all(_within(value, sequence) for value in values),
}
UNARY: Final[Mapping[str, Callable[[Any], bool]]] = {
    "Exists": lambda value: value is not None,
    "DoesNotExist": lambda value: value is None,
    "(Boolean) is True": lambda value: value is True,
    "(Boolean) is False": lambda value: value is False,
    "(Sequence) is empty": lambda value: len(value) == 0,
    "(Sequence) is not empty": lambda value: len(value) > 0,
}


class Condition(Parsed):
    """A statement, or a group of statements joined by `and` or `or`, over named parameters."""

    json_schema = {"type": "object", "required": ["type"]}

    def __init__(self, test: Test, names: frozenset[str]) -> None:
        self._test = test
        self.names = names
        """The parameters it asks for."""

    def __call__(self, parameters: Parameters) -> bool:
        """Whether it holds.

        Raises:
            QueryError: a parameter is missing, or two values cannot be compared.
        """
        return self._test(parameters)

    @classmethod
    def parse(cls, value: Any) -> Condition:
        """Read a `StatementGroup`, a `BinaryStatement` or a `UnaryStatement`."""
        names: set[str] = set()
        return cls(_statement(value, "", names), frozenset(names))


def _statement(item: Any, place: str, names: set[str]) -> Test:
    readers = {"StatementGroup": _group, "BinaryStatement": _binary, "UnaryStatement": _unary}
    return readers[_type_of(item, place, readers, "statement")](item, place, names)


def _only(item: Mapping[str, Any], place: str, *known: str) -> None:
    """Unknown fields are errors: a misspelt option would be lost."""
    for key in item:
        if key not in ("type", *known):
            near = did_you_mean(key, known) or f"known: {listing(known)}"
            raise QueryError(f"{UNKNOWN_FIELD} ({near})", f"{place}.{key}")


def _group(item: Mapping[str, Any], place: str, names: set[str]) -> Test:
    _only(item, place, "statements", "operator")
    statements, joint = item.get("statements"), item.get("operator", "or")
    if not isinstance(statements, list) or not statements:
        raise QueryError("a list with at least one statement is needed", f"{place}.statements")
    if joint not in ("and", "or"):
        raise QueryError(f'{joint!r}; "and" or "or" would fit', f"{place}.operator")
    tests = [_statement(part, f"{place}.statements[{index}]", names) for index, part in enumerate(statements)]
    every = all if joint == "and" else any
    return lambda parameters: every(test(parameters) for test in tests)


def _binary(item: Mapping[str, Any], place: str, names: set[str]) -> Test:
    _only(item, place, "left_operand", "comparator", "right_operand", "negate")
    left = _operand(item.get("left_operand"), f"{place}.left_operand", names)
    right = _operand(item.get("right_operand"), f"{place}.right_operand", names)
    name = _type_of(item.get("comparator"), f"{place}.comparator", COMPARATORS, "comparator")
    compare, negate = COMPARATORS[name], _negated(item, place)

    def test(parameters: Parameters) -> bool:
        one, two = left(parameters), right(parameters)
        try:
            return bool(compare(one, two)) != negate
        except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
            raise QueryError(f"`{name}` cannot compare {_short(one)} with {_short(two)}") from error

    return test


def _negated(item: Mapping[str, Any], place: str) -> bool:
    try:
        return _BOOLEAN.validate_python(item.get("negate", False))
    except ValidationError as error:
        raise QueryError(said(error.errors(include_url=False)[0]), f"{place}.negate") from None


def _unary(item: Mapping[str, Any], place: str, names: set[str]) -> Test:
    _only(item, place, "operand", "operator", "negate")
    operand = _operand(item.get("operand"), f"{place}.operand", names)
    name = _type_of(item.get("operator"), f"{place}.operator", UNARY, "operator")
    check, negate = UNARY[name], _negated(item, place)

    def test(parameters: Parameters) -> bool:
        value = operand(parameters)
        try:
            return check(value) != negate
        except (TypeError, ValueError) as error:
            raise QueryError(f"`{name}` cannot take {_short(value)}") from error

    return test


def _operand(item: Any, place: str, names: set[str]) -> Callable[[Parameters], Any]:
    kind = _type_of(item, place, {"StaticOperand": 0, "DynamicOperand": 0}, "operand")
    chain = _chain(item.get("operations", []), f"{place}.operations")
    if kind == "StaticOperand":
        _only(item, place, "value", "operations")
        if "value" not in item:
            raise QueryError("required and missing", f"{place}.value")
        value = item["value"]
        return (lambda parameters: chain(value, parameters)) if chain.steps else (lambda parameters: value)
    _only(item, place, "operand_name", "operations")
    name = item.get("operand_name", DEFAULT_OPERAND)
    if not isinstance(name, str):
        raise QueryError(f"a name is needed, not {a(name)}", f"{place}.operand_name")
    names.add(name)

    def operand(parameters: Parameters) -> Any:
        if name not in parameters:
            raise QueryError(f"the condition asks for `{name}`; given: {listing(parameters)}")
        return chain(parameters[name], parameters)

    return operand
