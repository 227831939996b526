"""Steps on their way from JSON to the plan: the block found, the manifest validated, every reference listed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from workflow_engine.block import Block, BlockManifest, Output, Reference, Target
from workflow_engine.errors import UNKNOWN_FIELD, Problem, did_you_mean, listing
from workflow_engine.language import validation_problems, without
from workflow_engine.packages import missing_packages
from workflow_engine.plugins import Registry
from workflow_engine.selectors import Selector, is_name, is_selector, parse_selector

_FOREIGN_PREFIX = "roboflow_core/"


@dataclass(frozen=True)
class Use:
    """One reference of a step: in which field, at which list index or dict key, and where that is in the JSON."""

    field: str
    key: int | str | None
    reference: Reference
    place: str


@dataclass
class Draft:
    """A step whose block is known and whose manifest is valid."""

    index: int
    name: str
    block: type[Block]
    manifest: BlockManifest
    instance: Block
    outputs: Mapping[str, Output]
    uses: list[Use] = field(default_factory=list)
    targets: list[tuple[str, str]] = field(default_factory=list)
    """The steps it names for flow control: (place, step)."""

    @property
    def place(self) -> str:
        """Where the step is in the definition."""
        return f"steps[{self.index}]"


def draft_steps(
    steps: Mapping[int, dict[str, Any]], registry: Registry, problems: list[Problem], warnings: list[Problem]
) -> list[Draft]:
    """A draft of every step that is right in itself; a problem for every other."""
    drafts = []
    for index, raw in steps.items():
        place = f"steps[{index}]"
        block = _find_block(raw, place, registry, problems)
        if not is_name(raw.get("name")):
            found = f"got {raw['name']!r}" if "name" in raw else "missing"
            problems.append(Problem(f"{place}.name", f"{found}; letters, digits, `_` and `-` would fit"))
            continue
        if block is None:
            continue
        for requirement, fault in missing_packages(block.requires).items():
            problems.append(Problem(place, f"it needs what is not here: {fault}", f"`pip install '{requirement}'` would fit"))
        try:
            manifest = _validate(raw, place, block, problems, warnings)
            if manifest is not None:
                drafts.append(_draft(index, block, manifest, raw, problems))
        except Exception as error:  # a block that does not keep the contract, not a mistake of the definition
            problems.append(_broken(block, place, error, registry))
    return drafts


def _broken(block: type[Block], place: str, error: Exception, registry: Registry) -> Problem:
    """The problem of a block that raises what it must not: in its manifest, its outputs or its construction."""
    source = registry.sources.get(block)
    of = f" of plugin `{source.name}` of {source.distribution}" if source else ""
    return Problem(place, f"the block{of} is broken: {type(error).__name__}: {' '.join(str(error).split())[:500]}")


def loose_selectors(steps: Mapping[int, dict[str, Any]], drafts: list[Draft]) -> Iterator[tuple[str, Selector]]:
    """The references of steps that have no draft, so that what is wrong with them is told in the same breath."""
    drafted = {draft.index for draft in drafts}
    for index, raw in steps.items():
        if index not in drafted:
            for place, text in _selectors_in(raw, f"steps[{index}]"):
                try:
                    selector = parse_selector(text)
                except ValueError:
                    continue  # told by the field it stands in
                if selector.root == "inputs" or selector.output is not None:
                    yield place, selector


def _find_block(raw: Mapping[str, Any], place: str, registry: Registry, problems: list[Problem]) -> type[Block] | None:
    name = raw.get("type")
    block = registry.blocks.get(name) if isinstance(name, str) else None
    if block is None:
        problems.append(_unknown(name, f"{place}.type", registry))
    return block


def _unknown(name: Any, place: str, registry: Registry) -> Problem:
    """The problem of a block type that nobody here answers to."""
    if name is None:
        return Problem(place, "missing", "`workflow blocks` lists all")
    absence = registry.absence(str(name))
    if str(name) in registry.lost:
        return Problem(place, f"the block `{name}` cannot be used", absence)
    elsewhere = registry.nearest(str(name))
    if elsewhere is not None:
        return Problem(place, f"`{name}` is a block of another runtime that is not here", f"nearest is `{elsewhere}`")
    near = did_you_mean(str(name), registry.blocks) or "`workflow blocks` lists all"
    return Problem(place, f"unknown block type `{name}`", f"{near}; {absence}" if absence else near)


def _is_foreign(name: str) -> bool:
    """Whether a type name is that of another runtime, or an old one of its blocks (`Crop`); own names have a vendor.

    Definitions with such names were written for it, and its newer and older fields must not stop them.
    """
    return name.startswith(_FOREIGN_PREFIX) or "/" not in name


def _validate(
    raw: dict[str, Any], place: str, block: type[Block], problems: list[Problem], warnings: list[Problem]
) -> BlockManifest | None:
    """The manifest of a step; fields nobody knows are problems, or warnings in another runtime's step, at any depth."""
    known = {spelling for name in block.Manifest.model_fields for spelling in spellings(block.Manifest, name)}
    foreign = _is_foreign(str(raw.get("type")))
    if foreign:
        for key in raw.keys() - known:
            warnings.append(Problem(f"{place}.{key}", f"{UNKNOWN_FIELD}, ignored", did_you_mean(key, known)))
        raw = {key: value for key, value in raw.items() if key in known}
    try:
        return block.Manifest.model_validate(raw)
    except ValidationError as error:
        found = validation_problems(error, raw, place, block.Manifest)
    ignored = [warning for problem in found if (warning := _ignored(problem, place, raw, block))] if foreign else []
    less = without(raw, [warning.place.removeprefix(place) for warning in ignored])
    if less == raw:
        problems += found
        return None
    warnings += ignored
    return _validate(less, place, block, problems, warnings)


