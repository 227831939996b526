"""Images into images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.fields import IMAGE_OUTPUT, either
from workflow_engine.block import Block, BlockManifest, ImageReference, Value
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
else:
    cv2 = LazyModule("cv2")


class ConvertGrayscale(Block):
    """An image in grey, with one channel."""

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/convert_grayscale@v1", "roboflow_core/convert_grayscale@v1"]
        image: ImageReference = either("image", "images")

    outputs = IMAGE_OUTPUT

    def run(self, image: Image) -> Image:
        """The grey image; one that is grey already stays as it is."""
        pixels: Any = image.array
        return image if pixels.ndim == 2 else image.derive(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))


class ImageBlur(Block):
    """A blurred image."""

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/image_blur@v1", "roboflow_core/image_blur@v1"]
        image: ImageReference = either("image", "images")
        blur_type: Value[Literal["average", "gaussian", "median", "bilateral"]] = "gaussian"
        kernel_size: Value[Annotated[int, Field(ge=1)]] = Field(5, description="pixels, odd for gaussian and median")

    outputs = IMAGE_OUTPUT

    def run(self, image: Image, blur_type: str, kernel_size: int) -> Image:
        """The blurred image."""
        pixels: Any = image.array
        if blur_type in ("gaussian", "median") and kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}; a {blur_type} blur needs an odd number")
        if blur_type == "average":
            return image.derive(cv2.blur(pixels, (kernel_size, kernel_size)))
        if blur_type == "gaussian":
            return image.derive(cv2.GaussianBlur(pixels, (kernel_size, kernel_size), 0))
        if blur_type == "median":
            return image.derive(cv2.medianBlur(pixels, kernel_size))
        return image.derive(cv2.bilateralFilter(pixels, kernel_size, 75, 75))
