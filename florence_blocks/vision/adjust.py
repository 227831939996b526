"""Detections into detections: sorted, cut short, moved, grown, renamed by what a classifier says."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.names import ClassName, cleaned
from florence_blocks.vision.classification import leading
from florence_blocks.vision.detection import select, sort_keys
from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Coordinate, Factor, Length, Positive, Share, Whole, either
from florence_blocks.vision.operations import Chain, OperationsManifest, operated
from workflow_engine.block import Accepts, Block, BlockManifest, DetectionsReference, Reference, Value
from workflow_engine.detections import object_array, origin_of
from workflow_engine.kinds import CLASSIFICATION, LANGUAGE_MODEL_OUTPUT, LIST_OF_VALUES, STRING
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Sort = Literal["confidence", "area", "x_min", "x_max", "y_min", "y_max", "center_x", "center_y"]


def grown(found: sv.Detections, by: NDArray[Any]) -> sv.Detections:
    """Detections whose boxes are larger by `[n, 4]` pixels (left, up, right, down), within their root if that is known."""
    copy = select(found, list(range(len(found))))
    copy.xyxy = found.xyxy + by * np.array([-1, -1, 1, 1])
    origin = origin_of(found)
    if origin is not None and origin.root_width:
        left, top = -origin.x / origin.scale_x, -origin.y / origin.scale_y
        right, bottom = left + origin.root_width / origin.scale_x, top + origin.root_height / origin.scale_y
        copy.xyxy = copy.xyxy.clip([left, top, left, top], [right, bottom, right, bottom])
    return copy


class DetectionsTransformation(Block):
    """Sort detections, keep the first of them, grow their boxes, or apply operations of the query language; in this order.

    `{"type": "vision/detections_transformation@v1", "name": "largest", "predictions": "$steps.detect.predictions",
    "sort_by": "area", "descending": true, "top": 3, "grow": 4}`
    """

    class Manifest(OperationsManifest):
        """The fields of the step."""

        type: Literal["vision/detections_transformation@v1", "roboflow_core/detections_transformation@v1",
                      "DetectionsTransformation"]  # fmt: skip
        predictions: DetectionsReference
        sort_by: Value[Sort | None] = Field(None, description="what to sort by, the smallest first")
        descending: Value[bool] = Field(False, description="the largest first instead")
        top: Value[Length | None] = Field(None, description="how many to keep, from the first")
        grow: Value[Coordinate] = Field(0.0, description="pixels that every box grows on every side; negative ones shrink it")
        scale: Value[Factor] = Field(1.0, description="times every box's width and height")

    outputs = DETECTIONS_OUTPUT

    def run(
        self,
        predictions: sv.Detections,
        sort_by: Sort | None,
        descending: bool,
        top: int | None,
        grow: float,
        scale: float,
        operations: Chain | None,
        operations_parameters: dict[str, Any],
    ) -> sv.Detections:
        """The detections of one image; the given ones stay as they are."""
        order = list(range(len(predictions)))
        if sort_by is not None:
            keys = sort_keys(predictions, sort_by)
            order.sort(key=keys.__getitem__, reverse=descending)
        found = select(predictions, order[:top])
        if grow or scale != 1:
            sides = np.tile(found.xyxy[:, 2:] - found.xyxy[:, :2], 2)
            found = grown(found, np.maximum(grow + (scale - 1) * sides / 2, -sides / 2))
        return operated(found, operations, operations_parameters)


class DetectionOffset(Block):
    """Make the box of every detection wider and higher, in pixels or as a share of itself.

    `{"type": "vision/detection_offset@v1", "name": "roomy", "predictions": "$steps.detect.predictions",
    "offset_width": 20, "offset_height": 20}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detection_offset@v1", "roboflow_core/detection_offset@v1", "DetectionOffset"]
        predictions: DetectionsReference
        offset_width: Value[Positive] = either("offset_width", "offset_x", description="of both sides")
        offset_height: Value[Positive] = either("offset_height", "offset_y", description="both sides together")
        units: Literal["Pixels", "Percent (%)"] = "Pixels"

    outputs = DETECTIONS_OUTPUT

    def run(self, predictions: sv.Detections, offset_width: int, offset_height: int, units: str) -> sv.Detections:
        """The detections of one image, within it."""
        if units == "Pixels":
            by = np.tile([offset_width // 2, offset_height // 2], (len(predictions), 2))
        else:
            sides = predictions.xyxy[:, 2:] - predictions.xyxy[:, :2]
            by = np.tile((sides * [offset_width, offset_height] / 200).astype(int), 2)
        return grown(predictions, by)


class PerClassConfidenceFilter(Block):
    """Keep the detections that are as sure as their class asks for.

    `{"type": "vision/per_class_confidence_filter@v1", "name": "sure", "predictions": "$steps.detect.predictions",
    "class_thresholds": {"star": 0.8}, "default_threshold": 0.5}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/per_class_confidence_filter@v1", "roboflow_core/per_class_confidence_filter@v1"]
        predictions: DetectionsReference
        class_thresholds: Value[dict[ClassName, Coordinate]] = Field(description="the least confidence by class")
        default_threshold: Value[Share] = Field(0.3, description="the least confidence of all other classes")

    outputs = DETECTIONS_OUTPUT

    def run(self, predictions: sv.Detections, class_thresholds: dict[str, float], default_threshold: float) -> sv.Detections:
        """The detections of one image; those without a confidence all stay."""
        if predictions.confidence is None:
            return predictions
        names = predictions.data.get("class_name", [None] * len(predictions))
        pairs = enumerate(zip(names, predictions.confidence, strict=True))
        return select(predictions, [place for place, (name, sure) in pairs
                                    if not sure < class_thresholds.get(cleaned(str(name)), default_threshold)])  # fmt: skip


