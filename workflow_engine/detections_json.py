"""Detections as JSON in the form of the language, and JSON as detections.

What `serialise` writes, `deserialise` reads back equal: boxes, names, ids, confidences, tracks, masks with all their parts and
holes, outlines, quads, keypoints, the other columns of `Detections.data` and the view they lie on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from workflow_engine import rle
from workflow_engine.checked import number, whole
from workflow_engine.detection_rows import RESERVED, Row, read_row
from workflow_engine.detections import ORIGIN, is_detections, object_array
from workflow_engine.errors import a
from workflow_engine.keypoints import KEYPOINTS, KEYPOINTS_XY, keypoint_data, keypoints
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin, Plane
from workflow_engine.plain import check_depth, loads, plain

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

MAX_DETECTIONS: Final = 100_000
"""How many detections JSON may have."""
MAX_KEYPOINTS: Final = 10_000_000
"""How many keypoints all detections may have, each as many as the one with the most."""

_TEXTS: Final = ("text", "detection_id", "parent_id")
"""Columns of texts; a row that lacks one has an empty text."""


# ------------------------------------------------------------------ writing


def serialise(found: sv.Detections) -> dict[str, Any]:
    """Plain JSON in the form of the language: centre, size, class and confidence of each detection.

    Returns:
        `{"image": {"width", "height"}, "origin"?, "predictions": [{"x", "y", "width", "height", "class", "class_id",
        "confidence", "points"?, "rle_mask"?, "polygons"?, "quads"?, "keypoints"?, "tracker_id"?, ...}]}`. `image` is the size
        of the view that the coordinates belong to, null where it is not known; `origin` is where a view that is not its own
        root lies in it. `points` is the largest outline, for readers that know of one; `rle_mask` is the whole mask as run
        lengths of COCO. Other columns of the data have their own names; one whose name is taken, such as the `width` of a
        turned rectangle, stands in `columns`. What is not known is null, `confidence` where the detector gives none among it.
    """
    origin = found.metadata.get(ORIGIN)
    written: dict[str, Any] = {"image": _size_of_view(found, origin)}
    if isinstance(origin, Origin) and (origin.plane or not origin.is_root):
        written["origin"] = _origin_row(origin)
    columns = {key: value for key, value in found.data.items() if key not in (*KEYPOINTS, "class_name")}
    written["predictions"] = [_prediction(found, index, columns) for index in range(len(found))]
    return dict(plain(written))


def _size_of_view(found: sv.Detections, origin: Any) -> dict[str, int | None]:
    if isinstance(origin, Origin) and origin.width:
        return {"width": origin.width, "height": origin.height}
    if found.mask is not None:
        height, width = np.shape(found.mask)[1:]
        return {"width": width, "height": height}
    return {"width": None, "height": None}


def _origin_row(origin: Origin) -> dict[str, Any]:
    row = origin._asdict()
    if origin.plane is None:
        del row["plane"]
        return row
    base = origin.plane.base
    row["plane"] = {**origin.plane._asdict(), "base": None if base is None else _origin_row(base)}
    return row


def _prediction(found: sv.Detections, index: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in found.xyxy[index])
    names = found.data.get("class_name")
    row: dict[str, Any] = {
        "x": (x1 + x2) / 2,
        "y": (y1 + y2) / 2,
        "width": x2 - x1,
        "height": y2 - y1,
        "confidence": None if found.confidence is None else float(found.confidence[index]),
        "class": None if names is None else str(names[index]),
        "class_id": None if found.class_id is None else int(found.class_id[index]),
    }
    mask = None if found.mask is None else np.asarray(found.mask[index], bool)
    points = _points(found, index, mask)
    if points is not None:
        row["points"] = [{"x": float(x), "y": float(y)} for x, y in points]
    if mask is not None and mask.size:
        row["rle_mask"] = rle.encoded(mask)
    if KEYPOINTS_XY in found.data:
        row["keypoints"] = keypoints(found, index)
    if found.tracker_id is not None:
        row["tracker_id"] = int(found.tracker_id[index])
    for key, values in columns.items():
        place = row.setdefault("columns", {}) if key in RESERVED else row
        place.setdefault(key, values[index])
    return row


def _points(found: sv.Detections, index: int, mask: NDArray[np.bool_] | None) -> Any:
    """The largest outline of one detection as `[k, 2]`: its polygons', its quad or its mask's; None for a plain box."""
    several = found.data["polygons"][index] if "polygons" in found.data else None
    outlines = [] if several is None else [outline for outline in several if len(outline)]
    if not outlines and "quads" in found.data:
        outlines = [found.data["quads"][index]]
    if not outlines and mask is not None:
        outlines = sv.mask_to_polygons(mask)
    return max(outlines, key=lambda outline: cv2.contourArea(np.asarray(outline, np.float32)), default=None)


# ------------------------------------------------------------------ reading


def deserialise(value: Any) -> sv.Detections:
    """Read detections a caller gave: `supervision.Detections`, what `serialise` writes, or JSON of other programs.

    Args:
        value: detections, whose corners are put in order; a dict with `predictions`; a list of such rows; or either as text.
            `detection_rows` tells which spellings are understood.

    Raises:
        ValueError: the value is nothing of these, or a field does not fit; the message says where.
    """
    if is_detections(value):
        return in_order(value)
    if isinstance(value, str):
        value = _parsed(value)
    rows = value.get("predictions") if isinstance(value, Mapping) else value
    if not isinstance(rows, (list, tuple)):
        raise ValueError(
            f"{a(value)} is not detections; supervision.Detections or "
            '{"predictions": [{"x", "y", "width", "height", "class", "confidence"}]} would fit'
        )
    if len(rows) > MAX_DETECTIONS:
        raise ValueError(f"{len(rows)} detections; at most {MAX_DETECTIONS} would fit")
    check_depth(rows)
    size, origin = None, None
    if isinstance(value, Mapping):
        size = _size(value.get("image"))
        check_depth(value.get("origin"))
        origin = _origin(value.get("origin"))
        if origin is not None and size is not None:
            origin = origin._replace(width=size[0], height=size[1])
    read = [read_row(row, f"predictions[{place}]") for place, row in enumerate(rows)]
    return _detections(read, size, origin)


def in_order(found: sv.Detections) -> sv.Detections:
    """Detections whose boxes go from the upper left corner to the lower right one; the given ones stay as they are."""
    boxes = np.asarray(found.xyxy)
    if not len(found) or (boxes[:, :2] <= boxes[:, 2:]).all():
        return found
    corners = np.hstack([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])])
    return replace(found, xyxy=corners)


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise ValueError(f"the text is no JSON of detections: {error}") from None


def _size(value: Any) -> tuple[int, int] | None:
    """The width and height of the view, where they are told."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f'image: {a(value)}; {{"width", "height"}} would fit')
    if value.get("width") is None and value.get("height") is None:
        return None
    width, height = (whole(value.get(key), f"image.{key}", least=1, most=rle.MAX_PIXELS) for key in ("width", "height"))
    if width * height > rle.MAX_PIXELS:
        raise ValueError(f"image: {width}x{height} pixels; at most {rle.MAX_PIXELS} would fit")
    return width, height


