"""Blocks for vision workflows; the entry point in pyproject.toml makes them known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflow_engine import Block, BlockManifest, Image, ImageReference, Output, Value, hookimpl
from workflow_engine.kinds import BOOLEAN, FLOAT


class Brightness(Block):
    """How bright an image is on average, and whether that is enough.

    `{"type": "{{ package }}/brightness@v1", "name": "light", "image": "$inputs.image", "least": 0.3}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["{{ package }}/brightness@v1"]
        image: ImageReference
        least: Value[Annotated[float, Field(ge=0, le=1)]] = Field(0.25, description="what is bright enough, from 0 to 1")

    outputs = {"brightness": Output(FLOAT), "is_bright": Output(BOOLEAN)}

    def run(self, image: Image, least: float) -> dict[str, float | bool]:
        """The answer for one image."""
        brightness = float(image.array.mean()) / 255
        return {"brightness": brightness, "is_bright": brightness >= least}


@hookimpl
def workflow_engine_blocks() -> list[type[Block]]:
    """The blocks of this plugin."""
    return [Brightness]
