"""Images into images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.fields import IMAGE_OUTPUT, Kernel, Side, either
from workflow_engine.block import Block, BlockManifest, ImageReference, Value
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")


class ConvertGrayscale(Block):
    """An image in grey, with one channel.

    `{"type": "vision/convert_grayscale@v1", "name": "grey", "image": "$inputs.image"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/convert_grayscale@v1", "roboflow_core/convert_grayscale@v1"]
        image: ImageReference = either("image", "images")

    outputs = IMAGE_OUTPUT

    def run(self, image: Image) -> Image:
        """The grey image; one that is grey already stays as it is."""
        pixels: Any = image.array
        return image if pixels.ndim == 2 else image.derive(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))


_MOST_BILATERAL = 101
"""The largest kernel of a bilateral blur."""


class ImageBlur(Block):
    """A blurred image.

    `{"type": "vision/image_blur@v1", "name": "soft", "image": "$inputs.image", "blur_type": "gaussian", "kernel_size": 9}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/image_blur@v1", "roboflow_core/image_blur@v1"]
        image: ImageReference = either("image", "images")
        blur_type: Value[Literal["average", "gaussian", "median", "bilateral"]] = "gaussian"
        kernel_size: Value[Kernel] = Field(5, description="pixels, odd for gaussian and median")

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, blur_type: str, kernel_size: int) -> Image:
        """The blurred image."""
        pixels: Any = image.array
        if blur_type in ("gaussian", "median") and kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}; a {blur_type} blur needs an odd number")
        if blur_type == "bilateral" and kernel_size > _MOST_BILATERAL:
            raise ValueError(
                f"kernel_size={kernel_size}; a bilateral blur looks at so many pixels squared for each one, and takes up to "
                f"{_MOST_BILATERAL} in seconds"
            )
        if blur_type == "average":
            return image.derive(cv2.blur(pixels, (kernel_size, kernel_size)))
        if blur_type == "gaussian":
            return image.derive(cv2.GaussianBlur(pixels, (kernel_size, kernel_size), 0))
        if blur_type == "median":
            return image.derive(cv2.medianBlur(pixels, kernel_size))
        return image.derive(cv2.bilateralFilter(pixels, kernel_size, 75, 75))


class ImagePreprocessing(Block):
    """A resized, rotated or mirrored image.

    Detections on a resized image leave the workflow in the pixels of its root. A rotated or mirrored one is a root of its own:
    its detections leave in its own pixels, and are brought back where a step uses them on the first image.

    `{"type": "vision/image_preprocessing@v1", "name": "small", "image": "$inputs.image", "task_type": "resize",
    "width": 320, "height": null}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/image_preprocessing@v1", "roboflow_core/image_preprocessing@v1"]
        image: ImageReference = either("image", "images")
        task_type: Literal["resize", "rotate", "flip"]
        width: Value[Side | None] = Field(640, description="pixels; null keeps the proportions")
        height: Value[Side | None] = Field(640, description="pixels; null keeps the proportions")
        rotation_degrees: Value[Annotated[int, Field(ge=-360, le=360)]] = Field(90, description="counter-clockwise")
        flip_type: Value[Literal["vertical", "horizontal", "both"]] = "vertical"

    outputs = IMAGE_OUTPUT

    def run(
        self, image: Image, task_type: str, width: int | None, height: int | None, rotation_degrees: int, flip_type: str
    ) -> Image:
        """The new image."""
        pixels: Any = image.array
        if task_type == "resize":
            share = height / image.height if height else width / image.width if width else 1.0
            size = (width or max(1, int(image.width * share)), height or max(1, int(image.height * share)))
            return image.derive(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        if task_type == "flip":
            return _mirrored(image, flip_type)
        return _rotated(image, rotation_degrees)


def _mirrored(image: Image, flip_type: str) -> Image:
    """An image mirrored top to bottom ("vertical"), left to right ("horizontal"), or both."""
    mirror = np.eye(3)
    if flip_type in ("horizontal", "both"):
        mirror[0] = (-1, 0, image.width)
    if flip_type in ("vertical", "both"):
        mirror[1] = (0, -1, image.height)
    code = {"vertical": 0, "horizontal": 1, "both": -1}[flip_type]
    return image.project(np.asarray(cv2.flip(image.array, code), np.uint8), mirror, "mirrored")


def _rotated(image: Image, degrees: int) -> Image:
    """An image turned around its middle, with black corners where nothing was."""
    pixels = image.array
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width // 2, height // 2), degrees, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(height * sine + width * cosine), int(height * cosine + width * sine)
    matrix[:, 2] += (wide / 2 - width // 2, high / 2 - height // 2)
    turned = np.asarray(cv2.warpAffine(pixels, matrix, (wide, high)), np.uint8)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from the centre of the first pixel
    return image.project(turned, half @ np.vstack([matrix, (0, 0, 1)]) @ np.linalg.inv(half), f"rotated by {degrees} degrees")


class Threshold(Block):
    """A black and white image, or one whose dark or bright parts are cut off; colours become grey where the method needs it.

    `{"type": "vision/threshold@v1", "name": "ink", "image": "$inputs.image", "threshold_type": "otsu"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/threshold@v1", "roboflow_core/threshold@v1"]
        image: ImageReference = either("image", "images")
        threshold_type: Value[Literal["binary", "binary_inv", "trunc", "tozero", "tozero_inv", "adaptive_mean",
                                      "adaptive_gaussian", "otsu"]] = "binary"  # fmt: skip
        thresh_value: Value[Annotated[int, Field(ge=0, le=255)]] = Field(127, description="of the methods that take one")
        max_value: Value[Annotated[int, Field(ge=0, le=255)]] = Field(255, description="what becomes of bright pixels")

    outputs = IMAGE_OUTPUT

    def run(self, image: Image, threshold_type: str, thresh_value: int, max_value: int) -> Image:
        """The new image."""
        pixels: Any = image.array
        if threshold_type in ("adaptive_mean", "adaptive_gaussian", "otsu") and pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        if threshold_type == "otsu":
            return image.derive(cv2.threshold(pixels, 0, max_value, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1])
        if threshold_type.startswith("adaptive"):
            method = getattr(cv2, f"ADAPTIVE_THRESH_{threshold_type.split('_')[1].upper()}_C")
            return image.derive(cv2.adaptiveThreshold(pixels, max_value, method, cv2.THRESH_BINARY, 11, 2))
        method = getattr(cv2, f"THRESH_{threshold_type.upper()}")
        return image.derive(cv2.threshold(pixels, thresh_value, max_value, method)[1])
