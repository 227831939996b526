"""The graph of a compiled workflow for people: what flows where, how deep it lies, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from workflow_engine.block import FlowControl
from workflow_engine.kinds import Kind
from workflow_engine.plan import Column, Plan, PlannedStep

_MOST_KINDS = 2
_NOTES = {0: "", 1: "opens a dimension", -1: "closes a dimension"}


@dataclass(frozen=True)
class Node:
    """One box.

    Attributes:
        id: its name among all boxes, such as `steps.detect`.
        role: what it stands for.
        title: its name in the definition.
        subtitle: a step's type name; what an input takes.
        note: what it does to the depth of values; empty where it does nothing.
    """

    id: str
    role: Literal["input", "step", "gate", "output"]
    title: str
    subtitle: str = ""
    note: str = ""


@dataclass(frozen=True)
class Edge:
    """One arrow; its label says the kinds of what flows, with a `[]` for every dimension. A gate's arrow carries no values."""

    source: str
    target: str
    label: str = ""
    gate: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows; the boxes stand in an order in which all arrows point forward."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def diagram(plan: Plan) -> Diagram:
    """The boxes and arrows of a plan."""
    nodes = [Node(f"inputs.{item.name}", "input", item.name, _kinds(item.kinds)) for item in plan.inputs]
    nodes += [
        Node(f"steps.{step.name}", "gate" if isinstance(step.block, FlowControl) else "step", step.name, step.type,
             _NOTES[step.block.dimension])
        for step in plan.steps
    ]  # fmt: skip
    nodes += [Node(f"outputs.{output.name}", "output", output.name) for output in plan.outputs]
    labels: dict[tuple[str, str], list[str]] = {}
    for source, target, label in _flows(plan):
        known = labels.setdefault((source, target), [])
        if label not in known:
            known.append(label)
    edges = [Edge(source, target, ", ".join(known)) for (source, target), known in labels.items()]
    edges += [Edge(f"steps.{gate}", f"steps.{step.name}", gate=True) for step in plan.steps for gate, _ in step.gates]
    return Diagram(tuple(nodes), tuple(edges))


def _flows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Source, target and label of every value that goes from one box to another."""
    steps = {step.name: step for step in plan.steps}
    for step in plan.steps:
        for bound in step.bound:
            for source in bound.sources:
                yield _box(source.column), f"steps.{step.name}", _label(plan, steps, source.column)
    for output in plan.outputs:
        for column in output.columns.values():
            yield _box(column), f"outputs.{output.name}", _label(plan, steps, column)


def _box(column: Column) -> str:
    step, name = column
    return f"steps.{step}" if step else f"inputs.{name}"


def _label(plan: Plan, steps: dict[str, PlannedStep], column: Column) -> str:
    """The kinds of a column and its depth: `image [][]`."""
    step, name = column
    if step:
        kinds, level = steps[step].outputs[name].kinds, steps[step].output_level
    else:
        kinds, level = next((item.kinds, item.level) for item in plan.inputs if item.name == name)
    return f"{_kinds(kinds)} {'[]' * plan.levels[level].depth}".strip()


def _kinds(kinds: Iterable[Kind]) -> str:
    names = ["anything" if kind.name == "*" else kind.name for kind in kinds]
    if all(name.endswith("_prediction") for name in names) and len(names) > _MOST_KINDS:
        return "predictions"
    return " | ".join(names) if len(names) <= _MOST_KINDS else " | ".join(names[:_MOST_KINDS]) + " | ..."


def mermaid(graph: Diagram) -> str:
    """A diagram as text that Mermaid draws (in GitHub's Markdown, among others)."""
    ids = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}
    shapes = {"input": '(["{}"])', "step": '["{}"]', "gate": '{{{{"{}"}}}}', "output": '[/"{}"/]'}
    lines = ["flowchart TD"]
    for node in graph.nodes:
        said = [f"<b>{_escaped(node.title)}</b>", _escaped(node.subtitle), _escaped(node.note)]
        lines.append(f"  {ids[node.id]}{shapes[node.role].format('<br>'.join(filter(None, said)))}")
    for edge in graph.edges:
        arrow = "-. gate .->" if edge.gate else f'-->|"{_escaped(edge.label)}"|'
        lines.append(f"  {ids[edge.source]} {arrow} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
