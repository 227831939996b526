"""One step of a run: gather its inputs, call its block, check and store what it answers.

Whatever a block raises concerns the element it was called for; `StepCall._fail` is the one place where an error gains its
step, block type and element. Only an `UnavailableError`, about what no element can do without, goes on up and ends the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from workflow_engine import workers
from workflow_engine.block import FlowControl, Partly
from workflow_engine.detections import Zones
from workflow_engine.errors import RunCancelledError, StepError, UnavailableError
from workflow_engine.foreign import as_list, is_foreign, misfit, python_value, rows
from workflow_engine.kinds import ANY, Kind
from workflow_engine.placement import Placement
from workflow_engine.plan import BoundField, PlannedStep, Source
from workflow_engine.profile import loading_apart, record
from workflow_engine.report import ElementError, Failed, Missing, Skip, Skipped, StepReport
from workflow_engine.state import LiveLevel, RunState

PART: Final = 4
"""How many elements are worth a thread."""

Lacks = list[Any]
"""For every element why it cannot run: something `Missing`, an exception of its own, or None."""


class BlockAnswerError(TypeError):
    """A block answered something else than its outputs promise: the block is wrong, not the workflow."""


class StepCall:
    """The run of one step. Afterwards `report`, `errors` and `skips` tell how it went."""

    def __init__(self, step: PlannedStep, state: RunState, *, strict: bool, stopped: Callable[[], bool]) -> None:
        self.step = step
        self.state = state
        self.strict = strict
        self.stopped = stopped
        self.collapses = step.block.dimension < 0
        self.level = step.output_level if self.collapses else step.level
        self.checks = [(name, _acceptor(output.kinds)) for name, output in step.outputs.items()]
        self.report = StepReport(step.name, step.type)
        self.errors: list[ElementError] = []
        self.skips: list[Skip] = []

    def run(self) -> None:
        """Run the step and store its columns.

        Raises:
            StepError: an element failed and the run is strict.
        """
        started = time.perf_counter()
        lacks = self._gate_lacks()
        columns: dict[str, list[Any]] = {}
        for field in self.step.bound:
            columns[field.name], found = self._inner_lists(field) if self._is_inner(field) else self._field(field, self.level)
            lacks = _first(lacks, found)
        size = self.state.size(self.level)
        active = list(range(size)) if lacks is None else [place for place in range(size) if lacks[place] is None]
        answers: list[Any] = (
            [None] * size if lacks is None else [self._lacking(place, lack) for place, lack in enumerate(lacks)]
        )
        self.placement = Placement(self.step, self.state, self.level, columns)
        for place, error in self.placement.meet(active).items():
            answers[place] = self._fail(place, error)
        active = [place for place in active if answers[place] is None]
        with loading_apart() as loads:
            (self._call_batch if self.step.block.batched else self._call_each)(columns, active, answers)
        self._store(answers)
        self.report.elements = size
        self.report.failed, self.report.skipped = sum(not error.part for error in self.errors), len(self.skips)
        self.report.done = size - self.report.failed - self.report.skipped
        ended = time.perf_counter()
        self.report.loading = sum(loads)
        self.report.seconds = ended - started - self.report.loading
        self.step.pace.note(len(active), self.report.seconds)
        record("steps", self.step.name, started, ended, elements=size)

    # ---------------------------------------------------------------- what goes in

    def _is_inner(self, field: BoundField) -> bool:
        """Whether a field of a collapse arrives as the list of its inner elements."""
        if not self.collapses:
            return False
        named = self.step.block.inner
        return field.name in named if named else any(source.level == self.step.level for source in field.sources)

    def _inner_lists(self, field: BoundField) -> tuple[list[Any], None]:
        """A deep field of a collapse: for every outer element the inner values that are there."""
        items, lacks = self._field(field, self.step.level)
        for other in self.step.bound:
            if other is not field and self._is_inner(other):
                lacks = _first(lacks, self._field(other, self.step.level)[1])
        lacks = _first(lacks, self._gate_lacks(inner=True))
        parts = self.state.children(self.step.level)
        if lacks is None:
            return [items[part] for part in parts], None
        kept = [[item for item, lack in zip(items[part], lacks[part], strict=True) if lack is None] for part in parts]
        return kept, None

    def _gate_lacks(self, *, inner: bool = False) -> Lacks | None:
        """The elements that a gate holds back; of a collapse, those on its inner or on its outer elements."""
        lacks: Lacks | None = None
        level = self.step.level if inner else self.level
        for gate, gate_level in self.step.gates:
            if not self.collapses or (gate_level == self.step.level) == inner:
                verdicts = [_verdict(decision, self.step.name, gate) for decision in self.state.decisions[gate]]
                lacks = _first(lacks, self.state.spread(verdicts, gate_level, level))
        return lacks

    def _field(self, field: BoundField, level: int) -> tuple[list[Any], Lacks | None]:
        """A field as a column over the elements of a level, with what it lacks."""
        columns, lacks = [], None
        for source in field.sources:
            items, found = self._source(source, level)
            columns.append(items)
            lacks = _first(lacks, found)
        if field.sources[0].key is None:
            return columns[0], lacks
        filled = []
        for values in zip(*columns, strict=True):
            container = field.template.copy()
            for source, value in zip(field.sources, values, strict=True):
                container[source.key] = value
            filled.append(container)
        return filled, lacks

    def _source(self, source: Source, level: int) -> tuple[list[Any], Lacks | None]:
        column = self.state.columns[source.column]
        items, lacks = column.items, None
        if not column.whole:
            if not self.step.block.accepts_missing:
                lacks = [_lack(item, source) for item in items]
            items = [None if isinstance(item, (Skipped, Failed)) else item for item in items]
        if source.convert is not None:
            items, lacks = _converted(items, source.convert, lacks)
        return self.state.spread(items, source.level, level), lacks and self.state.spread(lacks, source.level, level)

    # ---------------------------------------------------------------- the calls

    def _call_each(self, columns: dict[str, list[Any]], active: list[int], answers: list[Any]) -> None:
        parts = min(workers.count(), len(active) // PART) if self.step.block.parallel else 1
        if parts < 2:
            self._call_some(columns, active, answers)
            return
        size = math.ceil(len(active) / parts)
        runs = [
            partial(self._call_some, columns, active[first : first + size], answers) for first in range(0, len(active), size)
        ]
        try:
            workers.run_all(runs)
        finally:
            self.errors.sort(key=lambda error: error.element)

    def _call_some(self, columns: dict[str, list[Any]], active: list[int], answers: list[Any]) -> None:
        run, constants = self.step.block.run, self.step.constants
        names, rows = list(columns), list(columns.values())
        for place in active:
            if self.stopped():
                raise RunCancelledError("stopped")
            try:
                fields = {name: column[place] for name, column in zip(names, rows, strict=True)}
                answer = run(**constants, **fields)
            except UnavailableError:
                raise
            except Exception as error:
                answer = error
            answers[place] = self._answered(place, answer)

    def _call_batch(self, columns: dict[str, list[Any]], active: list[int], answers: list[Any]) -> None:
        if not active:
            return
        for place, answer in zip(active, self._asked(columns, active), strict=True):
            answers[place] = self._answered(place, answer)

    def _asked(self, columns: dict[str, list[Any]], places: list[int]) -> Sequence[Any]:
        """What a batched block says to some elements; when it raises, it is asked about fewer, until the bad ones are alone."""
        fields = {name: [value] * len(places) for name, value in self.step.constants.items()}
        fields |= {name: [column[place] for place in places] for name, column in columns.items()}
        try:
            got = rows(self.step.block.run(**fields))
        except UnavailableError:
            raise
        except Exception as error:
            if len(places) == 1 or self.step.block.stateful or self.stopped():
                return [error] * len(places)
            half = len(places) // 2
            return [*self._asked(columns, places[:half]), *self._asked(columns, places[half:])]
        if isinstance(got, (list, tuple)) and len(got) == len(places):
            return got
        found = f"{len(got)} answers" if isinstance(got, (list, tuple)) else f"a {type(got).__name__}"
        said = f"a batched block answers a list with one entry per element: {len(places)}, not {found}"
        return [BlockAnswerError(said)] * len(places)

    def _answered(self, place: int, answer: Any) -> Any:
        """What an element has from what its block said."""
        if isinstance(answer, Exception):
            return self._fail(place, answer)
        try:
            checked = self._checked(answer.value if isinstance(answer, Partly) else answer, place)
        except Exception as error:
            return self._fail(place, error)
        if isinstance(answer, Partly):
            for part, cause in answer.failed.items():
                self._fail(place, cause, part)
        return checked

    def _lacking(self, place: int, lack: Any) -> Missing | None:
        """Note why an element does not run."""
        if isinstance(lack, Exception):
            return self._fail(place, lack)
        if lack is not None:
            self.skips.append(Skip(self.step.name, self.state.index(self.level, place), lack.reason))
        return lack  # type: ignore[no-any-return]

    def _fail(self, place: int, cause: Exception, part: str = "") -> Failed:
        element = self.state.index(self.level, place)
        error = ElementError.of(self.step.name, self.step.type, element, cause, part)
        if self.strict:
            raise StepError(
                str(error), step=self.step.name, block=self.step.type, element=element, traceback=error.traceback
            ) from cause
        self.errors.append(error)
        return Failed(error, cause)

    # ---------------------------------------------------------------- what comes out

    def _checked(self, answer: Any, place: int) -> Any:
        """An answer as the outputs promise it: one tuple of values per element (a list of them where it opens a dimension)."""
        if isinstance(self.step.block, FlowControl):
            return frozenset(target.step for target in answer)
        if self.step.block.dimension <= 0:
            return self.placement.stamp(self._values(answer), place)
        answer = rows(answer)
        if not isinstance(answer, (list, tuple)):
            raise BlockAnswerError(f"a block that opens a dimension answers a list, not a {type(answer).__name__}")
        return [self.placement.stamp(self._values(item), place) for item in answer]

    def _values(self, answer: Any) -> tuple[Any, ...]:
        if len(self.checks) == 1:
            values: tuple[Any, ...] = (answer,)
        elif isinstance(answer, dict) and answer.keys() == self.step.outputs.keys():
            values = tuple(answer[name] for name, _ in self.checks)
        else:
            got = sorted(answer) if isinstance(answer, dict) else type(answer).__name__
            raise BlockAnswerError(f"a dict with {sorted(self.step.outputs)} is the answer, not {got}")
        if any(is_foreign(value) for value in values):
            values = tuple(python_value(value) for value in values)
        for (_, accepts), value in zip(self.checks, values, strict=True):
            if value is not None and accepts is not None and not accepts(value):
                return self._listed(values)
        return values

    def _listed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Values with arrays as lists, where lists are promised.

        Raises:
            BlockAnswerError: there is one that does not fit all the same.
        """
        listed = []
        for (name, accepts), value in zip(self.checks, values, strict=True):
            fitting = value if accepts is None or value is None or accepts(value) else as_list(value)
            if fitting is not None and accepts is not None and not accepts(fitting):
                raise BlockAnswerError(misfit(name, self.step.outputs[name].kinds, value))
            listed.append(fitting)
        return tuple(listed)

    def _store(self, answers: list[Any]) -> None:
        if isinstance(self.step.block, FlowControl):
            self.state.decisions[self.step.name] = answers
            return
        if self.step.block.dimension > 0:
            opened = [[] if isinstance(answer, (Skipped, Failed)) else answer for answer in answers]
            self.state.levels[self.step.output_level] = LiveLevel.of_counts([len(answer) for answer in opened])
            answers = [values for answer in opened for values in answer]
        for position, (name, _) in enumerate(self.checks):
            items = [answer[position] if type(answer) is tuple else answer for answer in answers]
            self.state.store((self.step.name, name), items)


