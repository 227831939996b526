"""One page of HTML about a run: the graph, what each step gave for a few images, how long it took, what failed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import jinja2

from workflow_engine import detections
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin
from workflow_engine.results import to_json
from workflow_engine.stream import Streamed, StreamTotals
from workflow_engine.views.diagram import diagram
from workflow_engine.views.picture import picture
from workflow_engine.workflow import Workflow

if TYPE_CHECKING:
    import cv2
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    sv = LazyModule("supervision")

MOST_ERRORS = 200
"""How many errors a page lists; it says how many more there were."""

_SIDE = 480
"""The longest side of a picture on the page, in pixels."""
_QUALITY = 88
_MOST_TEXT = 4000


@dataclass(frozen=True)
class Shown:
    """One value as the page shows it.

    Attributes:
        form: how it is shown.
        text: the text, an image's size, or how many detections there are.
        source: the data of an image, as an address.
        items: the values of a list, or of a dict by name.
        rows: what is known of every detection.
        outlines: the corners of every detection on the root image; None where it is not known where they lie.
    """

    form: Literal["missing", "text", "image", "list", "detections"]
    text: str = ""
    source: str = ""
    items: tuple[tuple[str, Shown], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    outlines: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Step:
    name: str
    type: str
    outputs: tuple[tuple[str, Shown], ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    id: str
    label: str
    root: str
    size: tuple[int, int]
    outputs: tuple[tuple[str, Shown], ...]
    steps: tuple[_Step, ...]


@dataclass
class Page:
    """A page in the making: give it what a stream of `workflow.watched()` yields, then take the HTML.

    Attributes:
        workflow: the workflow, as compiled.
        input: the name of the input that the images are for; None where the workflow takes none.
        most: how many images are shown with the values of all steps.
    """

    workflow: Workflow
    input: str | None = None
    most: int = 4
    _entries: list[_Entry] = field(default_factory=list)
    _errors: list[tuple[str, str]] = field(default_factory=list)

    def add(self, label: str, item: Streamed) -> None:
        """One image and what came of it."""
        room = MOST_ERRORS - len(self._errors)
        self._errors += [(label, str(error)) for error in item.errors[: max(room, 0)]]
        if len(self._entries) < self.most:
            self._entries.append(self._entry(label, item))

    def html(self, totals: StreamTotals) -> str:
        """The page; `totals` are those of the stream."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("workflow_engine.views", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        drawn = picture(diagram(self.workflow.plan), "svg", links=True).decode()
        seconds = max((step.seconds for step in totals.steps.values()), default=0.0)
        return environment.get_template("page.html").render(
            workflow=self.workflow, graph=drawn[drawn.index("<svg") :], totals=totals, entries=self._entries,
            errors=self._errors, more_errors=totals.errors - len(self._errors), longest=seconds or 1.0,
        )  # fmt: skip

    def _entry(self, label: str, item: Streamed) -> _Entry:
        root = item.outputs.get(f"$inputs.{self.input}")
        size = root.size if root else (0, 0)
        own = {name: value for name, value in item.outputs.items() if not name.startswith("$")}
        troubles: dict[str, list[str]] = {}
        for error in item.errors:
            troubles.setdefault(error.step, []).append(f"failed{_at(error.element)}: {error.type}: {error.message}")
        for skip in item.skips:
            troubles.setdefault(skip.step, []).append(f"skipped{_at(skip.element)}: {skip.reason}")
        steps = []
        for step in self.workflow.plan.steps:
            given = item.outputs.get(f"$steps.{step.name}")
            values = self._by_output(given, tuple(step.outputs), size)
            told = tuple(dict.fromkeys(troubles.get(step.name, [])))
            steps.append(_Step(step.name, step.type, values, told))
        outputs = tuple((name, self._show(value, size)) for name, value in own.items())
        return _Entry(f"root{len(self._entries)}", label, _address(root) if root else "", size, outputs, tuple(steps))

    def _by_output(self, given: Any, names: tuple[str, ...], size: tuple[int, int]) -> tuple[tuple[str, Shown], ...]:
        """The values of a step by output; nested lists of dicts become dicts of nested lists."""
        return tuple((name, self._show(_picked(given, name), size)) for name in names)

    def _show(self, value: Any, size: tuple[int, int]) -> Shown:
        if value is None:
            return Shown("missing")
        if isinstance(value, Image):
            return Shown("image", text=f"{value.width} x {value.height}", source=_address(value))
        if detections.is_detections(value):
            return _detections(value, size)
        if isinstance(value, (list, tuple)) and any(isinstance(item, Image) or _is_composed(item) for item in value):
            return Shown("list", items=tuple((str(place), self._show(item, size)) for place, item in enumerate(value)))
        if isinstance(value, dict) and any(isinstance(item, Image) or _is_composed(item) for item in value.values()):
            return Shown("list", items=tuple((str(name), self._show(item, size)) for name, item in value.items()))
        plain = to_json(value, self.workflow.registry.kinds)
        text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, indent=1)
        return Shown("text", text=text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " ...")


def _is_composed(value: Any) -> bool:
    return value is None or isinstance(value, (list, dict)) or detections.is_detections(value)


def _picked(given: Any, name: str) -> Any:
    if isinstance(given, list):
        return [_picked(item, name) for item in given]
    return given[name] if isinstance(given, dict) else given


def _at(element: tuple[int, ...]) -> str:
    """Where in the image an element is: the first index is that of the image itself."""
    return f" at {list(element[1:])}" if len(element) > 1 else ""


def _address(image: Image) -> str:
    """An image as a `data:` address, made smaller where it is large."""
    pixels: Any = image.bgr
    share = _SIDE / max(image.size)
    if share < 1:
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _detections(found: Any, size: tuple[int, int]) -> Shown:
    """Detections as a table, and as outlines on the part of the root image that they lie on."""
    count = len(found)
    names = [str(name) for name in found.data.get("class_name", [""] * count)]
    scores = [""] * count if found.confidence is None else [f"{score:.3f}" for score in found.confidence]
    tracks = [""] * count if found.tracker_id is None else [str(track) for track in found.tracker_id]
    boxes = [", ".join(f"{edge:.0f}" for edge in box) for box in found.xyxy.tolist()]
    rows = tuple(zip(names, scores, boxes, tracks, strict=True))
    return Shown("detections", text=f"{count} found", rows=rows, outlines=_outlines(found, size))


def _outlines(found: Any, size: tuple[int, int]) -> tuple[str, ...] | None:
    """The outlines of detections on a root image of this size; None where they lie on another."""
    origin = found.metadata.get(detections.ORIGIN)
    if not isinstance(origin, Origin) or origin.plane or (origin.root_width, origin.root_height) != size:
        return None
    on_root = detections.to_root(found)
    outlines = [_points([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]) for x1, y1, x2, y2 in on_root.xyxy.tolist()]
    if on_root.mask is not None:
        outlines = [_points(part) for mask in on_root.mask for part in sv.mask_to_polygons(mask)]
    elif "quads" in on_root.data:
        outlines = [_points(quad) for quad in on_root.data["quads"]]
    return tuple(outlines)


def _points(corners: Any) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
