"""One value as a page of HTML shows it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workflow_engine import detections
from workflow_engine.data import Image
from workflow_engine.kinds import Kind
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin
from workflow_engine.plain import dumps
from workflow_engine.results import to_json

if TYPE_CHECKING:
    import cv2
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    sv = LazyModule("supervision")

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


def show(value: Any, size: tuple[int, int], kinds: Mapping[str, Kind]) -> Shown:
    """A value of a workflow; `size` is that of the root image that detections are drawn on."""
    if value is None:
        return Shown("missing")
    if isinstance(value, Image):
        return Shown("image", text=f"{value.width} x {value.height}", source=address(value))
    if detections.is_detections(value):
        return _detections(value, size)
    if isinstance(value, (list, tuple)) and any(isinstance(item, Image) or _is_composed(item) for item in value):
        return Shown("list", items=tuple((str(place), show(item, size, kinds)) for place, item in enumerate(value)))
    if isinstance(value, dict) and any(isinstance(item, Image) or _is_composed(item) for item in value.values()):
        return Shown("list", items=tuple((str(name), show(item, size, kinds)) for name, item in value.items()))
    plain = to_json(value, kinds)
    text = plain if isinstance(plain, str) else dumps(plain, indent=1)
    return Shown("text", text=text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " ...")


def _is_composed(value: Any) -> bool:
    return value is None or isinstance(value, (list, dict)) or detections.is_detections(value)


def address(image: Image, side: int = _SIDE) -> str:
    """An image as a `data:` address; its longer side has `side` pixels at most."""
    pixels: Any = image.bgr
    share = side / max(image.size)
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
