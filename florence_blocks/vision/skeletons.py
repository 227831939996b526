"""Pictures of keypoints: points, their names or the lines between them, by supervision's annotators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from florence_blocks.vision.draw import colour
from workflow_engine.keypoints import KEYPOINTS_XY, keypoints
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_COCO: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""The keypoints of a person in the COCO data set, in their order."""

_MOST: Final = 1024
"""Points of a skeleton up to which class ids are taken for places in it: what they ask for is drawn point by point."""

_FAR: Final = 2**20
"""Pixels beyond which a point is as good as anywhere out of the image; OpenCV draws to whole numbers of 32 bits."""


class Skeletons:
    """Keypoints as points, as their numbers, or as the lines of a skeleton."""

    def __init__(
        self,
        annotator_type: str,
        color: str,
        thickness: int,
        radius: int,
        text_color: str,
        text_scale: float,
        text_thickness: int,
        text_padding: int,
        edges: list[tuple[int, int]] | None,
    ) -> None:
        ink = colour(color)
        self._edges = edges if annotator_type == "edge" else None
        self._annotator: Any
        if annotator_type == "edge":
            self._annotator = sv.EdgeAnnotator(color=ink, thickness=thickness, edges=edges)
        elif annotator_type == "vertex":
            self._annotator = sv.VertexAnnotator(color=ink, radius=radius)
        else:
            self._annotator = sv.VertexLabelAnnotator(
                color=ink, text_color=colour(text_color), text_scale=text_scale, text_thickness=text_thickness,
                text_padding=text_padding, border_radius=radius,
            )  # fmt: skip

    def annotate(self, scene: Any, found: sv.Detections) -> Any:
        """The scene with the keypoints of every detection.

        Raises:
            ValueError: the detections have no keypoints, or an edge leads to a point that they do not have.
        """
        if KEYPOINTS_XY not in found.data:
            raise ValueError("these detections have no keypoints; a keypoint_detection_prediction would fit")
        points = _in_order([keypoints(found, index) for index in range(len(found))])
        if not points.size:
            return scene
        wrong = [list(edge) for edge in self._edges or () if not all(1 <= end <= points.shape[1] for end in edge)]
        if wrong:
            raise ValueError(
                f"edges={wrong} lead beyond the {points.shape[1]} keypoints; pairs of their numbers from 1 would fit"
            )
        classes: Any = found.class_id
        return self._annotator.annotate(scene, sv.KeyPoints(xy=points, class_id=classes))


def _in_order(several: Sequence[Sequence[dict[str, Any]]]) -> NDArray[np.float32]:
    """The places `[n, k, 2]` of keypoints, each where its class id says; (0, 0) for those that were not found.

    Detectors leave out the points that they are not sure of, so that the order alone does not tell which is which. The points
    of a person come as all 17, as the skeleton is known by their number. Ids that cannot be places leave the order as it is.
    """
    ids = [point["class_id"] for points in several for point in points]
    known = all(0 <= point["class_id"] < len(_COCO) and point["class"] == _COCO[point["class_id"]]
                for points in several for point in points)  # fmt: skip
    longest = max(map(len, several), default=0)
    placed = bool(ids) and min(ids) >= 0 and max(ids) < _MOST
    xy = np.zeros((len(several), max(longest, max(ids) + 1, len(_COCO) if known else 0) if placed else longest, 2), np.float32)
    for row, points in zip(xy, several, strict=True):
        for place, point in enumerate(points):
            row[point["class_id"] if placed else place] = point["x"], point["y"]
    return xy.clip(-_FAR, _FAR)
