"""`supervision.Detections` as values of a workflow: reading and writing JSON, and the way back to the root image.

Detections know the image they lie on through `metadata["origin"]` (an `Origin`). supervision is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.data import Image, Origin
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

ORIGIN = "origin"
"""The key of `Detections.metadata` that holds the `Origin` of the image the coordinates belong to."""

KEYPOINTS_XY: Final = "keypoints_xy"
"""The key of `Detections.data` with keypoints `[n, k, 2]`; those of lesser number are padded with points without a name.

Beside it are the columns of what keypoints have besides, each `[n, k]`.
"""

_OF_KEYPOINTS: Final = {
    "keypoints_confidence": "confidence", "keypoints_class_id": "class_id", "keypoints_class_name": "class",
}  # fmt: skip
"""What keypoints have beside their place: the column, and its name in JSON."""

KEYPOINTS: Final = (KEYPOINTS_XY, *_OF_KEYPOINTS)
"""The keys of everything about keypoints."""


def is_detections(value: Any) -> bool:
    """Whether a value is `supervision.Detections`, without importing supervision."""
    kind = type(value)
    return kind.__name__ == "Detections" or any(base.__name__ == "Detections" for base in kind.__mro__)


def on_image(found: sv.Detections, image: Image) -> sv.Detections:
    """Note which image the coordinates of new detections belong to; every block that detects calls this."""
    found.metadata[ORIGIN] = image.origin
    return found


def to_root(found: sv.Detections) -> sv.Detections:
    """The same detections in the coordinates of the root image; masks are painted into an empty root."""
    origin = found.metadata.get(ORIGIN)
    if not isinstance(origin, Origin) or origin.is_root:
        return found
    root = Origin(root_width=origin.root_width, root_height=origin.root_height)
    return moved(found, origin, root, (origin.root_width, origin.root_height))


def onto(found: sv.Detections, image: Image) -> sv.Detections:
    """The same detections in the coordinates of another view of their root, such as the image their crop was cut from.

    Detections that do not know their image are taken to lie on this one.
    """
    origin = found.metadata.get(ORIGIN)
    if not isinstance(origin, Origin) or origin == image.origin:
        return on_image(found, image)
    return moved(found, origin, image.origin, image.size)


def moved(found: sv.Detections, origin: Origin, target: Origin, size: tuple[int, int]) -> sv.Detections:
    """Detections of one view in the coordinates of another, whose width and height are `size`."""
    place = origin.within(target)
    offset, scale = np.array([place.x, place.y]), np.array([place.scale_x, place.scale_y])
    return sv.Detections(
        xyxy=found.xyxy * np.tile(scale, 2) + np.tile(offset, 2),
        mask=None if found.mask is None else _painted(np.asarray(found.mask), place, size),
        confidence=found.confidence,
        class_id=found.class_id,
        tracker_id=found.tracker_id,
        data=points_moved(found.data, lambda points: points * scale + offset),
        metadata={**found.metadata, ORIGIN: target},
    )


def points_moved(data: Mapping[str, Any], move: Callable[[Any], Any]) -> dict[str, Any]:
    """The data of detections with every point moved: those of quads, outlines and keypoints.

    Args:
        data: `Detections.data`.
        move: what becomes of points `[n, k, 2]`.
    """
    out = dict(data)
    for key, value in data.items():
        if key in ("quads", KEYPOINTS_XY):
            out[key] = move(np.asarray(value))
        elif key == "polygons":
            out[key] = object_array([[move(np.asarray(outline)[None])[0] for outline in outlines] for outlines in value])
    return out


def object_array(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional array of Python objects, whatever their lengths."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _painted(masks: NDArray[np.bool_], place: Origin, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks `[n, h, w]` of one view in an empty other one `[n, height, width]`; what is outside of it is lost."""
    height, width = (round(masks.shape[1] * place.scale_y), round(masks.shape[2] * place.scale_x))
    canvas = np.zeros((len(masks), size[1], size[0]), dtype=bool)
    left, top = round(place.x), round(place.y)
    for painted, mask in zip(canvas, masks, strict=True):
        if mask.shape != (height, width):
            mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        target = painted[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
        target[:] = mask[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    return canvas


def serialise(found: sv.Detections) -> dict[str, Any]:
    """Plain JSON in the form of the language: centre, size, class and confidence of each detection.

    Returns:
        `{"image": {"width", "height"}, "predictions": [{"x", "y", "width", "height", "class", "class_id",
        "confidence", "points"?, "keypoints"?, "text"?, "detection_id"?}]}`; `confidence` is null where the detector gives
        none.
    """
    origin = found.metadata.get(ORIGIN)
    size = {"width": origin.root_width, "height": origin.root_height} if isinstance(origin, Origin) and origin.is_root else None
    return {"image": size, "predictions": [_prediction(found, index) for index in range(len(found))]}


def _prediction(found: sv.Detections, index: int) -> dict[str, Any]:
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
    points = _points(found, index)
    if points is not None:
        row["points"] = [{"x": float(x), "y": float(y)} for x, y in points]
    if KEYPOINTS_XY in found.data:
        row["keypoints"] = keypoints(found, index)
    for key in ("text", "detection_id", "parent_id"):
        if key in found.data:
            row[key] = str(found.data[key][index])
    if found.tracker_id is not None:
        row["tracker_id"] = int(found.tracker_id[index])
    return row


def _points(found: sv.Detections, index: int) -> Any:
    """The outline of one detection as `[k, 2]`: its largest polygon or its quad; None for a plain box."""
    if "polygons" in found.data and len(found.data["polygons"][index]):
        return max(found.data["polygons"][index], key=lambda outline: cv2.contourArea(outline.astype(np.float32)))
    return found.data["quads"][index] if "quads" in found.data else None


def keypoints(found: sv.Detections, index: int) -> list[dict[str, Any]]:
    """The keypoints of one detection as `{"x", "y", "confidence", "class_id", "class"}`; none where it has none."""
    if KEYPOINTS_XY not in found.data:
        return []
    own = {name: found.data[key][index] for key, name in _OF_KEYPOINTS.items() if key in found.data}
    names, ids, scores = own.get("class"), own.get("class_id"), own.get("confidence")
    return [
        {
            "x": float(x), "y": float(y),
            "confidence": None if scores is None or np.isnan(scores[place]) else float(scores[place]),
            "class_id": place if ids is None else int(ids[place]),
            "class": str(place) if names is None else str(names[place]),
        }
        for place, (x, y) in enumerate(found.data[KEYPOINTS_XY][index])
        if names is None or str(names[place])
    ]  # fmt: skip


def keypoint_data(several: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The keypoints of every detection as columns of `Detections.data`, padded to the longest.

    Keypoints without an id are counted.
    """
    shape = len(several), max(map(len, several), default=0)
    columns = {KEYPOINTS_XY: np.zeros((*shape, 2)), "keypoints_confidence": np.full(shape, np.nan),
               "keypoints_class_id": np.zeros(shape, int), "keypoints_class_name": np.full(shape, "", object)}  # fmt: skip
    for index, points in enumerate(several):
        for place, point in enumerate(points):
            columns[KEYPOINTS_XY][index, place] = point["x"], point["y"]
            for key, name in _OF_KEYPOINTS.items():
                value = point.get(name, place if name == "class_id" else None)
                columns[key][index, place] = np.nan if value is None else value
    return columns


def deserialise(value: Any) -> sv.Detections:
    """Read detections a caller gave: `supervision.Detections`, or the JSON that `serialise` writes.

    Raises:
        ValueError: the value is neither.
    """
    if is_detections(value):
        return value  # type: ignore[no-any-return]
    rows = value.get("predictions") if isinstance(value, dict) else value
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"a {type(value).__name__} is not detections; supervision.Detections or "
            '{"predictions": [{"x", "y", "width", "height", "class", "confidence"}]} would fit'
        )
    found = _from_rows(list(rows))
    size = value.get("image") if isinstance(value, dict) else None
    if size:
        width, height = int(size["width"]), int(size["height"])
        found.metadata[ORIGIN] = Origin(root_width=width, root_height=height)
        if "polygons" in found.data:
            found.mask = _masks(found.data["polygons"], width, height)
    return found


def _masks(polygons: Any, width: int, height: int) -> NDArray[np.bool_]:
    """The masks `[n, height, width]` of outlines; of a plain box among them, none of its pixels."""
    masks = np.zeros((len(polygons), height, width), np.uint8)
    for mask, outlines in zip(masks, polygons, strict=True):
        cv2.fillPoly(mask, [outline.astype(np.int32) for outline in outlines], [1])
    return masks.astype(bool)


def _from_rows(rows: list[dict[str, Any]]) -> sv.Detections:
    for index, row in enumerate(rows):
        missing = [key for key in ("x", "y", "width", "height") if not isinstance(row.get(key), (int, float))]
        if missing:
            raise ValueError(f"predictions[{index}] lacks the numbers {', '.join(missing)}")
        _check_keypoints(row.get("keypoints"), f"predictions[{index}].keypoints")
    boxes = [
        [r["x"] - r["width"] / 2, r["y"] - r["height"] / 2, r["x"] + r["width"] / 2, r["y"] + r["height"] / 2] for r in rows
    ]
    names = [str(row.get("class", "")) for row in rows]
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    scores = [row.get("confidence") for row in rows]
    data: dict[str, Any] = {"class_name": np.array(names, dtype=object)}
    for key in ("text", "detection_id", "parent_id"):
        if any(key in row for row in rows):
            data[key] = np.array([str(row.get(key, "")) for row in rows], dtype=object)
    tracks = [row.get("tracker_id") for row in rows]
    if any("points" in row for row in rows):
        outlines = [[np.array([[p["x"], p["y"]] for p in row["points"]])] if row.get("points") else [] for row in rows]
        data["polygons"] = object_array(outlines)
    if any("keypoints" in row for row in rows):
        data.update(keypoint_data([row.get("keypoints") or [] for row in rows]))
    return sv.Detections(
        xyxy=np.array(boxes, dtype=float).reshape(-1, 4),
        confidence=np.array(scores, dtype=float) if rows and None not in scores else None,
        class_id=np.array([row.get("class_id", order[name]) for row, name in zip(rows, names, strict=True)], dtype=int),
        tracker_id=np.array(tracks, dtype=int) if rows and None not in tracks else None,
        data=data,
    )


def _check_keypoints(points: Any, where: str) -> None:
    if points is None:
        return
    if not isinstance(points, (list, tuple)) or not all(
        isinstance(point, dict)
        and point.get("class")
        and all(isinstance(point.get(key), (int, float)) for key in ("x", "y"))
        and isinstance(point.get("class_id", 0), int)
        and abs(point.get("class_id", 0)) < 2**31
        and isinstance(point.get("confidence"), (int, float, NoneType))
        for point in points
    ):
        raise ValueError(f'{where} is no list of {{"x", "y", "class", "class_id", "confidence"}}')