def _origin(value: Any, where: str = "origin") -> Origin | None:
    """Where a view lies in its root, where that is told."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not set(Origin._fields) >= set(value):
        raise ValueError(f"{where}: {a(value)}; an object of {', '.join(Origin._fields)} would fit")
    told: dict[str, Any] = {"plane": _plane(value.get("plane"), f"{where}.plane")}
    for key in set(value) - {"plane"}:
        item, place = value[key], f"{where}.{key}"
        sides = key.endswith(("width", "height"))
        told[key] = whole(item, place, least=0, most=rle.MAX_PIXELS) if sides else number(item, place)
        if key.startswith("scale") and told[key] <= 0:
            raise ValueError(f"{place}: {item!r}; a number over 0 would fit")
    origin = Origin(**told)
    if max(origin.root_width * origin.root_height, origin.width * origin.height) > rle.MAX_PIXELS:
        size = f"{origin.width}x{origin.height} in {origin.root_width}x{origin.root_height}"
        raise ValueError(f"{where}: a view of {size}; {rle.MAX_PIXELS} pixels would fit")
    return origin


def _plane(value: Any, where: str) -> Plane | None:
    """What a root was made of, where that is told; `check_depth` bounds how often."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != set(Plane._fields):
        raise ValueError(f"{where}: {a(value)}; an object of {', '.join(Plane._fields)} would fit")
    base = _origin(value["base"], f"{where}.base")
    matrix = value["matrix"]
    if not isinstance(matrix, (list, tuple)) or len(matrix) != (0 if base is None else 9):
        raise ValueError(f"{where}.matrix: {a(matrix)}; the nine numbers of a 3x3 matrix would fit")
    numbers = tuple(number(item, f"{where}.matrix[{place}]") for place, item in enumerate(matrix))
    return Plane(str(value["name"])[:200], base, numbers)


