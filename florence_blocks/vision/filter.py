"""Keeping some of the detections: by name, confidence, area, a one-line expression, or the query language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.detection import Detection, read_property, rows, select
from florence_blocks.vision.expression import Where
from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Share
from florence_blocks.vision.operations import Chain
from workflow_engine.block import AnyReference, Block, BlockManifest, DetectionsReference, Value
from workflow_engine.detections import is_detections

if TYPE_CHECKING:
    import supervision as sv


class DetectionsFilter(Block):
    """Keep the detections that meet every condition given.

    `{"type": "vision/detections_filter@v1", "name": "stars", "predictions": "$steps.detect.predictions",
    "where": "class_name == \\"star\\" and area > 400"}`
    """

    class Manifest(BlockManifest):
        """The fields of a filter step."""

        type: Literal["vision/detections_filter@v1", "roboflow_core/detections_filter@v1", "DetectionsFilter"]
        predictions: DetectionsReference
        where: Where | None = Field(None, description='a one-line expression: class_name == "star" and area > 400')
        classes: Value[list[str] | None] = Field(None, description="the names to keep")
        min_confidence: Value[Share | None] = Field(None, description="the least confidence to keep")
        min_area: Value[Annotated[float, Field(ge=0)] | None] = Field(None, description="the least area in pixels to keep")
        max_area: Value[Annotated[float, Field(ge=0)] | None] = Field(None, description="the largest area in pixels to keep")
        operations: Chain | None = Field(None, description="operations of the query language, such as DetectionsFilter")
        operations_parameters: dict[str, AnyReference] = Field(
            default_factory=dict, description="values for the operations, by name"
        )

    outputs = DETECTIONS_OUTPUT

    def run(
        self,
        predictions: sv.Detections,
        where: Where | None,
        classes: list[str] | None,
        min_confidence: float | None,
        min_area: float | None,
        max_area: float | None,
        operations: Chain | None,
        operations_parameters: dict[str, Any],
    ) -> sv.Detections:
        """The detections of one image that are kept; the given ones stay as they are."""

        def keeps(one: Detection) -> bool:
            return (
                (classes is None or read_property(one, "class_name") in classes)
                and (min_confidence is None or read_property(one, "confidence") >= min_confidence)
                and (min_area is None or read_property(one, "area") >= min_area)
                and (max_area is None or read_property(one, "area") <= max_area)
                and (where is None or where(one))
            )

        kept = select(predictions, [one.index for one in rows(predictions) if keeps(one)])
        if operations is None:
            return kept
        filtered = operations(kept, operations_parameters)
        if not is_detections(filtered):
            raise ValueError(f"the operations of a filter end in detections, not in a {type(filtered).__name__}")
        return filtered  # type: ignore[no-any-return]
