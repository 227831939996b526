"""The results of a run: one dict per input image, as Python values or as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflow_engine.detections import each_placed, to_root
from workflow_engine.kinds import Kind
from workflow_engine.plain import of_arrays, plain
from workflow_engine.plan import PlannedOutput
from workflow_engine.plugins import registry
from workflow_engine.report import Failed, RunReport, Skipped
from workflow_engine.state import RunState


@dataclass
class RunResult:
    """What a run gave.

    Attributes:
        outputs: one dict per input image, by output name; a single one when no output is of images. Values of crops are
            nested lists, those of the whole run are in every row. A skipped or failed element is None; the report says
            which and why.
        report: what each step did.
    """

    outputs: list[dict[str, Any]]
    report: RunReport
    _kinds: Mapping[str, Kind] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Itself, with the names of kinds that are installed, and those that are not as they are."""
        installed = registry().kinds
        names = [name for name, kind in self._kinds.items() if installed.get(name) is kind]
        own = {name: kind for name, kind in self._kinds.items() if name not in names}
        return {**self.__dict__, "_kinds": (names, own)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        names, own = state["_kinds"]
        installed = registry().kinds
        kinds = {name: installed[name] for name in names if name in installed}
        self.__dict__.update(state, _kinds={**kinds, **own})

    def to_json(self) -> list[dict[str, Any]]:
        """The outputs as plain JSON types; images as base64 PNG, detections in the form of the language."""
        return [self.plain(row) for row in self.outputs]

    def plain(self, value: Any) -> Any:
        """Any value of the outputs as plain JSON types."""
        return to_json(value, self._kinds)


def to_json(value: Any, kinds: Mapping[str, Kind]) -> Any:
    """A value of a workflow as plain JSON, by the kinds that recognise it."""

    def other(item: Any) -> Any:
        for kind in kinds.values():
            if kind.serialise is not None and kind.accepts(item):
                return kind.serialise(item)
        return of_arrays(item)

    try:
        return plain(value, other)
    except ValueError as error:  # the other values of the run are written all the same
        return str(error)


def collect(state: RunState) -> list[dict[str, Any]]:
    """The outputs of a finished run: one row per input image, a single one where all outputs are of the whole run."""
    of_images = any(state.plan.of_images(output.level) for output in state.plan.outputs)
    rows = state.size(state.plan.image_level) if of_images else 1
    table = {output.name: _rows(state, output, rows) for output in state.plan.outputs}
    return [{name: column[row] for name, column in table.items()} for row in range(rows)]


def _rows(state: RunState, output: PlannedOutput, rows: int) -> list[Any]:
    keyed = {key: _column(state, output, key) for key in output.columns}
    items = (
        keyed[""] if "" in keyed else [dict(zip(keyed, values, strict=True)) for values in zip(*keyed.values(), strict=True)]
    )
    if state.plan.of_images(output.level):
        return state.nest(items, output.level, depth=1)
    return state.nest(items, output.level, depth=0) * rows


def _column(state: RunState, output: PlannedOutput, key: str) -> list[Any]:
    """One column of an output, with None for what is missing and coordinates as asked."""
    items = [None if isinstance(item, (Skipped, Failed)) else item for item in state.columns[output.columns[key]].items]
    if not output.to_root:
        return items
    movers = [kind for kind in output.kinds[key] if kind.to_root is not None]
    return [_to_root(item, movers) for item in items]


def _to_root(value: Any, movers: list[Kind]) -> Any:
    """A value with all coordinates in it moved to the root image, at any depth of lists and dicts."""
    for kind in movers:
        if kind.to_root is not None and kind.accepts(value):
            return kind.to_root(value)
    if movers and isinstance(value, list):
        return [_to_root(item, movers) for item in value]
    return each_placed(value, to_root)
