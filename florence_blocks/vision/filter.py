"""Keeping some of the detections: by name, confidence, area, a one-line expression, or the query language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from florence_blocks.names import ClassName, cleaned
from florence_blocks.vision.detection import read_property, rows, select
from florence_blocks.vision.expression import Where
from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Amount, Positions, Share
from florence_blocks.vision.operations import Chain, OperationsManifest, QueryError, operated
from florence_blocks.vision.zones import ZONE_PIXELS, Area, met, within
from workflow_engine.block import Block, DetectionsReference, Value
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


class DetectionsFilter(Block):
    """Keep the detections that meet every condition given.

    `{"type": "vision/detections_filter@v1", "name": "stars", "predictions": "$steps.detect.predictions",
    "where": "class_name == \\"star\\" and area > 400"}`
    """

    class Manifest(OperationsManifest):
        """The fields of a filter step."""

        type: Literal["vision/detections_filter@v1", "roboflow_core/detections_filter@v1", "DetectionsFilter"]
        predictions: DetectionsReference
        where: Where | None = Field(None, description='a one-line expression: class_name == "star" and area > 400')
        classes: Value[list[ClassName] | None] = Field(None, description="the names to keep")
        min_confidence: Value[Share | None] = Field(None, description="the least confidence to keep")
        min_area: Value[Amount | None] = Field(None, description="the least area in pixels to keep")
        max_area: Value[Amount | None] = Field(None, description="the largest area in pixels to keep")
        zone: Value[Area | None] = Field(None, description=f"the polygon to keep, or several: {ZONE_PIXELS}")
        zone_anchor: Value[Positions] = Field("CENTER", description="the point of a detection that lies within the zone")

    outputs = DETECTIONS_OUTPUT

    def run(
        self,
        predictions: sv.Detections,
        where: Where | None,
        classes: list[str] | None,
        min_confidence: float | None,
        min_area: float | None,
        max_area: float | None,
        zone: Any,
        zone_anchor: Positions,
        operations: Chain | None,
        operations_parameters: dict[str, Any],
    ) -> sv.Detections:
        """The detections of one image that are kept; the given ones stay as they are."""
        keeps = np.ones(len(predictions), dtype=bool)
        if classes is not None:
            keeps &= _of_classes(predictions, classes)
        if min_confidence is not None:
            keeps &= _confidences(predictions) >= min_confidence
        if min_area is not None:
            keeps &= _areas(predictions) >= min_area
        if max_area is not None:
            keeps &= _areas(predictions) <= max_area
        if zone is not None:
            keeps &= np.array(within(*met(predictions, zone), zone_anchor), dtype=bool)
        kept = np.flatnonzero(keeps).tolist()
        if where is not None:
            every = rows(predictions)
            kept = [place for place in kept if where(every[place])]
        return operated(select(predictions, kept), operations, operations_parameters)


def _of_classes(found: sv.Detections, classes: list[str]) -> NDArray[np.bool_]:
    """Which detections have one of the names, `[n]`."""
    wanted = set(classes)
    return np.array([cleaned(read_property(one, "class_name")) in wanted for one in rows(found)], dtype=bool)


def _areas(found: sv.Detections) -> NDArray[np.float64]:
    """The areas of the boxes `[n]`, in pixels."""
    return np.asarray(found.box_area, float)


def _confidences(found: sv.Detections) -> NDArray[np.float64]:
    """The confidences `[n]`.

    Raises:
        QueryError: there are detections, and they have none.
    """
    if found.confidence is None and len(found):
        raise QueryError("these detections carry no confidence; nothing can be decided by it")
    return np.zeros(0) if found.confidence is None else np.asarray(found.confidence, float)
