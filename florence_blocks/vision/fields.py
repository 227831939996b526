"""Field types that the companion blocks share, with the spellings of the field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field

from workflow_engine.block import Output
from workflow_engine.kinds import DETECTIONS, IMAGE


def either(*names: str, **more: Any) -> Any:
    """A required field that may be spelt in several ways."""
    return Field(validation_alias=AliasChoices(*names), **more)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]

IMAGE_OUTPUT = {"image": Output(IMAGE)}
DETECTIONS_OUTPUT = {"predictions": Output(*DETECTIONS)}
