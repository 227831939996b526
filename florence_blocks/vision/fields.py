"""Field types that the companion blocks share, with the spellings of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, model_validator

from workflow_engine.block import BlockManifest, Output
from workflow_engine.bounds import Bounded
from workflow_engine.checked import MAX_NUMBER
from workflow_engine.kinds import DETECTIONS, IMAGE


def either(*names: str, **more: Any) -> Any:
    """A required field that may be spelt in several ways."""
    return Field(validation_alias=AliasChoices(*names), **more)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0), Bounded(1_000_000, "more of anything come of a mistake")]
Length = Annotated[int, Field(ge=0), Bounded(1_000_000, "no picture has as many pixels in a row")]
Offset = Annotated[int, Bounded(1_000_000, "no picture has as many pixels in a row", least=-1_000_000)]
Coordinate = Annotated[float, Bounded(MAX_NUMBER, "no picture has as many pixels in a row", least=-MAX_NUMBER)]
Side = Annotated[int, Field(gt=0), Bounded(16_384, "pictures with longer sides take gigabytes")]
Kernel = Annotated[int, Field(gt=0), Bounded(1_001, "larger kernels take minutes and leave one colour")]
Thickness = Annotated[int, Field(ge=1), Bounded(1_000, "thicker lines cover the picture")]
LetterScale = Annotated[float, Field(gt=0), Bounded(100.0, "larger letters are higher than the picture")]
Factor = Annotated[float, Field(gt=0), Bounded(10_000.0, "larger factors come of a mistake")]
Amount = Annotated[float, Field(ge=0), Bounded(1e12, "larger amounts come of a mistake")]
Seconds = Annotated[float, Field(ge=0), Bounded(31_536_000.0, "that is more than a year")]
Whole = Annotated[int, Bounded(10**12, "larger numbers come of a mistake", least=-(10**12))]
Channel = Annotated[int, Field(ge=0, le=255)]
Positions = Literal["CENTER", "CENTER_LEFT", "CENTER_RIGHT", "TOP_CENTER", "TOP_LEFT", "TOP_RIGHT", "BOTTOM_LEFT",
                    "BOTTOM_CENTER", "BOTTOM_RIGHT", "CENTER_OF_MASS"]  # fmt: skip

IMAGE_OUTPUT = {"image": Output(IMAGE)}
DETECTIONS_OUTPUT = {"predictions": Output(*DETECTIONS)}


class VersionedManifest(BlockManifest):
    """A manifest whose type names differ in the defaults of some fields: versions of a block are one block.

    Attributes:
        defaults_of: those defaults, by type name.
    """

    defaults_of: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, step: Any) -> Any:
        return {**cls.defaults_of.get(str(step.get("type")), {}), **step} if isinstance(step, dict) else step
