"""The block contract: what a block takes, what it gives, and how it is called.

A block is one class with one manifest, a pydantic model whose fields are the fields of its step in the JSON::

    class Blur(Block):
        \"\"\"Blur an image.\"\"\"

        class Manifest(BlockManifest):
            type: Literal["acme/blur@v1"]
            image: ImageReference
            size: Value[Annotated[int, Field(ge=1)]] = 5

        outputs = {"image": Output(IMAGE)}

        def run(self, image: Image, size: int) -> Image: ...

**Fields.** `Reference` fields take a selector only (`ImageReference`, `DetectionsReference`, or
`Annotated[Reference, Accepts(KIND, ...)]`); `Value[T]` fields take a literal of T or a selector. Both may be items of a
list or values of a dict (`dict[str, Value[Any]]`). `Target` fields name a step (flow control). A field of any other type
is a plain literal.

**Calls.** `run` gets every field but `type` and `name` by name, with values in place of selectors, once per element. With
`batched = True` it is called once for all elements, in one flat batch however deeply they are nested: every field arrives
as a list with one entry per element, and the answer is a list with one entry per element. A block with one output returns
its value; with several outputs, a dict with exactly their names. `dimension` says how deep the answer lies::

    0   one answer per element
    +1  a list of answers per element: each opens a new element one dimension deeper (crops)
    -1  the deepest inputs arrive as lists with the inner elements; one answer per outer element (collapse). `inner` names
        the fields this is meant for; a collapse of values that are one per image gives one answer per run

None is no value: what a block answers None for, is skipped by the next block, unless that one has `accepts_missing` or the
field says that it may be null (`Value[str | None]`).

A block may return an exception in place of an element's answer: that element alone has failed. `Partly` is an answer that is
there though parts of it failed; the report names them. A batched block that raises is called again with fewer elements at a
time, until those it raises for are alone.
A block never sees lineage, selectors or other steps.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import getitem
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import Never

from workflow_engine.kinds import (
    ANY,
    BOOLEAN,
    DETECTIONS_TAKEN,
    DICTIONARY,
    FLOAT,
    FLOAT_ZERO_TO_ONE,
    IMAGE,
    INTEGER,
    LANGUAGE_MODEL_OUTPUT,
    LIST_OF_VALUES,
    STRING,
    Kind,
)
from workflow_engine.selectors import SELECTOR_PATTERN, Selector, is_selector, parse_selector

T = TypeVar("T")

_NEAR_SELECTOR = re.compile(r"^\$?(input|step)s?\.")
_KINDS_OF_TYPE: Mapping[Any, tuple[Kind, ...]] = {
    int: (INTEGER, FLOAT),
    float: (FLOAT, FLOAT_ZERO_TO_ONE, INTEGER),
    str: (STRING, LANGUAGE_MODEL_OUTPUT),
    bool: (BOOLEAN,),
    list: (LIST_OF_VALUES,),
    tuple: (LIST_OF_VALUES,),
    dict: (DICTIONARY,),
}


@dataclass(frozen=True)
class Reference:
    """A selector in a validated manifest, with what its place accepts.

    Attributes:
        selector: what it refers to.
        kinds: the kinds its place accepts.
        literal: validates values that come in through it, where the place also takes literals.
    """

    selector: Selector
    kinds: tuple[Kind, ...] = (ANY,)
    literal: TypeAdapter[Any] | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate a selector string."""
        return core_schema.no_info_plain_validator_function(_reference)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A selector string, for editors."""
        return {"type": "string", "pattern": SELECTOR_PATTERN}


def _reference(value: Any) -> Reference:
    if isinstance(value, Reference):
        return value
    if not is_selector(value):
        meant = _NEAR_SELECTOR.sub(r"$\1s.", value) if isinstance(value, str) else value
        near = f" (did you mean `{meant}`?)" if meant != value else ""
        raise PydanticCustomError(
            "reference", "a reference is needed, such as `$inputs.image` or `$steps.name.output`; got {got}{near}",
            {"got": repr(value)[:80], "near": near, "inside": ""},
        )  # fmt: skip
    try:
        return Reference(parse_selector(value))
    except ValueError as error:
        raise PydanticCustomError("reference", "{error}", {"error": str(error), "inside": ""}) from None


class Accepts:
    """The kinds a field accepts: `Annotated[Reference, Accepts(IMAGE, STRING)]`, `Annotated[Value[str], Accepts(STRING)]`."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Stamp the kinds on the references that the annotated type validates."""
        return core_schema.no_info_after_validator_function(self._stamp, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name the kinds beside the pattern, for people who read the schema."""
        return {**handler(schema), "kinds": [kind.name for kind in self.kinds]}

    def _stamp(self, value: Any) -> Any:
        return replace(value, kinds=self.kinds) if isinstance(value, Reference) else value


ImageReference = Annotated[Reference, Accepts(IMAGE)]
DetectionsReference = Annotated[Reference, Accepts(*DETECTIONS_TAKEN)]
AnyReference = Annotated[Reference, Accepts(ANY)]


if TYPE_CHECKING:
    Value: TypeAlias = T | Reference
else:

    class Value(Generic[T]):
        """A literal of T, or a reference to something that gives one.

        The kinds a reference may have follow from T; `Annotated[Value[T], Accepts(...)]` says them outright. Constraints go on
        the literal: `Value[Annotated[int, Field(ge=0)]]`. Values that come in through the reference are validated like
        literals.
        """

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            """Take references aside, and validate everything else as T."""
            (literal,) = get_args(source) or (Any,)
            kinds = _kinds_of(literal)

            def validate(value: Any, literals: core_schema.ValidatorFunctionWrapHandler) -> Any:
                if not is_selector(value) and not isinstance(value, Reference):
                    return literals(value)
                return replace(_reference(value), kinds=kinds, literal=_adapter(literal))

            return core_schema.no_info_wrap_validator_function(validate, handler.generate_schema(literal))

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
            """Either the literal or a selector string."""
            return {"anyOf": [handler(schema), {"type": "string", "pattern": SELECTOR_PATTERN}]}


def _kinds_of(literal: Any) -> tuple[Kind, ...]:
    """The kinds whose values may stand for a literal type."""
    if hasattr(literal, "__metadata__"):
        return _kinds_of(get_args(literal)[0])
    if literal in _KINDS_OF_TYPE:
        return _KINDS_OF_TYPE[literal]
    origin = getattr(literal, "__origin__", None)
    if origin in _KINDS_OF_TYPE:
        return _KINDS_OF_TYPE[origin]
    members = [kind for arg in get_args(literal) if arg is not type(None) for kind in _member_kinds(arg)]
    return tuple(dict.fromkeys(members)) or (ANY,)


def _member_kinds(member: Any) -> tuple[Kind, ...]:
    """The kinds of one member of a union, or of one value of a `Literal`."""
    return _KINDS_OF_TYPE.get(type(member), (ANY,)) if not isinstance(member, type) else _kinds_of(member)


@lru_cache(maxsize=1024)
def _adapter(literal: Any) -> TypeAdapter[Any] | None:
    return None if literal is Any else TypeAdapter(literal)


@dataclass(frozen=True)
class Target:
    """A step named by a flow-control block: `$steps.name`."""

    step: str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate `$steps.name`."""
        return core_schema.no_info_plain_validator_function(_target)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A step selector, for editors."""
        return {"type": "string", "pattern": r"^\$steps\.[A-Za-z0-9_-]+$"}


def _target(value: Any) -> Target:
    if isinstance(value, Target):
        return value
    selector = parse_selector(value) if is_selector(value) else None
    if selector is None or selector.root != "steps" or selector.output is not None:
        raise PydanticCustomError(
            "target", "a step is needed, such as `$steps.name`; got {got}", {"got": repr(value)[:80], "inside": ""}
        )
    return Target(selector.name)


class BlockManifest(BaseModel):
    """The fields of a step. Subclasses add `type: Literal[...]` with every name they answer to, and their own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True, protected_namespaces=())

    name: str


