"""The document of the workflow language, Workflows v1: inputs, steps and outputs as they stand in the JSON.

Steps stay plain dicts here: only their block knows their fields. Every mistake becomes a `Problem` with its place.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from workflow_engine.errors import UNKNOWN_FIELD, Problem, WorkflowDefinitionError, a, did_you_mean, listing
from workflow_engine.plain import check_depth, loads
from workflow_engine.selectors import NAME, SELECTOR_PATTERN, is_name
from workflow_engine.wording import takes


def _kind_name(value: Any) -> Any:
    """Kinds are written as names, or as objects with a name by some editors."""
    return value.get("name", value) if isinstance(value, dict) else value


KindName = Annotated[str, BeforeValidator(_kind_name)]
Name = Annotated[str, Field(pattern=f"^{NAME}$", description="letters, digits, `_` and `-`")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageInput(_Model):
    """A batch of images, one row of results each."""

    type: Literal["WorkflowImage", "InferenceImage"]
    name: Name
    kind: list[KindName] = ["image"]
    dimensionality: Literal[1] = 1


class VideoMetadataInput(_Model):
    """Which frame of which video each image is."""

    type: Literal["WorkflowVideoMetadata"]
    name: Name
    kind: list[KindName] = ["video_metadata"]
    dimensionality: Literal[1] = 1


class BatchInput(_Model):
    """A value for every image (dimensionality 1), or nested lists of values (2 and more)."""

    type: Literal["WorkflowBatchInput"]
    name: Name
    kind: list[KindName] = ["*"]
    dimensionality: Annotated[int, Field(ge=1)] = 1


class ParameterInput(_Model):
    """One value for the whole run; without a `default_value` it must be given."""

    type: Literal["WorkflowParameter", "InferenceParameter"]
    name: Name
    kind: list[KindName] = ["*"]
    default_value: Any = None
    dimensionality: Literal[0] = 0

    @property
    def has_default(self) -> bool:
        """Whether the run may leave it out; a default of null counts."""
        return "default_value" in self.model_fields_set


Input = ImageInput | VideoMetadataInput | BatchInput | ParameterInput


class JsonField(_Model):
    """One output; `parent` coordinates are those of the root image, `own` those of the crop."""

    type: Literal["JsonField"] = "JsonField"
    name: Name
    selector: Annotated[str, Field(pattern=SELECTOR_PATTERN)]
    coordinates_system: Literal["parent", "own"] = "parent"


class DocumentSchema(BaseModel):
    """A workflow definition; the JSON Schema of editors is made of this."""

    model_config = ConfigDict(extra="forbid", title="Workflow")

    version: Annotated[str, Field(pattern=r"^1(\.\d+)*$")]
    inputs: list[Annotated[Input, Field(discriminator="type")]] = []
    steps: list[dict[str, Any]]
    outputs: list[JsonField]
    id: str | None = None
    name: str | None = None
    description: str | None = None
    schema_: Annotated[str | None, Field(alias="$schema")] = None


@dataclass(frozen=True)
class Document:
    """The parts of a definition that are right, each with its index; its steps are not looked into yet.

    Attributes:
        inputs: the inputs.
        steps: the steps as they are written, each name once.
        outputs: the outputs.
        lost: the names of inputs that are wrong in themselves.
        nameless: which of "inputs" and "steps" hold something whose name is missing, wrong or taken, so that a name that
            nobody has may be meant for it.
        warnings: what is ignored.
    """

    inputs: Mapping[int, Input]
    steps: Mapping[int, dict[str, Any]]
    outputs: Mapping[int, JsonField]
    lost: frozenset[str]
    nameless: frozenset[str]
    warnings: tuple[Problem, ...]


_INPUT_MODELS: Mapping[str, type[Input]] = {
    "WorkflowImage": ImageInput,
    "InferenceImage": ImageInput,
    "WorkflowVideoMetadata": VideoMetadataInput,
    "WorkflowBatchInput": BatchInput,
    "WorkflowParameter": ParameterInput,
    "InferenceParameter": ParameterInput,
}
_PATTERNS: Mapping[str, str] = {
    f"^{NAME}$": "a name is made of letters, digits, `_` and `-`",
    SELECTOR_PATTERN: "a selector is needed, such as `$inputs.name`, `$steps.name.output` or `$steps.name.*`",
}
_FIELDS = tuple(field.alias or name for name, field in DocumentSchema.model_fields.items())


def read_definition(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Read a definition from a dict (copied), JSON text, or the path of a JSON file.

    Raises:
        WorkflowDefinitionError: the file is missing, or what is there is not a JSON object.
    """
    if isinstance(source, Mapping):
        try:
            check_depth(source)
        except ValueError as error:
            raise WorkflowDefinitionError([Problem("", str(error))]) from None
        return _unwrapped(_copied(source))
    if not isinstance(source, (str, Path)):
        message = f"a definition is a dict, JSON text, or the path of a JSON file; this is {a(source)}"
        raise WorkflowDefinitionError([Problem("", message)])
    text, where = _text_of(source)
    try:
        definition = loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}line {error.lineno} column {error.colno}"
        raise WorkflowDefinitionError([Problem(place, f"not JSON: {error.msg}")]) from None
    except ValueError as error:
        raise WorkflowDefinitionError([Problem(where.rstrip(": "), str(error))]) from None
    if not isinstance(definition, dict):
        message = f"a definition is a JSON object, this is {a(definition)}"
        raise WorkflowDefinitionError([Problem(where.rstrip(": "), message)])
    return _unwrapped(definition)


