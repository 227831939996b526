"""The fields and values that Florence blocks share: the model, the generation settings, and regions."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from florence_blocks.model_ids import CheckpointError, resolve
from florence_blocks.names import listed
from florence_blocks.requests import CONSTRAINED, MOST_BEAMS
from workflow_engine.block import Accepts, BlockManifest, ImageReference, Value
from workflow_engine.bounds import Bounded
from workflow_engine.checked import MAX_NUMBER
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
_AS_LIST = BeforeValidator(lambda names: list(listed(names)))
"""Names stay as they are given, since their places are class ids; they are cleaned where the model is asked."""
Classes = Annotated[Value[Annotated[list[str], Field(min_length=1), _AS_LIST]], Accepts(LIST_OF_VALUES)]
Coordinates: TypeAlias = Value[Literal["token", "refined"]]
OnlyClasses = Annotated[Value[Annotated[list[str], _AS_LIST] | None], Accepts(LIST_OF_VALUES)]
Count: TypeAlias = Value[Annotated[int, Field(ge=1), Bounded(100_000, "no checkpoint writes as much")] | None]


def _model_id(value: str) -> str:
    """The id as it is, if it can be one; what is on the hub cannot be known here."""
    try:
        resolve(value)
    except CheckpointError as error:
        raise ValueError(str(error)) from None
    return value


ModelId: TypeAlias = Value[Annotated[str, AfterValidator(_model_id)]]

RegionsToUse = Literal["all", "first", "last", "biggest", "smallest", "most_confident", "least_confident"]


class FlorenceManifest(BlockManifest):
    """What every Florence block takes besides the inputs of its task."""

    images: ImageReference
    model_id: ModelId = Field(
        "florence-2-demo",
        description="florence-2-base, -large, -base-ft, -large-ft, a hub id, a local folder, an adapter folder, or the small "
        "embedded florence-2-demo",
    )
    max_new_tokens: Count = Field(None, description="the longest answer in tokens; by default the checkpoint's own")
    num_beams: Value[Annotated[int, Field(ge=1, le=MOST_BEAMS)] | None] = Field(
        None, description="hypotheses side by side, 1 is greedy; by default the checkpoint's own"
    )
    no_repeat_ngram_size: Value[Annotated[int, Field(ge=0), Bounded(100_000, "no checkpoint writes as much")] | None] = Field(
        None, description="length of token sequences that may not come twice, 0 allows all; by default the checkpoint's own"
    )
    constrained: Value[bool] = Field(CONSTRAINED, description="whether answers are kept within the grammar of the task")


def _regions(value: Any) -> Any:
    """Detections as they are; boxes as four numbers each, zeros for one that is no box: the others have their answers.

    Raises:
        ValueError: none is a box.
    """
    if is_detections(value):
        return value
    plain = value.tolist() if hasattr(value, "tolist") else value
    boxes = [as_box(item) for item in plain] if isinstance(plain, (list, tuple)) else [None]
    if boxes and not any(boxes):
        raise ValueError(_WHAT_FITS)
    return [box or [0.0] * 4 for box in boxes]


def as_box(value: Any) -> list[float] | None:
    """Four numbers that pixels may have; None for anything else."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    if not all(isinstance(edge, Real) and not isinstance(edge, bool) for edge in value):
        return None
    try:
        edges = [float(edge) for edge in value]
    except OverflowError:
        return None
    return edges if all(abs(edge) <= MAX_NUMBER for edge in edges) else None


_WHAT_FITS = "regions are detections, or a list of boxes [x1, y1, x2, y2] in pixels"
EDGE_SCHEMA = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_BOX_SCHEMA = {"type": "array", "items": {"type": "array", "items": EDGE_SCHEMA, "minItems": 4, "maxItems": 4}}
Boxes = Annotated[Any, BeforeValidator(_regions), WithJsonSchema(_BOX_SCHEMA)]
RegionChoice: TypeAlias = Value[RegionsToUse]
Regions = Annotated[Value[Boxes], Accepts(*DETECTIONS, LIST_OF_VALUES)]


class RegionManifest(FlorenceManifest):
    """What every block takes that asks about regions."""

    regions: Regions = Field(description="detections of a step before, or boxes [x1, y1, x2, y2] in pixels")
    regions_to_use: RegionChoice = Field("all", description="all regions, or one of them")

    @model_validator(mode="after")
    def _literal_regions_are_boxes(self) -> Self:
        if isinstance(self.regions, list) and not all(any(box) for box in self.regions):
            raise PydanticCustomError("boxes", "{said}", {"said": _WHAT_FITS, "inside": ".regions"})
        return self


def as_detections(regions: Any) -> sv.Detections:
    """The regions of a step as detections; literal boxes have no names, and their corners may come in any order."""
    if is_detections(regions):
        return regions  # type: ignore[no-any-return]
    names = np.array([""] * len(regions), dtype=object)
    corners = np.array(regions, dtype=float).reshape(-1, 2, 2)
    return sv.Detections(xyxy=np.hstack([corners.min(axis=1), corners.max(axis=1)]), data={"class_name": names})


def _confidences(found: sv.Detections) -> Any:
    if found.confidence is None:
        raise ValueError("regions_to_use asks for confidences, and these regions have none; first, last or biggest would fit")
    return found.confidence


def _largest(values: Any, sign: int = 1) -> int:
    """The place of the largest value (of the smallest, for the sign -1) that is a number."""
    return int(np.where(np.isfinite(values), sign * values, -np.inf).argmax())


_CHOICES: dict[str, Callable[[Any], int]] = {
    "first": lambda found: 0,
    "last": lambda found: len(found) - 1,
    "biggest": lambda found: _largest(found.box_area),
    "smallest": lambda found: _largest(np.where(found.box_area > 0, found.box_area, np.nan), -1),
    "most_confident": lambda found: _largest(_confidences(found)),
    "least_confident": lambda found: _largest(_confidences(found), -1),
}


def narrowed(found: sv.Detections, which: RegionsToUse) -> sv.Detections:
    """The regions that `regions_to_use` asks for; of no regions, none."""
    if which == "all" or len(found) == 0:
        return found
    return found[[_CHOICES[which](found)]]  # type: ignore[return-value]
