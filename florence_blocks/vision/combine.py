"""Blocks that make one of several detections: combine, frame, and the way back from slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Share, VersionedManifest
from florence_blocks.vision.together import Overlap, OverlapMeasure, cleared, together
from workflow_engine.block import Block, BlockManifest, DetectionsReference, ImageReference, Value
from workflow_engine.data import Image
from workflow_engine.detections import object_array, on_image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

MEASURES = "what the overlap is compared with: the union (iou), or the smaller of the two (ios), so that a part is the whole"
Threshold = Annotated[Share, Field(description="how much two boxes or masks overlap to be the same thing")]


class DetectionsCombine(Block):
    """The detections of several steps about the same image as one; what they found twice may be joined.

    `{"type": "vision/detections_combine@v1", "name": "all", "predictions": ["$steps.shapes.predictions",
    "$steps.words.predictions"], "overlap": "wbf"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_combine@v1", "roboflow_core/detections_combine@v1"]
        predictions: list[DetectionsReference] = Field(default_factory=list, description="what to combine")
        prediction_one: DetectionsReference | None = Field(None, description="one more of them, as the field spells it")
        prediction_two: DetectionsReference | None = Field(None, description="one more of them, as the field spells it")
        overlap: Value[Overlap] = Field("none", description="none, nms (the surest stays), nmm (joined) or wbf (their mean)")
        iou_threshold: Value[Threshold] = 0.5
        overlap_metric: Value[OverlapMeasure] = Field("iou", description=MEASURES)
        class_agnostic: Value[bool] = Field(False, description="whether things of different classes can be the same")

        @model_validator(mode="after")
        def _something(self) -> DetectionsCombine.Manifest:
            if not self.predictions and self.prediction_one is None and self.prediction_two is None:
                raise ValueError("nothing to combine; `predictions` takes a list of detections")
            return self

    outputs = DETECTIONS_OUTPUT

    def run(
        self,
        predictions: list[sv.Detections],
        prediction_one: sv.Detections | None,
        prediction_two: sv.Detections | None,
        overlap: Overlap,
        iou_threshold: float,
        overlap_metric: OverlapMeasure,
        class_agnostic: bool,
    ) -> sv.Detections:
        """The detections of one image."""
        parts = [*predictions, *(part for part in (prediction_one, prediction_two) if part is not None)]
        return cleared(together(parts), overlap, iou_threshold, measure=overlap_metric, class_agnostic=class_agnostic,
                       sources=len(parts))  # fmt: skip


class DetectionsMerge(Block):
    """One box around all detections of an image, as sure as the least sure of them; nothing stays nothing.

    `{"type": "vision/detections_merge@v1", "name": "frame", "predictions": "$steps.words.predictions", "class_name": "text"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_merge@v1", "roboflow_core/detections_merge@v1"]
        predictions: DetectionsReference
        class_name: Value[str] = Field("merged_detection", description="the name of the frame")

    outputs = DETECTIONS_OUTPUT

    def run(self, predictions: sv.Detections, class_name: str) -> sv.Detections:
        """The frame of one image."""
        count = min(len(predictions), 1)
        corners = [*predictions.xyxy[:, :2].min(axis=0), *predictions.xyxy[:, 2:].max(axis=0)] if count else []
        least = None if predictions.confidence is None else np.sort(predictions.confidence)[:count]
        return sv.Detections(
            xyxy=np.array(corners, dtype=float).reshape(-1, 4), confidence=least, class_id=np.zeros(count, dtype=int),
            data={"class_name": object_array([class_name] * count)}, metadata=dict(predictions.metadata),
        )  # fmt: skip


class DetectionsStitch(Block):
    """Detections on slices or crops of an image as detections on the image; what two slices found alike comes once.

    A thing that a slice cuts in two is found in parts: an overlap compared with the smaller of two boxes (`ios`) takes a part
    for the whole, and `nmm` joins them.

    `{"type": "vision/detections_stitch@v1", "name": "all", "reference_image": "$inputs.image",
    "predictions": "$steps.detect.predictions"}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step."""

        defaults_of = {"roboflow_core/detections_stitch@v1": {
            "overlap_filtering_strategy": "nms", "overlap_metric": "iou"}}  # fmt: skip

        type: Literal["vision/detections_stitch@v1", "roboflow_core/detections_stitch@v1"]
        reference_image: ImageReference = Field(description="the image that was sliced")
        predictions: DetectionsReference = Field(description="the detections on its slices")
        overlap_filtering_strategy: Value[Overlap] = Field("nmm", description="none, nms, nmm (joined) or wbf (their mean)")
        iou_threshold: Value[Threshold] = 0.3
        overlap_metric: Value[OverlapMeasure] = Field("ios", description=MEASURES)

    outputs = DETECTIONS_OUTPUT
    dimension = -1
    inner = ("predictions",)

    def run(
        self,
        reference_image: Image,
        predictions: list[sv.Detections | None],
        overlap_filtering_strategy: Overlap,
        iou_threshold: float,
        overlap_metric: OverlapMeasure,
    ) -> sv.Detections:
        """The detections of one image; slices that were skipped have none."""
        parts: list[Any] = [part for part in predictions if part is not None]
        if not parts:
            return on_image(sv.Detections.empty(), reference_image)
        return cleared(together(parts), overlap_filtering_strategy, iou_threshold, measure=overlap_metric)
