"""What a selector refers to, and whether its kinds fit where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workflow_engine.block import FlowControl, Output, Reference
from workflow_engine.drafts import Draft
from workflow_engine.errors import Problem, did_you_mean, listing
from workflow_engine.kinds import ANY, DICTIONARY, Kind, fit
from workflow_engine.language import Document, Input, ParameterInput
from workflow_engine.plan import Column
from workflow_engine.plugins import Registry
from workflow_engine.selectors import Selector, parse_selector


@dataclass(frozen=True)
class Names:
    """Everything a selector can name.

    Attributes:
        inputs: the kinds of every input.
        steps: the outputs of every step whose block is known.
        broken: the names of the steps that are not right in themselves, whose own problems are told already.
        lost: the names of the inputs that are not, likewise.
        nameless: which of "inputs" and "steps" hold something that has no name of its own, so that a name nobody has may be
            meant for it.
    """

    inputs: Mapping[str, tuple[Kind, ...]]
    steps: Mapping[str, Mapping[str, Output]]
    broken: frozenset[str]
    lost: frozenset[str]
    nameless: frozenset[str]

    def resolve(self, selector: Selector, place: str) -> tuple[tuple[Kind, ...] | None, list[Problem]]:
        """The kinds of what a selector names; None when it names nothing (then with a problem, or told elsewhere)."""
        if selector.root == "inputs":
            if selector.name in self.inputs:
                return self.inputs[selector.name], []
            if selector.name in self.lost or "inputs" in self.nameless:
                return None, []
            near = did_you_mean(selector.name, self.inputs) or f"inputs: {listing(self.inputs)}"
            return None, [Problem(place, f"no input `{selector.name}` (`{selector}`)", near)]
        if selector.name not in self.steps and (selector.name in self.broken or "steps" in self.nameless):
            return None, []
        if selector.name not in self.steps:
            near = did_you_mean(selector.name, self.steps) or f"steps: {listing(self.steps)}"
            return None, [Problem(place, f"no step `{selector.name}` (`{selector}`)", near)]
        return self._output(selector, place)

    def _output(self, selector: Selector, place: str) -> tuple[tuple[Kind, ...] | None, list[Problem]]:
        outputs = self.steps[selector.name]
        if selector.output == "*":
            return (DICTIONARY,), []
        if selector.output is not None and selector.output in outputs:
            return outputs[selector.output].kinds, []
        has = f"it has {listing(outputs, none='no outputs')}"
        if selector.output is None:
            return None, [Problem(place, f"`{selector}` names a whole step, an output is needed", has)]
        near = did_you_mean(selector.output, outputs) or has
        return None, [Problem(place, f"step `{selector.name}` has no output `{selector.output}`", near)]


def names_of(document: Document, drafts: list[Draft], registry: Registry, problems: list[Problem]) -> Names:
    """Collect what can be named; kinds that nobody registered are problems."""
    kinds = {item.name: _kinds(item, f"inputs[{index}]", registry, problems) for index, item in document.inputs.items()}
    steps = {draft.name: draft.outputs for draft in drafts}
    others = {str(raw["name"]): registry.blocks.get(str(raw.get("type"))) for raw in document.steps.values() if "name" in raw}
    broken = frozenset(others) - steps.keys()
    known = {name: block.outputs for name, block in others.items() if block and name in broken and block.has_fixed_outputs()}
    return Names(kinds, {**steps, **known}, broken, document.lost, document.nameless)


def _kinds(item: Input, place: str, registry: Registry, problems: list[Problem]) -> tuple[Kind, ...]:
    found = []
    for index, name in enumerate(item.kind):
        if name in registry.kinds:
            found.append(registry.kinds[name])
        else:
            hints = (did_you_mean(name, registry.kinds), registry.absence(name))
            problems.append(Problem(f"{place}.kind[{index}]", f"unknown kind `{name}`", "; ".join(filter(None, hints))))
    return tuple(found) or (ANY,)


def use_problems(drafts: list[Draft], names: Names) -> tuple[list[Problem], set[str]]:
    """Problems of every reference of every step, and the steps that have some (or lean on a broken one)."""
    problems, bad = [], set()
    for draft in drafts:
        for use in draft.uses:
            selector = use.reference.selector
            kinds, found = names.resolve(selector, use.place)
            if kinds is not None and selector.output == "*":
                found = [Problem(use.place, f"`{selector}` fits outputs only; name one output")]
            elif kinds is not None and not fit(kinds, use.reference.kinds):
                found = [_misfit(use.place, use.reference, kinds)]
            if found or kinds is None or (selector.root == "steps" and selector.name in names.broken):
                bad.add(draft.name)
            problems += found
    return problems, bad


def _misfit(place: str, reference: Reference, kinds: tuple[Kind, ...]) -> Problem:
    given, wanted = (listing(kind.name for kind in group) for group in (kinds, reference.kinds))
    return Problem(place, f"`{reference.selector}` is {given}; {wanted} would fit")


def column_of(selector: Selector) -> Column:
    """The column that a resolved selector reads."""
    return ("", selector.name) if selector.root == "inputs" else (selector.name, selector.output or "")


def output_columns(text: str, names: Names, place: str) -> tuple[dict[str, Column], dict[str, tuple[Kind, ...]], list[Problem]]:
    """The columns of an output by key (an empty key where the value itself is the output), with their kinds."""
    selector = parse_selector(text)
    kinds, problems = names.resolve(selector, place)
    if kinds is None:
        return {}, {}, problems
    if selector.output != "*":
        return {"": column_of(selector)}, {"": kinds}, []
    outputs = names.steps[selector.name]
    return {name: (selector.name, name) for name in outputs}, {name: output.kinds for name, output in outputs.items()}, []


def needs_of(drafts: list[Draft]) -> dict[str, set[str]]:
    """For every step the steps it waits for: those it reads from, and the flow control that names it."""
    needs = {draft.name: {use.reference.selector.name for use in draft.uses if use.reference.selector.root == "steps"}
             for draft in drafts}  # fmt: skip
    for draft in drafts:
        if issubclass(draft.block, FlowControl):
            for _, target in draft.targets:
                needs.get(target, set()).add(draft.name)
    return {name: needed & needs.keys() for name, needed in needs.items()}


def is_batch(item: Input) -> bool:
    """Whether an input has a value per image."""
    return not isinstance(item, ParameterInput)
