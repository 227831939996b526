"""Detections as JSON in the form of the language, and JSON as detections."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from workflow_engine.data import Origin
from workflow_engine.detections import ORIGIN, is_detections, object_array
from workflow_engine.keypoints import KEYPOINTS_XY, keypoint_data, keypoints
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
