"""What was found on the crops of an image, back on the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from florence_blocks.vision.detection import select
from florence_blocks.vision.fields import Amount, Share
from florence_blocks.vision.together import names_of, overlaps_of, together
from workflow_engine.block import Accepts, AnyReference, Block, BlockManifest, DetectionsReference, Output, Value
from workflow_engine.detections import Zones, moved, origin_of
from workflow_engine.kinds import DETECTIONS, LIST_OF_VALUES, STRING
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    import supervision as sv
else:
    nx = LazyModule("networkx")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_OF_CONFIDENCES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"mean": fmean, "max": max, "min": min}


class DetectionsListRollup(Block):
    """What was found on the crops of an image, as detections on the image; what several crops found alike comes once.

    `{"type": "vision/detections_list_rollup@v1", "name": "all", "parent_detection": "$steps.detect.predictions",
    "child_detections": "$steps.list.output"}`, `list` a `vision/dimension_collapse@v1`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_list_rollup@v1", "roboflow_core/detections_list_rollup@v1", "DetectionsListRollUp"]
        parent_detection: DetectionsReference = Field(description="the detections the crops were cut at")
        child_detections: AnyReference = Field(description="the list of what was found on each crop, in their order")
        confidence_strategy: Annotated[Value[Literal["max", "mean", "min"]], Accepts(STRING, LIST_OF_VALUES)] = Field(
            "max", description="the confidence of what is joined"
        )
        overlap_threshold: Value[Share] = Field(
            0.0, description="the least IoU of boxes or masks that are joined; 0: all that overlap"
        )
        keypoint_merge_threshold: Value[Amount] = Field(
            10.0, description="accepted for other runtimes; keypoints stay those of one of the joined"
        )

    outputs = {"rolled_up_detections": Output(*DETECTIONS), "crop_zones": Output(LIST_OF_VALUES)}
    view = None

    def run(
        self,
        parent_detection: sv.Detections,
        child_detections: list[sv.Detections | None],
        confidence_strategy: str,
        overlap_threshold: float,
        keypoint_merge_threshold: float,
    ) -> dict[str, Any]:
        """The detections of one image, class by class, and the corners of its crops."""
        if len(parent_detection) != len(child_detections):
            raise ValueError(
                f"there are {len(parent_detection)} detections to cut at and {len(child_detections)} lists of what was found "
                "there; one for each of them would fit"
            )
        parts = [
            _placed(part, parent_detection, place)
            for place, part in enumerate(child_detections)
            if part is not None and len(part)
        ]
        corners = [[(x1, y1), (x2, y1), (x2, y2), (x1, y2)] for x1, y1, x2, y2 in parent_detection.xyxy.tolist()]
        zones = Zones(corners, origin_of(parent_detection))
        if not parts:
            return {"rolled_up_detections": select(parent_detection, []), "crop_zones": zones}
        found = together(parts)
        groups = _joined(found, overlap_threshold)
        rolled = select(found, [group[0] for group in groups])
        rolled.xyxy = np.array([[*found.xyxy[group, :2].min(axis=0), *found.xyxy[group, 2:].max(axis=0)] for group in groups])
        if found.mask is not None:
            rolled.mask = np.array([np.asarray(found.mask)[group].any(axis=0) for group in groups])
        if found.confidence is not None:
            scores = [found.confidence[group].tolist() for group in groups]
            rolled.confidence = np.array([_OF_CONFIDENCES[confidence_strategy](values) for values in scores])
        return {"rolled_up_detections": rolled, "crop_zones": zones}


def _placed(part: sv.Detections, parent: sv.Detections, place: int) -> sv.Detections:
    """What was found on a crop, in the coordinates of the detection the crop was cut at."""
    mine, theirs = origin_of(part), origin_of(parent)
    x1, y1, x2, y2 = (int(value) for value in parent.xyxy[place])
    if theirs is None:
        theirs = Origin.of_root(*_extent(parent))
    if mine is None or (mine.is_root and mine.plane is None):  # it does not know that it lies on a crop
        mine = theirs.part(x1, y1, x2 - x1, y2 - y1)
    return moved(part, mine, theirs)  # type: ignore[no-any-return]


def _extent(found: sv.Detections) -> tuple[int, int]:
    """Width and height that hold all detections, or those of their masks."""
    if found.mask is not None:
        height, width = found.mask.shape[1:]
        return width, height
    right, lower = found.xyxy[:, 2:].max(axis=0)
    return max(math.ceil(right), 1), max(math.ceil(lower), 1)


def _joined(found: sv.Detections, threshold: float) -> list[list[int]]:
    """The groups of detections of a class that overlap, directly or through others; classes in order of appearance."""
    classes = list(
        zip(names_of(found), [None] * len(found) if found.class_id is None else found.class_id.tolist(), strict=True)
    )
    overlaps = (
        overlaps_of(found, found) if found.mask is None else sv.mask_iou_batch(np.asarray(found.mask), np.asarray(found.mask))
    )
    graph: Any = nx.Graph()
    graph.add_nodes_from(range(len(found)))
    graph.add_edges_from(
        (one, other)
        for one in range(len(found))
        for other in range(one)
        if classes[one] == classes[other] and overlaps[one, other] > 0 and overlaps[one, other] >= threshold
    )
    order = {name: number for number, name in enumerate(dict.fromkeys(classes))}
    groups = [sorted(group) for group in nx.connected_components(graph)]
    return sorted(groups, key=lambda group: (order[classes[group[0]]], group[0]))