def _detections(rows: Sequence[Row], size: tuple[int, int] | None, origin: Origin | None) -> sv.Detections:
    names = [row.name for row in rows]
    data: dict[str, Any] = {}
    if not rows or any(name is not None for name in names):
        data["class_name"] = object_array([name or "" for name in names])
    if any(row.outlines is not None for row in rows):
        data["polygons"] = object_array([row.outlines or [] for row in rows])
    if any(row.quad is not None for row in rows):
        data["quads"] = np.array([_corners(row) if row.quad is None else row.quad for row in rows])
    if any(row.keypoints is not None for row in rows):
        data.update(_keypoint_data([row.keypoints or [] for row in rows]))
    for key in dict.fromkeys(key for row in rows for key in row.rest):
        data[key] = _column(key, [row.rest.get(key) for row in rows])
    size = size or next((rle.size_of(row.runs, f"predictions[{place}].rle_mask")
                         for place, row in enumerate(rows) if row.runs is not None), None)  # fmt: skip
    origin = origin or (None if size is None else Origin.of_root(*size))
    return sv.Detections(
        xyxy=np.array([row.box for row in rows], dtype=float).reshape(-1, 4),
        mask=_masks(rows, size, origin),
        confidence=_confidences(rows),
        class_id=_class_ids(rows),
        tracker_id=_tracks(rows),
        data=data,
        metadata={} if origin is None else {ORIGIN: origin},
    )


def _corners(row: Row) -> list[list[float]]:
    x1, y1, x2, y2 = row.box
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def _confidences(rows: Sequence[Row]) -> NDArray[np.float64] | None:
    """How sure every detection is, NaN where a row does not say; None where no row does."""
    if all(row.confidence is None for row in rows):
        return None
    return np.array([np.nan if row.confidence is None else row.confidence for row in rows], dtype=float)


def _class_ids(rows: Sequence[Row]) -> NDArray[np.int64] | None:
    """The id of every class; one that is not told is that of the name elsewhere, else the next that is free."""
    if rows and all(row.number is None and (row.name is None or row.has_null_id) for row in rows):
        return None
    ids: dict[str, int] = {}
    for row in rows:
        if row.number is not None:
            ids.setdefault(row.name or "", row.number)
    used = set(ids.values())
    free = (number for number in count() if number not in used)
    for row in rows:
        if row.number is None and (row.name or "") not in ids:
            ids[row.name or ""] = next(free)
    return np.array([ids[row.name or ""] if row.number is None else row.number for row in rows], dtype=np.int64)


def _tracks(rows: Sequence[Row]) -> NDArray[np.int64] | None:
    """The track of every detection, -1 where a row has none; None where no row has one."""
    if all(row.track is None for row in rows):
        return None
    return np.array([-1 if row.track is None else row.track for row in rows], dtype=np.int64)


def _keypoint_data(several: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    if len(several) * max(map(len, several)) > MAX_KEYPOINTS:
        raise ValueError(f"more than {MAX_KEYPOINTS} keypoints, each detection having as many as the one with the most")
    return keypoint_data(several)


def _column(key: str, values: list[Any]) -> NDArray[Any]:
    """A column of the data: numbers as numbers, NaN where a row has none; everything else as it is."""
    if key in _TEXTS:
        return object_array(["" if value is None else str(value) for value in values])
    known = [value for value in values if value is not None]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known) and len(known) < len(values):
        values = [np.nan if value is None else value for value in values]
    if any(isinstance(value, (str, Mapping)) or value is None for value in values):
        return object_array(values)
    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # lists of different lengths
        return object_array(values)
    return array if array.dtype.kind in "biuf" else object_array(values)


def _masks(rows: Sequence[Row], size: tuple[int, int] | None, origin: Origin | None) -> NDArray[np.bool_] | None:
    """The masks `[n, height, width]` of run lengths and outlines; of a plain box among them, none of its pixels."""
    if size is None or not any(row.runs is not None or row.filled for row in rows):
        return None
    width, height = size
    root = width * height if origin is None else origin.root_width * origin.root_height
    if len(rows) * max(width * height, root) > rle.MAX_MASK_PIXELS:
        raise ValueError(f"{len(rows)} masks of {width}x{height}; at most {rle.MAX_MASK_PIXELS} pixels in all would fit")
    masks = np.zeros((len(rows), height, width), bool)
    for place, (mask, row) in enumerate(zip(masks, rows, strict=True)):
        if row.runs is not None:
            where = f"predictions[{place}].rle_mask"
            if (own := rle.size_of(row.runs, where)) != size:
                raise ValueError(f"{where}.size: {own[0]}x{own[1]} pixels on an image of {width}x{height}")
            mask[:] = rle.decoded(row.runs, where)
        elif row.filled and row.outlines:
            cv2.fillPoly(mask.view(np.uint8), [outline.astype(np.int32) for outline in row.outlines], [1])
    return masks
