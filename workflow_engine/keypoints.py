"""Keypoints of detections: columns of `Detections.data`, and a list of points for each detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")

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