def _ignored(problem: Problem, place: str, raw: Mapping[str, Any], block: type[Block]) -> Problem | None:
    """The warning of a mistake that another runtime overlooks: a field that nobody knows, or null for the default."""
    if problem.message.startswith(UNKNOWN_FIELD):
        return replace(problem, message=f"{UNKNOWN_FIELD}, ignored")
    key = problem.place.removeprefix(f"{place}.")
    field = block.Manifest.model_fields.get(key)
    if field is None or field.is_required() or key not in raw or raw[key] is not None:
        return None
    return Problem(problem.place, "null, the default counts")


def _draft(index: int, block: type[Block], manifest: BlockManifest, raw: Mapping[str, Any], problems: list[Problem]) -> Draft:
    draft = Draft(index, manifest.name, block, manifest, block(), dict(block.outputs_of(manifest)))
    for name in type(manifest).model_fields:
        if name in ("type", "name"):
            continue
        written = next((spelling for spelling in spellings(type(manifest), name) if spelling in raw), name)
        for key, value in _items(getattr(manifest, name)):
            place = f"{draft.place}.{written}" + _suffix(key)
            if isinstance(value, Reference):
                draft.uses.append(Use(name, key, value, place))
            elif isinstance(value, Target):
                draft.targets.append((place, value.step))
            else:
                problems += [Problem(deep, _TOO_DEEP.format(found)) for deep, found in _selectors_in(value, place)]
    return draft


def spellings(manifest: type[BlockManifest], field: str) -> list[str]:
    """Every name that a field may have in the JSON."""
    alias = manifest.model_fields[field].validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
    return list(dict.fromkeys([field, *(str(choice) for choice in choices)]))


_TOO_DEEP = (
    "the reference `{}` is not read here; references fit fields that take them, the items of their lists and the values of "
    "their dicts, one level deep"
)


def _items(value: Any) -> Iterator[tuple[int | str | None, Any]]:
    """The places of a field that may hold a reference: itself, its items, its values."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)
    else:
        yield None, value


def _suffix(key: int | str | None) -> str:
    if key is None:
        return ""
    return f"[{key}]" if isinstance(key, int) else f".{key}"


def _selectors_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Strings meant as references in what was taken as a literal."""
    if is_selector(value):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _selectors_in(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, (Mapping, list, tuple)):
        for key, item in _items(value):
            yield from _selectors_in(item, place + _suffix(key))


def target_problems(drafts: list[Draft], names: Collection[str]) -> list[Problem]:
    """Flow-control targets that are no steps."""
    return [
        Problem(place, f"no step `{step}`", did_you_mean(step, names) or f"steps: {listing(sorted(names))}")
        for draft in drafts
        for place, step in draft.targets
        if step not in names
    ]