class DetectionsClassesReplacement(Block):
    """Give every detection the name that a classifier, or a reader of its crop, found for it.

    One answer per detection, in order: a classification (of several labels, the surest counts), a text, or a list whose first
    text counts. A detection whose answer is missing or empty gets the fallback; without one it is left out. Ids are those of
    the classifications; the confidence of a text is not known.

    `{"type": "vision/detections_classes_replacement@v1", "name": "named", "object_detection_predictions":
    "$steps.detect.predictions", "classification_predictions": "$steps.describe.caption"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_classes_replacement@v1", "roboflow_core/detections_classes_replacement@v1",
                      "DetectionsClassesReplacement"]  # fmt: skip
        object_detection_predictions: DetectionsReference
        classification_predictions: Annotated[
            Reference, Accepts(CLASSIFICATION, STRING, LANGUAGE_MODEL_OUTPUT, LIST_OF_VALUES)
        ] = Field(description="what was found on the crops of the detections, one dimension deeper")
        fallback_class_name: Value[str | None] = None
        fallback_class_id: Value[Whole | None] = None

    outputs = DETECTIONS_OUTPUT
    dimension = -1
    inner = ("classification_predictions",)
    accepts_missing = True

    def run(
        self,
        object_detection_predictions: sv.Detections | None,
        classification_predictions: list[Any],
        fallback_class_name: str | None,
        fallback_class_id: int | None,
    ) -> sv.Detections | None:
        """The renamed detections of one image; nothing where there are no detections to rename."""
        found, answers = object_detection_predictions, classification_predictions
        if found is None:
            return None
        if len(found) != len(answers):
            raise ValueError(f"{len(found)} detections and {len(answers)} answers; one answer per detection would fit")
        named = [_leading(answer) for answer in answers]
        if fallback_class_name:
            named = [one if one[0] else (fallback_class_name, fallback_class_id, None) for one in named]
        places = [place for place, (name, _, _) in enumerate(named) if name]
        kept = [named[place] for place in places]
        renamed = select(found, places)
        renamed.data["class_name"] = object_array([str(name) for name, _, _ in kept])
        renamed.class_id = _numbered([(str(name), number) for name, number, _ in kept])
        sure = [np.nan if value is None else value for _, _, value in kept]
        renamed.confidence = None if np.isnan(sure).all() else np.array(sure, dtype=float)
        return renamed


def _leading(answer: Any) -> tuple[str | None, int | None, float | None]:
    """The name of an answer, its id and how sure it is; a text has no id and is not known to be sure."""
    if isinstance(answer, dict):
        return leading(answer)
    if isinstance(answer, (list, tuple)):
        answer = answer[0] if answer else None
    return (answer or None), None, None


def _numbered(named: list[tuple[str, int | None]]) -> NDArray[np.int64]:
    """The ids of names; a name without one gets that of its like, else its place among all names, or the next that is free."""
    ids = {name: number for name, number in reversed(named) if number is not None}
    for place, name in enumerate(dict.fromkeys(name for name, _ in named)):
        if name not in ids:
            ids[name] = next(number for number in count(place) if number not in ids.values())
    return np.array([ids[name] if number is None else number for name, number in named], dtype=np.int64)
