"""One detection of JSON, in the spelling of the language or of another program, checked field by field.

- The box: `x`, `y` (its centre), `width`, `height`; or two corners in any order as `xyxy`, as `box` with `x1`, `y1`, `x2`,
  `y2`, as these alone, `x_min` ... `y_max` or `xmin` ... `ymax`; or COCO's `bbox` (upper left corner, width, height), which is
  known by the `category_id` beside it.
- The class: `class`, `class_name`, `label` or `name`; a number among them is the id, as `class_id` and `category_id` are.
- `confidence` or `score`; `tracker_id` or `track_id`.
- The outline: `points`, or several as COCO's `segmentation`. Points are `{"x", "y"}`, pairs, one list `[x1, y1, x2, ...]`, or
  `{"x": [...], "y": [...]}` as in `segments`.
- The mask: run lengths of COCO as `rle_mask` or `segmentation`.
- `polygons`, `quads`, `keypoints` and `columns` as `detections_json` writes them.

Whatever a row has besides is a column of `Detections.data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.checked import number, unknown, whole
from workflow_engine.errors import a
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

_CORNERS: Final = (("x1", "y1", "x2", "y2"), ("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"))
_CENTRE: Final = ("x", "y", "width", "height")
_NAMES: Final = ("class", "class_name", "label", "name")
_IDS: Final = ("class_id", "category_id")
_CONFIDENCES: Final = ("confidence", "score")
_TRACKS: Final = ("tracker_id", "track_id")
_SHAPES: Final = ("points", "segments", "segmentation", "keypoints")
RESERVED: Final = frozenset((*_CENTRE, *_NAMES, *_IDS, *_CONFIDENCES, *_TRACKS, *_SHAPES, "columns"))
"""What has a meaning of its own in a row; columns of these names stand in `columns`."""

_LEAST_ID, _MOST_ID = -(1 << 63), (1 << 63) - 1

_FAR: Final = 1e300
"""How far away a keypoint may lie: models put those they do not see anywhere."""

Box = tuple[float, float, float, float]


@dataclass
class Row:
    """One detection.

    Attributes:
        box: its corners, x1 <= x2 and y1 <= y2.
        name: its class; None where it is not told.
        number: the id of its class.
        has_null_id: whether it says that its class has no id.
        confidence: how sure it is.
        track: the id of its track.
        runs: its mask as run lengths, not decoded yet.
        outlines: its outlines `[k, 2]`; None where it tells of none.
        filled: whether its mask is what the outlines enclose.
        quad: its four corners `[4, 2]`.
        keypoints: its keypoints, as `keypoint_data` takes them.
        rest: what else it says.
    """

    box: Box
    name: str | None = None
    number: int | None = None
    has_null_id: bool = False
    confidence: float | None = None
    track: int | None = None
    runs: Mapping[str, Any] | None = None
    outlines: list[NDArray[np.float64]] | None = None
    filled: bool = False
    quad: NDArray[np.float64] | None = None
    keypoints: Sequence[Mapping[str, Any]] | None = None
    rest: dict[str, Any] = field(default_factory=dict)


def read_row(given: Any, where: str) -> Row:
    """Read a detection.

    Args:
        given: the JSON.
        where: its place, for people.

    Raises:
        ValueError: it is none, or a field of it does not fit; the message begins with the place.
    """
    if not isinstance(given, Mapping):
        raise ValueError(
            f'{where}: {a(given)} is no detection; {{"x", "y", "width", "height", "class", "confidence"}} would fit'
        )
    rest = {str(key): value for key, value in given.items()}
    row = Row(_box(rest, where))
    _class(row, rest, where)
    confidence = _first(rest, _CONFIDENCES)
    if confidence is not None:
        row.confidence = number(confidence[1], f"{where}.{confidence[0]}")
    track = _first(rest, _TRACKS)
    if track is not None:
        row.track = _id(track[1], f"{where}.{track[0]}")
    _shape(row, rest, where)
    row.keypoints = _keypoints(rest.pop("keypoints", None), f"{where}.keypoints")
    columns = rest.pop("columns", None)
    row.rest = {**rest, **columns} if isinstance(columns, Mapping) else rest
    return row


def _first(rest: dict[str, Any], names: Sequence[str]) -> tuple[str, Any] | None:
    """The first of some fields that says something; all of them are taken out."""
    found = [(name, rest.pop(name)) for name in names if name in rest]
    return next(((name, value) for name, value in found if not unknown(value)), None)


def _id(value: Any, where: str) -> int:
    return whole(value, where, least=_LEAST_ID, most=_MOST_ID)


# ------------------------------------------------------------------ the box


def _box(rest: dict[str, Any], where: str) -> Box:
    if "x" in rest and "y" in rest:
        x, y, width, height = (number(rest.pop(key, None), f"{where}.{key}") for key in _CENTRE)
        return ordered(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if "xyxy" in rest:
        return ordered(*_numbers(rest.pop("xyxy"), 4, f"{where}.xyxy"))
    if "bbox" in rest and "category_id" in rest:
        x, y, width, height = _numbers(rest.pop("bbox"), 4, f"{where}.bbox")
        return ordered(x, y, x + width, y + height)
    inner = rest.get("box")
    for names in _CORNERS:
        if isinstance(inner, Mapping) and all(name in inner for name in names):
            rest.pop("box")
            return ordered(*(number(inner[name], f"{where}.box.{name}") for name in names))
        if all(name in rest for name in names):
            return ordered(*(number(rest.pop(name), f"{where}.{name}") for name in names))
    if "bbox" in rest:
        raise ValueError(f"{where}.bbox: corners, or a corner with a size? `xyxy`, or `x`, `y`, `width`, `height` would tell")
    missing = ", ".join(key for key in _CENTRE if key not in rest)
    raise ValueError(f"{where} lacks the numbers {missing}")


def ordered(x1: float, y1: float, x2: float, y2: float) -> Box:
    """Two corners as the upper left and the lower right one."""
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _numbers(value: Any, count: int, where: str) -> list[float]:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ValueError(f"{where}: {a(value)}; a list of {count} numbers would fit")
    return [number(item, f"{where}[{place}]") for place, item in enumerate(value)]


# ------------------------------------------------------------------ the class


def _class(row: Row, rest: dict[str, Any], where: str) -> None:
    row.has_null_id = "class_id" in rest
    number_given = _first(rest, _IDS)
    if number_given is not None:
        row.number = _id(number_given[1], f"{where}.{number_given[0]}")
    for key in _NAMES:
        value = rest.get(key)
        if unknown(value):
            rest.pop(key, None)
        elif isinstance(value, str) and row.name is None:
            row.name = rest.pop(key)
        elif not isinstance(value, (str, bool, list, tuple, dict)) and row.number is None:
            row.number = _id(rest.pop(key), f"{where}.{key}")
        elif key == "class":
            raise ValueError(f"{where}.class: {a(value)} is no name; a text would fit")
    rest.pop("class_name", None)


# ------------------------------------------------------------------ the shape


def _shape(row: Row, rest: dict[str, Any], where: str) -> None:
    """The mask, outlines and quad of a row; what the language writes for other readers is left where there is better."""
    runs = rest.pop("rle_mask", None)
    points, segments = rest.pop("points", None), rest.pop("segments", None)
    segmentation = rest.pop("segmentation", None)
    if runs is None and isinstance(segmentation, Mapping) and "counts" in segmentation:
        runs, segmentation = segmentation, None
    row.runs = runs
    if rest.get("quads") is not None:
        row.quad = outline(rest["quads"], f"{where}.quads")
        if len(row.quad) != 4:
            raise ValueError(f"{where}.quads: {len(row.quad)} points; four would fit")
    rest.pop("quads", None)
    polygons = rest.pop("polygons", None)
    if polygons is not None:
        row.outlines = _outlines(polygons, f"{where}.polygons")
    if row.quad is not None or row.outlines is not None or row.runs is not None:
        return
    for key, value in (("points", points), ("segments", segments)):
        if value is not None:
            row.outlines, row.filled = [outline(value, f"{where}.{key}")], True
            break
    else:
        if segmentation is not None:
            row.outlines, row.filled = _outlines(segmentation, f"{where}.segmentation"), True
    row.outlines = None if row.outlines is None else [one for one in row.outlines if len(one)]


def _outlines(value: Any, where: str) -> list[NDArray[np.float64]]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where}: {a(value)}; a list of outlines would fit")
    return [outline(item, f"{where}[{place}]") for place, item in enumerate(value)]


def outline(value: Any, where: str) -> NDArray[np.float64]:
    """The points `[k, 2]` of an outline, however they are written.

    Raises:
        ValueError: they are no points.
    """
    if isinstance(value, Mapping) and isinstance(value.get("x"), list) and isinstance(value.get("y"), list):
        xs, ys = value["x"], value["y"]
        if len(xs) != len(ys):
            raise ValueError(f"{where}: {len(xs)} x and {len(ys)} y; as many of both would fit")
        value = list(zip(xs, ys, strict=True))
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'{where}: {a(value)}; a list of {{"x", "y"}} or of pairs would fit')
    if value and not isinstance(value[0], (list, tuple, Mapping)):
        if len(value) % 2:
            raise ValueError(f"{where}: {len(value)} numbers; an even number, x and y of every point, would fit")
        value = list(zip(value[::2], value[1::2], strict=True))
    points = [_point(item, f"{where}[{place}]") for place, item in enumerate(value)]
    return np.array(points, dtype=float).reshape(-1, 2)


def _point(value: Any, where: str) -> tuple[float, float]:
    if isinstance(value, Mapping):
        return number(value.get("x"), f"{where}.x"), number(value.get("y"), f"{where}.y")
    x, y = _numbers(value, 2, where)
    return x, y


def _keypoints(points: Any, where: str) -> Sequence[Mapping[str, Any]] | None:
    if points is None:
        return None
    if not isinstance(points, (list, tuple)) or not all(_is_keypoint(point) for point in points):
        raise ValueError(f'{where} is no list of {{"x", "y", "class", "class_id", "confidence"}}')
    return points


def _is_keypoint(point: Any) -> bool:
    if not isinstance(point, Mapping) or not isinstance(point.get("class"), (str, int)) or point["class"] == "":
        return False
    try:
        number(point.get("x"), "x", most=_FAR)
        number(point.get("y"), "y", most=_FAR)
        whole(point.get("class_id", 0), "class_id", least=-(1 << 31), most=(1 << 31) - 1)
        unknown(point.get("confidence")) or number(point["confidence"], "confidence")
    except ValueError:
        return False
    return True
