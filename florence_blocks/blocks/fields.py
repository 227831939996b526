"""The fields and values that Florence blocks share: the model, the generation settings, and regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from florence_blocks.requests import CONSTRAINED
from workflow_engine.block import Accepts, BlockManifest, ImageReference, Value
from workflow_engine.detections import is_detections
from workflow_engine.kinds import DETECTIONS, LANGUAGE_MODEL_OUTPUT, LIST_OF_VALUES, STRING
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Text = Annotated[Value[str], Accepts(STRING, LANGUAGE_MODEL_OUTPUT)]
Classes = Annotated[Value[Annotated[list[str], Field(min_length=1)]], Accepts(LIST_OF_VALUES)]
Coordinates: TypeAlias = Value[Literal["token", "refined"]]
OnlyClasses = Annotated[Value[list[str] | None], Accepts(LIST_OF_VALUES)]
Count: TypeAlias = Value[Annotated[int, Field(ge=1)] | None]

RegionsToUse = Literal["all", "first", "last", "biggest", "smallest", "most_confident", "least_confident"]


class FlorenceManifest(BlockManifest):
    """What every Florence block takes besides the inputs of its task."""

    images: ImageReference
    model_id: Value[str] = Field(
        "florence-2-demo",
        description="florence-2-base, -large, -base-ft, -large-ft, a hub id, a local folder, an adapter folder, or the small "
        "embedded florence-2-demo",
    )
    max_new_tokens: Count = Field(None, description="the longest answer in tokens; the checkpoint's own when null")
    num_beams: Count = Field(None, description="hypotheses side by side, 1 is greedy; the checkpoint's own when null")
    no_repeat_ngram_size: Value[Annotated[int, Field(ge=0)] | None] = Field(
        None, description="length of token sequences that may not come twice, 0 allows all; the checkpoint's own when null"
    )
    constrained: Value[bool] = Field(CONSTRAINED, description="whether answers are kept within the grammar of the task")


def _regions(value: Any) -> Any:
    """Detections as they are; literal boxes as a list of four numbers each."""
    if is_detections(value):
        return value
    if not isinstance(value, (list, tuple)) or not all(_is_box(box) for box in value):
        raise ValueError("regions are detections, or a list of boxes [x1, y1, x2, y2] in pixels")
    return [[float(edge) for edge in box] for box in value]


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, (list, tuple)) and len(box) == 4
    return numbers and all(isinstance(edge, (int, float)) and not isinstance(edge, bool) for edge in box)


_BOX_SCHEMA = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}}
Boxes = Annotated[Any, BeforeValidator(_regions), WithJsonSchema(_BOX_SCHEMA)]
RegionChoice: TypeAlias = Value[RegionsToUse]
Regions = Annotated[Value[Boxes], Accepts(*DETECTIONS, LIST_OF_VALUES)]


def as_detections(regions: Any) -> sv.Detections:
    """The regions of a step as detections; literal boxes have no names."""
    if is_detections(regions):
        return regions  # type: ignore[no-any-return]
    names = np.array([""] * len(regions), dtype=object)
    return sv.Detections(xyxy=np.array(regions, dtype=float).reshape(-1, 4), data={"class_name": names})


def _most_confident(found: sv.Detections) -> int:
    if found.confidence is None:
        raise ValueError("regions_to_use asks for confidences, and these regions have none; first, last or biggest would fit")
    return int(found.confidence.argmax())


def _least_confident(found: sv.Detections) -> int:
    _most_confident(found)
    assert found.confidence is not None
    return int(found.confidence.argmin())


_CHOICES: dict[str, Callable[[Any], int]] = {
    "first": lambda found: 0,
    "last": lambda found: len(found) - 1,
    "biggest": lambda found: int(found.box_area.argmax()),
    "smallest": lambda found: int(found.box_area.argmin()),
    "most_confident": _most_confident,
    "least_confident": _least_confident,
}


def narrowed(found: sv.Detections, which: RegionsToUse) -> sv.Detections:
    """The regions that `regions_to_use` asks for; of no regions, none."""
    if which == "all" or len(found) == 0:
        return found
    return found[[_CHOICES[which](found)]]  # type: ignore[return-value]
