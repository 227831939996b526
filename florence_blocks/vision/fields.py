"""Field types that the companion blocks share, with the spellings of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, model_validator

from workflow_engine.block import BlockManifest, Output
from workflow_engine.kinds import DETECTIONS, IMAGE


def either(*names: str, **more: Any) -> Any:
    """A required field that may be spelt in several ways."""
    return Field(validation_alias=AliasChoices(*names), **more)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
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
