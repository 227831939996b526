"""The frozen plan of a workflow: all that the executor sees. No JSON, no selectors, no graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from workflow_engine.block import Block, Output
from workflow_engine.kinds import Kind
from workflow_engine.lineage import RUN, Level

Column = tuple[str, str]
"""The name of a column of values: (step, output), or ("", input)."""

Made: TypeAlias = "tuple[Callable[..., Plan], tuple[Any, ...]]"
"""A function that makes a plan, and its arguments."""


@dataclass(frozen=True)
class PlannedInput:
    """One input of the run.

    Attributes:
        level: 0 for a parameter; else the level of its innermost values.
        dimensionality: how deeply its lists are nested; 0 for a parameter.
        kinds: what its values may be.
        is_image: whether its values are loaded as images.
        required: whether the run must give it.
        default: the value when it is not given.
        checks: validators of the places it is bound to, each with its place (parameters only).
    """

    name: str
    level: int
    dimensionality: int
    kinds: tuple[Kind, ...]
    is_image: bool
    required: bool
    default: Any
    checks: tuple[tuple[str, Callable[[Any], Any]], ...]


@dataclass(frozen=True)
class Source:
    """Where one value of a field comes from.

    Attributes:
        key: the list index or dict key inside the field; None when the field is the value itself.
        column: the column to read.
        level: the level of that column.
        convert: validates and converts a value, where the field takes literals too.
        nullable: whether null is a value here: that of a parameter, or of a field that says so. Elsewhere it is none.
    """

    key: int | str | None
    column: Column
    level: int
    convert: Callable[[Any], Any] | None
    nullable: bool


@dataclass(frozen=True)
class BoundField:
    """A field with values from elsewhere; `template` holds the literals of a list or dict around them."""

    name: str
    sources: tuple[Source, ...]
    template: Any


@dataclass(frozen=True)
class Viewing:
    """How the coordinates of a step's values go with images.

    Attributes:
        image: the field whose image the detections in other fields are brought to; without one, they are brought to the first.
        fields: those other fields.
        inherited: where the image is that the step's elements came from.
        stamps: whether its outputs may hold detections or images.
    """

    image: str | None
    fields: tuple[str, ...]
    inherited: Source | None
    stamps: bool


class Pace:
    """How long the elements of a step take, learnt from its runs: the longest of late, which fades with every faster run."""

    _FADING = 0.5

    def __init__(self) -> None:
        self._seconds: float | None = None

    def note(self, elements: int, seconds: float) -> None:
        """Learn from a run of so many elements."""
        if not elements:
            return
        known = 0.0 if self._seconds is None else self._seconds * self._FADING
        self._seconds = max(known, seconds / elements)

    def expected(self, elements: int) -> float | None:
        """Seconds that so many elements will take; None before the first run."""
        return None if self._seconds is None else self._seconds * elements


@dataclass(frozen=True)
class PlannedStep:
    """One step, ready to run.

    Attributes:
        level: the level whose elements it runs on (for a collapse: the inner one).
        output_level: the level its answers live on.
        constants: the fields with literals, by name.
        bound: the fields with values from elsewhere.
        gates: the flow-control steps whose targets it is among, each with its level.
        needs: the steps that must have run before.
        stateful: whether its block keeps something from one element to the next.
        viewing: how the coordinates of its values go with images.
        pace: how long its elements take.
    """

    name: str
    type: str
    block: Block
    level: int
    output_level: int
    constants: Mapping[str, Any]
    bound: tuple[BoundField, ...]
    outputs: Mapping[str, Output]
    gates: tuple[tuple[str, int], ...]
    needs: frozenset[str]
    stateful: bool
    viewing: Viewing
    pace: Pace = field(default_factory=Pace, compare=False, repr=False)


@dataclass(frozen=True)
class PlannedOutput:
    """One output of the run; several columns make a dict (`$steps.s.*`).

    Attributes:
        columns: the columns by key; one with an empty key where the value itself is the output.
        to_root: whether coordinates are moved to the root image.
    """

    name: str
    columns: Mapping[str, Column]
    kinds: Mapping[str, tuple[Kind, ...]]
    level: int
    to_root: bool


@dataclass(frozen=True)
class Plan:
    """A compiled workflow; steps stand in an order in which they could run one after the other.

    A copy, here or in another process, is made as the plan itself was: with blocks of its own, which remember nothing.

    Attributes:
        made: how it was made.
    """

    levels: tuple[Level, ...]
    inputs: tuple[PlannedInput, ...]
    steps: tuple[PlannedStep, ...]
    outputs: tuple[PlannedOutput, ...]
    made: Made = field(compare=False, repr=False)

    def __reduce__(self) -> Made:
        return self.made

    @property
    def image_level(self) -> int:
        """The level of the input images; that of the run where no input is a batch."""
        return max((self.path(item.level)[-1] for item in self.inputs if item.level != RUN), default=RUN)

    def path(self, level: int) -> list[int]:
        """A level and all above it but the run, deepest first."""
        path = []
        current: int | None = level
        while current is not None and current != RUN:
            path.append(current)
            current = self.levels[current].parent
        return path

    def of_images(self, level: int) -> bool:
        """Whether the values of a level belong to one input image each, rather than to the whole run."""
        return self.image_level in self.path(level)

    def joining(self) -> str | None:
        """A step that makes one value of those of all images; None where every image is worked on for itself."""
        return next((step.name for step in self.steps if self.of_images(step.level) and step.output_level == RUN), None)


def anew(plan: Plan) -> Plan:
    """The same plan with blocks that remember nothing."""
    return replace(plan, steps=tuple(replace(step, block=type(step.block)()) for step in plan.steps))


def watched(plan: Plan) -> Plan:
    """The same plan with outputs for its images, `$inputs.name`, and for all that steps give, `$steps.name`, as dicts."""
    more = [
        PlannedOutput(f"$inputs.{item.name}", {"": ("", item.name)}, {"": item.kinds}, item.level, to_root=False)
        for item in plan.inputs
        if item.is_image
    ]
    more += [
        PlannedOutput(
            name=f"$steps.{step.name}",
            columns={name: (step.name, name) for name in step.outputs},
            kinds={name: output.kinds for name, output in step.outputs.items()},
            level=step.output_level,
            to_root=False,
        )
        for step in plan.steps
        if step.outputs
    ]
    return replace(plan, outputs=(*plan.outputs, *more), made=(watched, (plan,)))