def _unwrapped(definition: dict[str, Any]) -> dict[str, Any]:
    """Exports of the field's editors keep the definition under `specification`."""
    inner = definition.get("specification")
    return inner if isinstance(inner, dict) and "steps" not in definition else definition


def _copied(value: Any) -> Any:
    """A copy that shares nothing with the caller's; values JSON cannot hold are left to validation."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _text_of(source: str | Path) -> tuple[str, str]:
    if isinstance(source, str) and source.lstrip().startswith(("{", "[")):
        return source, ""
    path = Path(source)
    try:
        return path.read_text(encoding="utf-8"), f"{path}: "
    except OSError as error:
        reason = error.strerror or str(error)
        raise WorkflowDefinitionError([Problem(str(path)[:200], f"cannot be read: {reason}")]) from None
    except UnicodeDecodeError:
        raise WorkflowDefinitionError([Problem(str(path), "not a text file in UTF-8")]) from None


def parse_document(definition: Mapping[str, Any]) -> tuple[Document, list[Problem]]:
    """The parts of a definition that are right, and a problem for every part that is not."""
    warnings: list[Problem] = []
    problems = _top_level_problems(definition, warnings)
    entries = {scope: _entries(definition, scope, problems) for scope in ("inputs", "steps", "outputs")}
    named = {scope: _named_once(found, scope, problems) for scope, found in entries.items()}
    parsed = {index: _parse_input(raw, f"inputs[{index}]", problems) for index, raw in named["inputs"].items()}
    inputs = {index: item for index, item in parsed.items() if item is not None}
    outputs = {}
    for index, raw in named["outputs"].items():
        try:
            outputs[index] = JsonField.model_validate(raw)
        except ValidationError as error:
            problems += validation_problems(error, raw, f"outputs[{index}]", JsonField)
    lost = {str(raw.get("name")) for index, raw in named["inputs"].items() if index not in inputs}
    nameless = {
        scope
        for scope, found in named.items()
        if len(found) < _length(definition.get(scope)) or not all(is_name(raw.get("name")) for raw in found.values())
    }
    return Document(inputs, named["steps"], outputs, frozenset(lost), frozenset(nameless), tuple(warnings)), problems


def _length(value: Any) -> float:
    """How many entries were meant; nobody knows where it is no list."""
    return 0 if value is None else len(value) if isinstance(value, list) else math.inf


def _named_once(entries: list[tuple[int, dict[str, Any]]], scope: str, problems: list[Problem]) -> dict[int, dict[str, Any]]:
    """The entries without those whose name another one before them has."""
    first: dict[str, int] = {}
    kept = {}
    for index, raw in entries:
        name = raw.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            message = f"the name `{name}` is taken by {scope}[{first[name]}]; {scope} need different names"
            problems.append(Problem(f"{scope}[{index}].name", message))
        else:
            kept[index] = raw
    return kept


def _top_level_problems(definition: Mapping[str, Any], warnings: list[Problem]) -> list[Problem]:
    problems = []
    if definition.get("dynamic_blocks_definitions"):
        message = "code inside a definition is never executed; put the block into a plugin package instead"
        problems.append(Problem("dynamic_blocks_definitions", message))
    missing = [name for name in _FIELDS if name not in definition]
    for key in definition:
        misspelt = did_you_mean(str(key), missing)
        if key in _FIELDS or key == "dynamic_blocks_definitions":
            continue
        if misspelt:
            problems.append(Problem(str(key), UNKNOWN_FIELD, misspelt))
        else:
            warnings.append(Problem(str(key), f"{UNKNOWN_FIELD}, ignored"))
    version = definition.get("version")
    if not isinstance(version, str) or version.split(".")[0] != "1":
        found = "missing" if version is None else f"{version!r} is not supported"
        problems.append(Problem("version", f'{found}; "1.0" would fit'))
    return problems


def _entries(definition: Mapping[str, Any], key: str, problems: list[Problem]) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a list field, each with its index; what is not a list of objects is a problem."""
    value = definition.get(key)
    if value is None and key == "inputs":
        return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        found = "missing" if value is None else a(value)
        problems.append(Problem(key, f"{found}; a list of objects would fit"))
        return []
    entries = []
    for index, entry in enumerate(value):
        if isinstance(entry, dict):
            entries.append((index, entry))
        else:
            problems.append(Problem(f"{key}[{index}]", f"{a(entry)}; an object would fit"))
    return entries