def _acceptor(kinds: Sequence[Kind]) -> Callable[[Any], bool] | None:
    """The check of an output's kinds; none where anything goes."""
    if ANY in kinds:
        return None
    checks = list(dict.fromkeys(kind.accepts for kind in kinds))
    return checks[0] if len(checks) == 1 else lambda value: any(accepts(value) for accepts in checks)


def _first(one: Lacks | None, other: Lacks | None) -> Lacks | None:
    """What either column lacks."""
    if one is None or other is None:
        return other if one is None else one
    return [lack if lack is not None else second for lack, second in zip(one, other, strict=True)]


def _follow(item: Any) -> Skipped | None:
    """Why the element of a missing value is skipped in turn."""
    if isinstance(item, Failed):
        return Skipped(f"`{item.error.step}` failed")
    return item if isinstance(item, Skipped) else None


def _lack(item: Any, source: Source) -> Skipped | None:
    """Why the element of a value is skipped, if it is; null is no value but where it is meant to be one."""
    if item is None and not source.nullable:
        step, name = source.column
        return Skipped(f"no value from `{step}`" if step else f"no value in `$inputs.{name}`")
    return _follow(item)


def _verdict(decision: Any, step: str, gate: str) -> Skipped | None:
    """What a gate's decision on one element means for a step."""
    if isinstance(decision, frozenset):
        return None if step in decision else Skipped(f"the gate `{gate}` held it back")
    return _follow(decision)


def _converted(items: list[Any], convert: Callable[[Any], Any], lacks: Lacks | None) -> tuple[list[Any], Lacks | None]:
    """A column with every value converted; a value that does not fit fails its own element."""
    done, found = [], list(lacks) if lacks else [None] * len(items)
    for place, item in enumerate(items):
        try:
            done.append(item if found[place] is not None else _converted_one(item, convert))
        except ValueError as error:
            found[place] = error
            done.append(None)
    return done, found if any(lack is not None for lack in found) else lacks


def _converted_one(item: Any, convert: Callable[[Any], Any]) -> Any:
    """A value converted; zones stay on their view."""
    return Zones(convert(item), item.origin) if type(item) is Zones else convert(item)
