"""One page of HTML about a run: every image at a glance, the graph, what each step gave for a few images, what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jinja2

from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.plan import PlannedStep
from workflow_engine.stream import Streamed, StreamTotals
from workflow_engine.views.diagram import diagram
from workflow_engine.views.picture import picture
from workflow_engine.views.shown import Shown, address, show
from workflow_engine.workflow import Workflow

MOST_ERRORS: Final = 200
"""How many errors a page lists; it says how many more there were."""
MOST_TILES: Final = 400
"""How many images the contact sheet shows; it says how many more there were."""
MOST_CROPS: Final = 100
"""How many crops of an image are shown with their texts."""

_TILE: Final = 200
"""The longest side of a picture on the contact sheet, in pixels."""
_CAPTION: Final = 160
"""Letters under a picture."""


@dataclass(frozen=True)
class _Step:
    name: str
    type: str
    outputs: tuple[tuple[str, Shown], ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class _Crops:
    """The crops that a step cut, each with the texts that other steps gave for it."""

    step: str
    items: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    more: int


@dataclass(frozen=True)
class _Entry:
    id: str
    label: str
    root: str
    size: tuple[int, int]
    outputs: tuple[tuple[str, Shown], ...]
    crops: tuple[_Crops, ...]
    steps: tuple[_Step, ...]


@dataclass(frozen=True)
class _Tile:
    """An image on the contact sheet: what the run made of it, or the image itself; `entry` is where its steps are shown."""

    label: str
    source: str
    caption: str
    entry: str
    errors: tuple[str, ...]


@dataclass
class Page:
    """A page in the making: give it what a stream of `workflow.watched()` yields, then take the HTML.

    Attributes:
        workflow: the workflow, as compiled.
        input: the name of the input that the images are for; None where the workflow takes none.
        most: how many images are shown with the values of all steps.
        facts: what else is said of the run, by name: its date, versions, parameters and models.
    """

    workflow: Workflow
    input: str | None = None
    most: int = 4
    facts: Mapping[str, str] = field(default_factory=dict)
    _entries: list[_Entry] = field(default_factory=list)
    _tiles: list[_Tile] = field(default_factory=list)
    _failing: list[_Tile] = field(default_factory=list)
    _errors: int = 0

    def add(self, label: str, item: Streamed) -> None:
        """One image and what came of it."""
        entry = ""
        if len(self._entries) < self.most:
            self._entries.append(self._entry(label, item))
            entry = self._entries[-1].id
        room = MOST_ERRORS - self._errors
        errors = tuple(str(error) for error in item.errors[: max(room, 0)])
        self._errors += len(errors)
        if len(self._tiles) < MOST_TILES or errors:
            tile = self._tile(label, item, entry, errors)
            if len(self._tiles) < MOST_TILES:
                self._tiles.append(tile)
            if errors:
                self._failing.append(tile)

    def html(self, totals: StreamTotals) -> str:
        """The page; `totals` are those of the stream."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("workflow_engine.views", "."),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        drawn = picture(diagram(self.workflow.plan), "svg", links=True).decode()
        seconds = max((step.seconds for step in totals.steps.values()), default=0.0)
        return environment.get_template("page.html").render(
            workflow=self.workflow,
            facts=self.facts,
            graph=drawn[drawn.index("<svg") :],
            totals=totals,
            entries=self._entries,
            tiles=self._tiles,
            more_tiles=totals.images - len(self._tiles),
            failing=self._failing,
            more_errors=totals.errors - self._errors,
            longest=seconds or 1.0,
        )

    def _tile(self, label: str, item: Streamed, entry: str, errors: tuple[str, ...]) -> _Tile:
        own = [value for name, value in item.outputs.items() if not name.startswith("$")]
        pictures = [value for value in own if isinstance(value, Image)]
        shown = pictures[0] if pictures else item.outputs.get(f"$inputs.{self.input}")
        texts = [str(value) for value in own if isinstance(value, (str, int, float)) and not isinstance(value, bool)]
        counts = [f"{len(value)} found" for value in own if is_detections(value)]
        caption = next((text for text in (*texts, *counts) if text), "")
        source = address(shown, _TILE) if isinstance(shown, Image) else ""
        return _Tile(label, source, _cut(caption), entry, errors)

    def _entry(self, label: str, item: Streamed) -> _Entry:
        root = item.outputs.get(f"$inputs.{self.input}")
        size = root.size if root else (0, 0)
        kinds = self.workflow.registry.kinds
        own = {name: value for name, value in item.outputs.items() if not name.startswith("$")}
        return _Entry(
            id=f"root{len(self._entries)}",
            label=label,
            root=address(root) if root else "",
            size=size,
            outputs=tuple((name, show(value, size, kinds)) for name, value in own.items()),
            crops=tuple(self._crops(item)),
            steps=tuple(self._steps(item, size)),
        )

    def _steps(self, item: Streamed, size: tuple[int, int]) -> Iterator[_Step]:
        troubles: dict[str, list[str]] = {}
        for error in item.errors:
            troubles.setdefault(error.step, []).append(f"failed{_at(error.element)}: {error.type}: {error.message}")
        for skip in item.skips:
            troubles.setdefault(skip.step, []).append(f"skipped{_at(skip.element)}: {skip.reason}")
        kinds = self.workflow.registry.kinds
        for step in self.workflow.plan.steps:
            given = item.outputs.get(f"$steps.{step.name}")
            values = tuple((name, show(_picked(given, name), size, kinds)) for name in step.outputs)
            told = tuple(dict.fromkeys(troubles.get(step.name, [])))
            yield _Step(step.name, step.type, values, told)

    def _crops(self, item: Streamed) -> Iterator[_Crops]:
        """Every step that cuts crops out of the image, with what was said of each crop."""
        for step in self.workflow.plan.steps:
            if self.workflow.plan.levels[step.output_level].depth != 2 or step.output_level == step.level:
                continue
            pictures = _pictures(step, item)
            if not pictures:
                continue
            texts = self._texts(step.output_level, item, len(pictures))
            told = [
                (address(crop, _TILE) if isinstance(crop, Image) else "", tuple(_of(texts, place)))
                for place, crop in enumerate(pictures[:MOST_CROPS])
            ]
            yield _Crops(step.name, tuple(told), max(len(pictures) - MOST_CROPS, 0))

    def _texts(self, level: int, item: Streamed, count: int) -> dict[str, list[Any]]:
        """The texts and numbers of the steps that ran on the elements of a level."""
        columns = {}
        for step in self.workflow.plan.steps:
            if step.output_level != level:
                continue
            for name in step.outputs:
                values = _picked(item.outputs.get(f"$steps.{step.name}"), name)
                if (
                    isinstance(values, list)
                    and len(values) == count
                    and any(isinstance(value, (str, float)) for value in values)
                ):
                    columns[f"{step.name}.{name}"] = values
        return columns


def _pictures(step: PlannedStep, item: Streamed) -> list[Any]:
    """The images that a step opened a dimension with."""
    for name in step.outputs:
        values = _picked(item.outputs.get(f"$steps.{step.name}"), name)
        if isinstance(values, list) and any(isinstance(value, Image) for value in values):
            return values
    return []


def _of(columns: Mapping[str, list[Any]], place: int) -> Iterator[tuple[str, str]]:
    """What the columns say of one crop."""
    for name, values in columns.items():
        value = values[place]
        if isinstance(value, float):
            yield name, f"{value:.3f}"
        elif isinstance(value, str) and value:
            yield name, _cut(value)


def _cut(text: str) -> str:
    return text if len(text) <= _CAPTION else f"{text[:_CAPTION]}..."


def _picked(given: Any, name: str) -> Any:
    """An output of a step; nested lists of dicts become nested lists of its values."""
    if isinstance(given, list):
        return [_picked(item, name) for item in given]
    return given[name] if isinstance(given, dict) else given


def _at(element: tuple[int, ...]) -> str:
    """Where in the image an element is: the first index is that of the image itself."""
    return f" at {list(element[1:])}" if len(element) > 1 else ""