@dataclass(frozen=True, init=False)
class Output:
    """One output of a block: the kinds its values may have."""

    kinds: tuple[Kind, ...]

    def __init__(self, *kinds: Kind) -> None:
        object.__setattr__(self, "kinds", kinds or (ANY,))


@dataclass(frozen=True)
class Partly:
    """An answer parts of which failed: its element is done, and the report tells of the parts.

    Attributes:
        value: the answer, with something that bears no harm in place of the parts.
        failed: why each part failed, by what it is called: `regions[3]`.
    """

    value: Any
    failed: Mapping[str, Exception]


class Block(ABC):
    """One step's code; see the module's docstring for the contract. One instance per step of a compiled workflow.

    Attributes:
        Manifest: the fields of its step.
        outputs: its outputs by name.
        dimension: how much deeper its answers lie than its inputs: 0, +1 or -1.
        batched: whether `run` is called once for all elements, with lists of one entry per element for every field.
        inner: where it closes a dimension, the fields that arrive as lists; the others lie one dimension above. Without
            names, whatever is deepest arrives as lists.
        accepts_missing: whether skipped and failed inputs arrive as None instead of skipping the element.
        light: whether `run` takes microseconds, so that it is called on the scheduling thread.
        parallel: whether `run` may be called from several threads at once: it keeps nothing and spends its time outside of
            Python (OpenCV, numpy).
        view: the field with the image that detections and zones in the other fields are brought to, in its pixels; the only
            image among the fields where it is empty. A block without an image gets them all on the view of the first. None:
            they stay as they come.
        stateful: whether it keeps something from one element to the next, such as a tracker: elements come one by one in
            order, and every stream has an instance of its own.
        requires: the packages it needs that not everybody has: modules, each with what `pip install` takes for it. A definition
            with the block is refused where one is missing, with these words.
    """

    Manifest: ClassVar[type[BlockManifest]]
    outputs: ClassVar[Mapping[str, Output]] = {}
    dimension: ClassVar[int] = 0
    inner: ClassVar[tuple[str, ...]] = ()
    batched: ClassVar[bool] = False
    accepts_missing: ClassVar[bool] = False
    light: ClassVar[bool] = False
    parallel: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    view: ClassVar[str | None] = ""
    requires: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def outputs_of(cls, manifest: Any) -> Mapping[str, Output]:
        """The outputs of a step with this manifest, for blocks whose outputs depend on their fields."""
        return cls.outputs

    @classmethod
    def depends_on(cls, fields: Mapping[str, Any]) -> Any:
        """What answers depend on besides the block's fields and code, as JSON, such as a digest of a model's files.

        Results that an earlier run left in a folder are continued by `--resume` only where this is the same still.

        Args:
            fields: the fields that are known before anything runs: literals and parameters.

        Returns:
            None where there is nothing of the kind, or nothing is known of it yet.
        """
        return None

    @classmethod
    def remembers(cls, manifest: Any) -> bool:
        """Whether a step with this manifest is stateful, for blocks of which it depends on their fields."""
        return cls.stateful

    @classmethod
    def has_fixed_outputs(cls) -> bool:
        """Whether every step of this block has the same outputs."""
        return cls.outputs_of.__func__ is Block.outputs_of.__func__  # type: ignore[attr-defined]

    @abstractmethod
    def run(self, *args: Any, **fields: Any) -> Any:
        """Answer one element, or one flat batch where `batched` says so. Fields come by name."""


class FlowControl(Block):
    """A block that decides which of the steps it names go on; it has no outputs.

    `run` returns those of its targets that go on for the element; the others are skipped.
    """

    @abstractmethod
    def run(self, *args: Any, **fields: Any) -> Iterable[Target]:
        """The targets that go on."""


def field_place(field: FieldInfo) -> tuple[tuple[Kind, ...], Any]:
    """What a field of a manifest takes: the kinds of references, and the type of literals.

    Returns:
        No kinds where it takes no references, and `Never` for a type where it takes no literals.
    """
    given, told = field.annotation, next((item.kinds for item in field.metadata if isinstance(item, Accepts)), None)
    if given is Reference:
        return told or (ANY,), Never
    if getattr(given, "__origin__", None) is not Value:
        return (), given
    (literal,) = get_args(given)
    return told or _kinds_of(literal), literal


def type_literal(*names: str) -> Any:
    """`Literal[names]`, for manifests that are made from a table."""
    return getitem(cast(Any, Literal), names)


def block_types(block: type[Block]) -> tuple[str, ...]:
    """Every type name a block answers to, its own first."""
    return tuple(get_args(block.Manifest.model_fields["type"].annotation))