def _parse_input(raw: dict[str, Any], place: str, problems: list[Problem]) -> Input | None:
    kind = raw.get("type")
    model = _INPUT_MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = did_you_mean(str(kind), _INPUT_MODELS) or f"known: {listing(_INPUT_MODELS)}"
        problems.append(Problem(f"{place}.type", f"unknown input type {kind!r}", known))
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems += validation_problems(error, raw, place, model)
        return None


def validation_problems(error: ValidationError, raw: Any, place: str, model: type[BaseModel]) -> list[Problem]:
    """One problem per place of a pydantic error; members of a union that failed at the same place are joined.

    A custom error whose context has `inside`, where within the value the mistake is (`[2].type`, or nothing), says all there
    is to say.
    """
    messages: dict[str, list[str]] = {}
    suggestions: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        path = _path(detail["loc"], raw, place) + str(detail.get("ctx", {}).get("inside", ""))
        text, suggestion = _message(detail, model)
        messages.setdefault(path, [])
        if text not in messages[path]:
            messages[path].append(text)
        suggestions.setdefault(path, suggestion)
    return [Problem(path, " or ".join(texts), suggestions[path]) for path, texts in messages.items()]


def _message(detail: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, names = detail["type"], [field.alias or name for name, field in model.model_fields.items()]
    if kind == "missing":
        return f"required and missing{_wanted(model, detail['loc'])}", ""
    if kind == "extra_forbidden":
        return UNKNOWN_FIELD, did_you_mean(str(detail["loc"][-1]), names) or f"known: {listing(names)}"
    if "inside" in detail.get("ctx", {}):
        return str(detail["msg"]), ""
    return f"{said(detail)}; got {_short(detail['input'])}", ""


def _wanted(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """What would fit a field that is missing, in a few words; nothing where that takes more than a few."""
    properties = model.model_json_schema(by_alias=False)["properties"]
    known = properties.get(place[0]) or next((properties[name] for name, field in model.model_fields.items()
                                              if field.alias == place[0] or _has_choice(field, place[0])), None)  # fmt: skip
    words = takes(known) if len(place) == 1 and known is not None else "anything"
    return "" if "anything" in words else f"; {words} would fit"


def _has_choice(field: Any, name: int | str) -> bool:
    return name in getattr(field.validation_alias, "choices", ())


def said(detail: Any) -> str:
    """What a pydantic error says, in the style of all other messages."""
    pattern = detail.get("ctx", {}).get("pattern")
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    message = str(detail["msg"]).removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _path(loc: Sequence[int | str], raw: Any, place: str) -> str:
    """The place in the JSON of a pydantic location, without the union members that pydantic puts into it."""
    path, value = place, raw
    for position, part in enumerate(loc):
        if isinstance(part, int):
            if isinstance(value, (list, tuple)) and part < len(value):
                path, value = f"{path}[{part}]", value[part]
        elif isinstance(value, dict) and (part in value or position == len(loc) - 1):
            path, value = f"{path}.{part}", value.get(part)
    return path


_PARTS = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def without(raw: dict[str, Any], places: Iterable[str]) -> dict[str, Any]:
    """A copy of an object without some of its fields, each named by its path: `.switch.cases[0].note`."""
    copied: dict[str, Any] = _copied(raw)
    for place in places:
        *way, last = [int(index) if index else name for name, index in _PARTS.findall(place)] or [""]
        inside: Any = copied
        with contextlib.suppress(KeyError, IndexError, TypeError):  # a field that nobody wrote
            for part in way:
                inside = inside[part]
            del inside[last]
    return copied
