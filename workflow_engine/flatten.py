"""Workflows within workflows: a step that stands for the steps of another definition.

Such steps are gone before anything else is compiled: their definitions' steps take their place, with names of their own
(`page__read` for the step `read` within `page`), so that they run in the same batches as all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from pydantic import ValidationError

from workflow_engine.errors import Problem, did_you_mean, listing
from workflow_engine.inner import InnerWorkflow
from workflow_engine.language import Document, ParameterInput, parse_document, validation_problems
from workflow_engine.plugins import Registry
from workflow_engine.selectors import Selector, is_name, is_selector, parse_selector

MOST_DEEP: Final = 8
"""How many definitions may stand within each other."""
MOST: Final = 128
"""How many definitions may stand within one."""


@dataclass(frozen=True)
class Flat:
    """A definition whose steps are all its own.

    Attributes:
        definition: the definition.
        places: where every step stood in the definition it was made of, such as `steps[2].workflow_definition.steps[0]`.
    """

    definition: Mapping[str, Any]
    places: Sequence[str]

    def back(self, problem: Problem) -> Problem:
        """A problem of this definition, at its place in the one it was made of."""
        for index, place in enumerate(self.places):
            own = f"steps[{index}]"
            if problem.place == own or problem.place.startswith((f"{own}.", f"{own}[")):
                return replace(problem, place=place + problem.place.removeprefix(own))
        return problem


@dataclass
class _Level:
    """One definition on its way to a flat one.

    Attributes:
        steps: its steps and those that took the place of others, each with where it stood.
        outputs: of every step that is gone, what its outputs are now.
        parts: of every step that is gone, the steps that stand for it.
        broken: the steps that would be gone if they were right; their own problems are told already.
    """

    steps: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def resolved(self, selector: Selector, place: str, problems: list[Problem]) -> Any:
        """What a reference is now."""
        outputs = self.outputs.get(selector.name) if selector.root == "steps" else None
        if outputs is None or selector.output is None or selector.name in self.broken:
            return str(selector)
        if selector.output not in outputs:
            near = did_you_mean(selector.output, outputs) or f"it has {listing(outputs, none='no outputs')}"
            problems.append(Problem(place, f"the inner workflow `{selector.name}` has no output `{selector.output}`", near))
            return str(selector)
        value = outputs[selector.output]
        return self.resolved(parse_selector(value), place, problems) if _refers(value) else value


class _Flattening:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._count = 0
        self.problems: list[Problem] = []

    def level(self, definition: Mapping[str, Any], place: str, depth: int) -> _Level:
        """The steps of a definition, without inner ones."""
        level, steps = _Level(), definition.get("steps")
        raw_steps = [(f"{place}steps[{index}]", raw) for index, raw in enumerate(steps if isinstance(steps, list) else [])]
        taken = {raw["name"] for _, raw in raw_steps if isinstance(raw, dict) and isinstance(raw.get("name"), str)}
        for where, raw in raw_steps:
            if is_inner(raw, self._registry) and is_name(raw.get("name")):
                self._unfold(raw, where, depth, level, taken)
            else:
                level.steps.append((where, raw))
        level.steps = [(where, self._settled(raw, where, level)) for where, raw in level.steps]
        return level

    def _unfold(self, raw: Mapping[str, Any], where: str, depth: int, level: _Level, taken: set[str]) -> None:
        """Put the steps of an inner definition into the level."""
        name, inside = str(raw["name"]), f"{where}.workflow_definition."
        level.outputs[name], level.parts[name] = {}, []
        manifest = self._manifest(raw, where, depth)
        if manifest is None:
            level.broken.add(name)
            return
        document, problems = parse_document(manifest.workflow_definition)
        self.problems += [replace(problem, place=inside + problem.place) for problem in problems]
        given = self._inputs(document, manifest.parameter_bindings, where)
        inner = self.level(manifest.workflow_definition, inside, depth + 1)
        named = [step["name"] for _, step in inner.steps if isinstance(step, dict) and is_name(step.get("name"))]
        names = {own: _free(f"{name}__{own}", taken) for own in named}

        def renamed(selector: Selector, at: str) -> Any:
            if selector.root == "steps":
                return str(replace(selector, name=names.get(selector.name, f"{name}__{selector.name}")))
            if selector.name not in given and selector.name not in document.lost:
                near = did_you_mean(selector.name, given) or f"inputs: {listing(given)}"
                self.problems.append(Problem(at, f"no input `{selector.name}` (`{selector}`) of the inner workflow", near))
            return given.get(selector.name)

        for at, step in inner.steps:
            fresh = _mapped(step, at, renamed)
            if isinstance(fresh, dict) and fresh.get("name") in names:
                fresh["name"] = names[fresh["name"]]
            level.steps.append((at, fresh))
        for index, output in document.outputs.items():
            at = f"{inside}outputs[{index}].selector"
            level.outputs[name][output.name] = _mapped(
                inner.resolved(parse_selector(output.selector), at, self.problems), at, renamed
            )
        level.parts[name] = list(names.values())

    def _manifest(self, raw: Mapping[str, Any], where: str, depth: int) -> InnerWorkflow.Manifest | None:
        self._count += 1
        if depth >= MOST_DEEP or self._count > MOST:
            limit = f"{MOST_DEEP} deep" if depth >= MOST_DEEP else f"{MOST} in all"
            self.problems.append(Problem(where, f"too many workflows within workflows; {limit} would fit"))
            return None
        try:
            return InnerWorkflow.Manifest.model_validate(raw)
        except ValidationError as error:
            self.problems += validation_problems(error, raw, where, InnerWorkflow.Manifest)
            return None

    def _inputs(self, document: Document, bindings: Mapping[str, Any], where: str) -> dict[str, Any]:
        """What stands for every input of an inner definition."""
        given = dict(bindings)
        known = {item.name: item for item in document.inputs.values()}
        for name in bindings.keys() - known.keys() - document.lost:
            near = did_you_mean(name, known) or f"inputs: {listing(known)}"
            self.problems.append(Problem(f"{where}.parameter_bindings.{name}", "the inner workflow has no such input", near))
        for name, item in known.items():
            if name in given:
                continue
            if isinstance(item, ParameterInput) and item.has_default:
                given[name] = item.default_value
            else:
                message = f"the input `{name}` of the inner workflow is not bound; a reference would fit"
                self.problems.append(Problem(f"{where}.parameter_bindings", message))
                given[name] = None
        return given

    def _settled(self, raw: Any, where: str, level: _Level) -> Any:
        """A step that refers to what the inner steps of its level have become."""

        def settle(selector: Selector, at: str) -> Any:
            parts = level.parts.get(selector.name, ()) if selector.root == "steps" and selector.output is None else ()
            if len(parts) > 1:
                message = f"`{selector}` stands for {len(parts)} steps; a list of steps, as a gate takes it, would fit"
                self.problems.append(Problem(at, message))
            return f"$steps.{parts[0]}" if parts else level.resolved(selector, at, self.problems)

        return _mapped(_spliced(raw, level.parts), where, settle) if level.outputs else raw


def is_inner(raw: object, registry: Registry) -> bool:
    """Whether a step stands for the steps of another definition."""
    kind = raw.get("type") if isinstance(raw, dict) else None
    return isinstance(kind, str) and registry.blocks.get(kind) is InnerWorkflow


def flatten(definition: Mapping[str, Any], registry: Registry) -> tuple[Flat, list[Problem]]:
    """A definition without inner workflows, and what is wrong with those it has."""
    steps = definition.get("steps")
    if not isinstance(steps, list) or not any(is_inner(raw, registry) for raw in steps):
        return Flat(definition, ()), []
    work = _Flattening(registry)
    level = work.level(definition, "", 0)

    def settle(selector: Selector, at: str) -> Any:
        value = level.resolved(selector, at, work.problems)
        if not _refers(value) and not work.problems:
            work.problems.append(Problem(at, f"`{selector}` is the value {value!r}, not an output of a step"))
        return value

    outputs = _mapped(definition.get("outputs"), "outputs", settle)
    flat = {**definition, "steps": [raw for _, raw in level.steps], "outputs": outputs}
    return Flat(flat, [place for place, _ in level.steps]), work.problems


def _refers(value: object) -> bool:
    try:
        return is_selector(value) and bool(parse_selector(cast(str, value)))
    except ValueError:
        return False


def _mapped(value: Any, place: str, change: Callable[[Selector, str], Any]) -> Any:
    """A value with every reference in it replaced."""
    if isinstance(value, dict):
        return {key: _mapped(item, f"{place}.{key}", change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, f"{place}[{index}]", change) for index, item in enumerate(value)]
    return change(parse_selector(value), place) if _refers(value) else value


def _spliced(value: Any, parts: Mapping[str, list[str]]) -> Any:
    """A value in whose lists the steps that are gone are replaced by those that stand for them."""
    if isinstance(value, dict):
        return {key: _spliced(item, parts) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    whole = {f"$steps.{name}": [f"$steps.{part}" for part in names] for name, names in parts.items()}
    return [fresh for item in value for fresh in (whole[item] if isinstance(item, str) and item in whole
                                                  else [_spliced(item, parts)])]  # fmt: skip


def _free(name: str, taken: set[str]) -> str:
    """A name that no step has yet."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}__{number}"
    taken.add(free)
    return free
