"""From a definition to a frozen plan, in ordered passes that report all problems at once.

inner workflows -> syntax -> names -> blocks and fields -> references -> kinds -> cycles -> lineage and control flow -> plan
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workflow_engine.block import Reference
from workflow_engine.drafts import Draft, Use, draft_steps, loose_selectors, target_problems
from workflow_engine.errors import Problem, WorkflowDefinitionError, listing, shown
from workflow_engine.flatten import flatten
from workflow_engine.graph import cycles, run_order
from workflow_engine.kinds import IMAGE, Kind
from workflow_engine.language import Document, Input, ParameterInput, parse_document, said
from workflow_engine.lineage import RUN, Lineage
from workflow_engine.plan import BoundField, Made, Plan, PlannedInput, PlannedOutput, PlannedStep, Source
from workflow_engine.plugins import Registry
from workflow_engine.references import Names, column_of, is_batch, names_of, needs_of, output_columns, use_problems
from workflow_engine.selectors import Selector
from workflow_engine.viewing import Views


@dataclass
class _Compilation:
    """What the passes learn, in one place."""

    document: Document
    problems: list[Problem]
    warnings: list[Problem] = field(default_factory=list)
    lineage: Lineage = field(default_factory=Lineage)
    input_levels: dict[str, int] = field(default_factory=dict)
    run_levels: dict[str, int] = field(default_factory=dict)
    output_levels: dict[str, int] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)
    gates: dict[str, list[str]] = field(default_factory=dict)


def compile_definition(definition: Mapping[str, Any], registry: Registry) -> tuple[Plan, tuple[Problem, ...]]:
    """Compile a definition.

    Returns:
        The plan, and the warnings: what is ignored in steps written for another runtime.

    Raises:
        WorkflowDefinitionError: with every problem of the definition.
    """
    flat, wrong = flatten(definition, registry)
    if wrong:
        raise WorkflowDefinitionError(wrong)
    try:
        plan, warnings = _compile_flat(flat.definition, registry, (_compiled_again, (definition, registry)))
    except WorkflowDefinitionError as error:
        raise WorkflowDefinitionError([flat.back(problem) for problem in error.problems]) from None
    return plan, tuple(flat.back(problem) for problem in warnings)


def _compiled_again(definition: Mapping[str, Any], registry: Registry) -> Plan:
    return compile_definition(definition, registry)[0]


def _compile_flat(definition: Mapping[str, Any], registry: Registry, made: Made) -> tuple[Plan, list[Problem]]:
    """Compile a definition without workflows within; `made` is how to make the plan again."""
    document, problems = parse_document(definition)
    state = _Compilation(document, problems, list(document.warnings))
    drafts = draft_steps(document.steps, registry, problems, state.warnings)
    names = _resolve(state, drafts, registry)
    for place, selector in loose_selectors(document.steps, drafts):
        problems += names.resolve(selector, place)[1]
    found, bad = use_problems(drafts, names)
    problems += found
    ordered = _order(state, [draft for draft in drafts if draft.name not in bad])
    _assign_levels(state, ordered)
    outputs = _plan_outputs(state, names)
    defaults = _default_problems(state, ordered)
    if problems or defaults:
        raise WorkflowDefinitionError([*problems, *defaults])
    views = Views(names, state.lineage, lambda selector: _level_of(state, selector))
    plan = Plan(
        levels=tuple(state.lineage.levels),
        inputs=tuple(_plan_input(state, item, ordered, names) for item in document.inputs.values()),
        steps=tuple(_plan_step(state, draft, views) for draft in ordered),
        outputs=outputs,
        made=made,
    )
    return plan, state.warnings


def _resolve(state: _Compilation, drafts: list[Draft], registry: Registry) -> Names:
    """The pass over names: unknown targets, unknown kinds."""
    document = state.document
    if "steps" not in document.nameless:
        state.problems += target_problems(drafts, {str(raw["name"]) for raw in document.steps.values()})
    return names_of(document, drafts, registry, state.problems)


def _order(state: _Compilation, drafts: list[Draft]) -> list[Draft]:
    """The drafts in an order in which they can run; cycles are problems and leave nothing to order."""
    state.needs = needs_of(drafts)
    by_name = {draft.name: draft for draft in drafts}
    order = run_order(by_name, state.needs)
    if order is None:
        for walk in cycles(by_name, state.needs):
            place = by_name[walk[0]].place
            state.problems.append(Problem(place, f"a cycle: {' -> '.join(walk)}; no step of it can start before itself"))
        return []
    for draft in drafts:
        for _, target in draft.targets:
            state.gates.setdefault(target, []).append(draft.name)
    return [by_name[name] for name in order]


def _assign_levels(state: _Compilation, ordered: list[Draft]) -> None:
    """The pass over lineage: the level every step runs on, and the level of its answers."""
    lineage = state.lineage
    batch = None
    for item in state.document.inputs.values():
        if not is_batch(item):
            state.input_levels[item.name] = RUN
            continue
        batch = lineage.open(RUN, "the input images") if batch is None else batch
        level = batch
        for depth in range(1, item.dimensionality):
            level = lineage.open(level, f"$inputs.{item.name} (dimension {depth + 1})")
        state.input_levels[item.name] = level
    for draft in ordered:
        _assign_level(state, draft)


def _assign_level(state: _Compilation, draft: Draft) -> None:
    if not state.needs[draft.name] <= state.run_levels.keys():
        return  # a step it needs has a problem of its own
    used = {use.place: level for use in draft.uses if (level := _level_of(state, use.reference.selector)) is not None}
    used |= {f"the gate `{gate}`": state.run_levels[gate] for gate in state.gates.get(draft.name, ())}
    level = state.lineage.deepest(used.values())
    if level is None:
        state.problems.append(_mixed(state, draft, used))
        return
    if draft.block.dimension < 0:
        wrong = _depth_problem(state, draft, used, level)
        if wrong is not None:
            state.problems.append(wrong)
            return
    state.run_levels[draft.name] = level
    state.output_levels[draft.name] = _answer_level(state.lineage, level, draft)


def _depth_problem(state: _Compilation, draft: Draft, used: Mapping[str, int], level: int) -> Problem | None:
    """What is wrong with the depths of a block that closes a dimension: its inner inputs lie one deeper than the others."""
    if not draft.block.inner:
        message = "it closes a dimension, but its deepest input has none to close"
        said = f"{message} ({state.lineage.describe(level)}); values of images or crops would fit"
        return Problem(draft.place, said) if level == RUN else None
    for use in draft.uses:
        found, inner = used.get(use.place), use.field in draft.block.inner
        if found is None or (found == level) == inner:
            continue
        described = state.lineage.describe(found)
        if inner:
            message = f"it closes the dimension of this input ({described}), but another one is deeper"
            return Problem(use.place, f"{message} ({state.lineage.describe(level)}); values that are as deep would fit")
        inside = listing(draft.block.inner)
        return Problem(use.place, f"it is as deep as {inside} ({described}); {inside} of crops or slices of it would fit")
    return None


def _answer_level(lineage: Lineage, level: int, draft: Draft) -> int:
    if draft.block.dimension > 0:
        return lineage.open(level, f"the step `{draft.name}`")
    return lineage.parent(level) if draft.block.dimension < 0 else level


def _level_of(state: _Compilation, selector: Selector) -> int | None:
    if selector.root == "inputs":
        return state.input_levels.get(selector.name)
    return state.output_levels.get(selector.name)


def _mixed(state: _Compilation, draft: Draft, used: Mapping[str, int]) -> Problem:
    """The problem of inputs from different batches, each named with its batch."""
    batches: dict[int, str] = {}
    for place, level in used.items():
        batches.setdefault(level, place.removeprefix(f"{draft.place}."))
    every = "; ".join(f"{place} is of {state.lineage.describe(level)}" for level, place in batches.items() if level != RUN)
    return Problem(draft.place, f"its inputs belong to different batches: {every}; inputs of one batch, or of one that "
                   "holds the other, would fit")  # fmt: skip


def _plan_outputs(state: _Compilation, names: Names) -> tuple[PlannedOutput, ...]:
    outputs = []
    for index, item in state.document.outputs.items():
        columns, kinds, problems = output_columns(item.selector, names, f"outputs[{index}].selector")
        state.problems += problems
        owner = next(iter(columns.values()), None)
        if owner is not None:
            level = state.input_levels.get(owner[1]) if owner[0] == "" else state.output_levels.get(owner[0])
            to_root = item.coordinates_system == "parent"
            outputs.append(PlannedOutput(item.name, columns, kinds, level if level is not None else RUN, to_root))
    return tuple(outputs)


def _checks(ordered: list[Draft], name: str) -> list[tuple[str, TypeAdapter[Any]]]:
    """The validators of the places that a parameter is bound to."""
    return [
        (use.place, use.reference.literal)
        for draft in ordered
        for use in draft.uses
        if use.reference.selector == Selector("inputs", name) and use.reference.literal is not None
    ]


def _default_problems(state: _Compilation, ordered: list[Draft]) -> list[Problem]:
    """Defaults of parameters that do not fit where the parameters are bound."""
    problems = []
    for index, item in state.document.inputs.items():
        if isinstance(item, ParameterInput) and item.has_default:
            for place, adapter in _checks(ordered, item.name):
                try:
                    adapter.validate_python(item.default_value)
                except ValidationError as error:
                    reason = said(error.errors(include_url=False)[0])
                    message = f"{shown(item.default_value)} does not fit {place}: {reason}"
                    problems.append(Problem(f"inputs[{index}].default_value", message))
    return problems


def _plan_input(state: _Compilation, item: Input, ordered: list[Draft], names: Names) -> PlannedInput:
    parameter = item if isinstance(item, ParameterInput) else None
    kinds: tuple[Kind, ...] = names.inputs[item.name]
    return PlannedInput(
        name=item.name,
        level=state.input_levels[item.name],
        dimensionality=item.dimensionality,
        kinds=kinds,
        is_image=IMAGE in kinds,
        required=parameter is None or not parameter.has_default,
        default=parameter.default_value if parameter else None,
        checks=tuple((place, adapter.validate_python) for place, adapter in _checks(ordered, item.name)),
    )


def _plan_step(state: _Compilation, draft: Draft, views: Views) -> PlannedStep:
    by_field: dict[str, list[Use]] = {}
    for use in draft.uses:
        by_field.setdefault(use.field, []).append(use)
    fields = [name for name in type(draft.manifest).model_fields if name not in ("type", "name")]
    return PlannedStep(
        name=draft.name,
        type=str(getattr(draft.manifest, "type", "")),
        block=draft.instance,
        level=state.run_levels[draft.name],
        output_level=state.output_levels[draft.name],
        constants={name: getattr(draft.manifest, name) for name in fields if name not in by_field},
        bound=tuple(
            BoundField(name, tuple(_source(state, use) for use in uses), _template(getattr(draft.manifest, name)))
            for name, uses in by_field.items()
        ),
        outputs=draft.outputs,
        gates=tuple((gate, state.run_levels[gate]) for gate in state.gates.get(draft.name, ())),
        needs=frozenset(state.needs[draft.name]),
        stateful=draft.block.remembers(draft.manifest),
        viewing=views.of(draft, state.output_levels[draft.name]),
    )


def _source(state: _Compilation, use: Use) -> Source:
    selector, adapter = use.reference.selector, use.reference.literal
    level = _level_of(state, selector)
    assert level is not None
    parameter = selector.root == "inputs" and level == RUN
    convert = _converter(adapter, use.place) if adapter else None
    return Source(use.key, column_of(selector), level, convert, nullable=parameter or _takes_null(adapter))


def _takes_null(adapter: TypeAdapter[Any] | None) -> bool:
    """Whether null is among the values of a field."""
    try:
        return adapter is not None and adapter.validate_python(None) is None
    except ValidationError:
        return False


def _converter(adapter: TypeAdapter[Any], place: str) -> Callable[[Any], Any]:
    """Validate a value that comes in through a reference as if it stood there as a literal."""

    def convert(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{place} got {repr(value)[:80]}: {said(error.errors(include_url=False)[0])}") from None

    return convert


def _template(value: Any) -> Any:
    """The literals of a list or dict, with holes where references stand."""
    if isinstance(value, Mapping):
        return {key: None if isinstance(item, Reference) else item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [None if isinstance(item, Reference) else item for item in value]
    return None
