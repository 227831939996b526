"""Classical computer vision: contours, morphology, contrast, colours, templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.draw import colour
from florence_blocks.vision.fields import IMAGE_OUTPUT, Channel, Factor, Kernel, Share, Thickness, VersionedManifest, either
from workflow_engine.block import Block, BlockManifest, ImageReference, Output, Value
from workflow_engine.bounds import Bounded
from workflow_engine.data import Image
from workflow_engine.detections import object_array, on_image
from workflow_engine.kinds import INTEGER, LIST_OF_VALUES, OBJECT_DETECTION, Kind
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_PURPLE = (255, 0, 255)
_CLIP_LIMIT, _TILES = 3.0, 8
"""Of adaptive equalization: how steep a tile's mapping may be against an even one, and tiles along each side."""
_BRIGHTER = 1 / 1.3
"""The exponent that lifts the middle tones."""
_MOST_MATCHES = 10_000


def _grey(pixels: Any) -> Any:
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)


_Clusters = Annotated[int, Field(gt=0), Bounded(256, "nobody tells as many colours apart")]
_Rounds = Annotated[int, Field(gt=0), Bounded(10_000, "groups are found long before")]
_Sampled = Annotated[int, Field(gt=0), Bounded(4_096, "more pixels take minutes")]


class ContoursDetection(Block):
    """The outer contours of what is bright in an image, such as one after a threshold, and a picture of them.

    `{"type": "vision/contours_detection@v1", "name": "outlines", "image": "$steps.ink.image"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/contours_detection@v1", "roboflow_core/contours_detection@v1"]
        image: ImageReference = either("image", "images")
        line_thickness: Value[Thickness] = 3

    outputs = {
        **IMAGE_OUTPUT,
        "contours": Output(Kind("contours"), LIST_OF_VALUES),
        "hierarchy": Output(Kind("numpy_array"), LIST_OF_VALUES),
        "number_contours": Output(INTEGER),
    }
    parallel = True

    def run(self, image: Image, line_thickness: int) -> dict[str, Any]:
        """The contours of one image, each as points `[n, 1, 2]`."""
        grey = _grey(image.array)
        contours, hierarchy = cv2.findContours(grey, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        drawn = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        cv2.drawContours(drawn, contours, -1, _PURPLE, line_thickness)
        return {
            "image": image.derive(np.asarray(drawn, np.uint8)),
            "contours": list(contours),
            "hierarchy": hierarchy if hierarchy is not None else np.zeros((1, 0, 4), np.int32),
            "number_contours": len(contours),
        }


_MORPHOLOGY = Literal["Erosion", "Dilation", "Opening", "Closing", "Opening then Closing", "Gradient", "Top Hat", "Black Hat"]
_OPERATIONS = {
    "Erosion": ("MORPH_ERODE",),
    "Dilation": ("MORPH_DILATE",),
    "Opening": ("MORPH_OPEN",),
    "Closing": ("MORPH_CLOSE",),
    "Opening then Closing": ("MORPH_OPEN", "MORPH_CLOSE"),
    "Gradient": ("MORPH_GRADIENT",),
    "Top Hat": ("MORPH_TOPHAT",),
    "Black Hat": ("MORPH_BLACKHAT",),
}


class MorphologicalTransformation(Block):
    """Erode, dilate, open or close what is bright, with a square of pixels.

    `{"type": "vision/morphological_transformation@v1", "name": "clean", "image": "$steps.ink.image", "operation": "Opening",
    "kernel_size": 3}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step; the first version elsewhere works in grey."""

        defaults_of = {"roboflow_core/morphological_transformation@v1": {"operation": "Closing", "grey": True}}

        type: Literal["vision/morphological_transformation@v1", "roboflow_core/morphological_transformation@v2",
                      "roboflow_core/morphological_transformation@v1"]  # fmt: skip
        image: ImageReference = either("image", "images")
        operation: Value[_MORPHOLOGY] = "Opening then Closing"
        kernel_size: Value[Kernel] = Field(5, description="the side of the square, in pixels")
        grey: bool = Field(False, description="whether the image is made grey first")

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, operation: str, kernel_size: int, grey: bool) -> Image:
        """The new image."""
        pixels = _grey(image.array) if grey else image.bgr
        kernel = np.ones((kernel_size, kernel_size), np.uint8)
        for name in _OPERATIONS[operation]:
            pixels = cv2.morphologyEx(pixels, getattr(cv2, name), kernel)
        return image.derive(pixels)


class ContrastEqualization(Block):
    """More contrast: stretch between the 2nd and 98th percentile, or equalise the histogram, of all or tile by tile.

    `{"type": "vision/contrast_equalization@v1", "name": "clear", "image": "$inputs.image",
    "equalization_type": "Contrast Stretching"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/contrast_equalization@v1", "roboflow_core/contrast_equalization@v1"]
        image: ImageReference = either("image", "images")
        equalization_type: Value[Literal["Contrast Stretching", "Histogram Equalization", "Adaptive Equalization"]] = (
            "Histogram Equalization"
        )

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, equalization_type: str) -> Image:
        """The new image; all channels share one mapping, but for the adaptive one, which keeps the colours."""
        pixels: Any = image.array
        if equalization_type == "Contrast Stretching":
            low, high = np.percentile(pixels, (2, 98))
            return image.derive(_stretched(pixels, low, high).astype(np.uint8)) if high > low else image
        if equalization_type == "Histogram Equalization":
            counts, edges = np.histogram(pixels, bins=256)
            shares = np.cumsum(counts) / pixels.size
            mapping = 255 * np.interp(np.arange(256), (edges[:-1] + edges[1:]) / 2, shares)
            return image.derive(mapping.astype(np.uint8)[pixels])
        clahe = cv2.createCLAHE(_CLIP_LIMIT, (_TILES, _TILES))
        if pixels.ndim == 2:
            return image.derive(np.asarray(clahe.apply(pixels), np.uint8))
        lab: Any = cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB)
        lab[..., 0] = clahe.apply(lab[..., 0])
        return image.derive(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), np.uint8))


def _stretched(pixels: Any, low: float, high: float) -> Any:
    """Values between two bounds over the whole range, as floats."""
    return (np.clip(pixels.astype(np.float64), low, high) - low) / (high - low) * 255.0


class ContrastEnhancement(Block):
    """Stretch every channel between its percentiles, then multiply its contrast, and lift the middle tones if asked.

    `{"type": "vision/contrast_enhancement@v1", "name": "clear", "image": "$inputs.image", "clip_limit": 2,
    "contrast_multiplier": 1.2}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/contrast_enhancement@v1", "roboflow_core/contrast_enhancement@v1"]
        image: ImageReference = either("image", "images")
        clip_limit: Value[Annotated[int, Field(ge=0, lt=50)]] = Field(0, description="percent cut off at both ends")
        contrast_multiplier: Value[Factor] = Field(1.0, description="around the middle grey")
        normalize_brightness: Value[bool] = Field(False, description="whether the middle tones are lifted")

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, clip_limit: int, contrast_multiplier: float, normalize_brightness: bool) -> Image:
        """The new image; a channel of one value stays black in colour, and an image of one grey stays as it is."""
        pixels: Any = image.array
        channels = [pixels] if pixels.ndim == 2 else [pixels[..., place] for place in range(pixels.shape[2])]
        made = []
        for channel in channels:
            low, high = np.percentile(channel, (clip_limit, 100 - clip_limit))
            if high <= low:
                if pixels.ndim == 2:
                    return image
                made.append(np.zeros_like(channel))
                continue
            values = (channel.astype(np.float32) - low) / (high - low) * 255.0
            values = 128.0 + (values - 128.0) * contrast_multiplier
            if normalize_brightness:
                values = np.clip(values, 0, 255) ** _BRIGHTER * 255.0 ** (1 - _BRIGHTER)
            made.append(np.clip(values, 0, 255).astype(np.uint8))
        return image.derive(made[0] if pixels.ndim == 2 else np.stack(made, axis=2))


class DominantColor(Block):
    """The colour of the largest of a few groups of similar pixels (k-means).

    `{"type": "vision/dominant_color@v1", "name": "colour", "image": "$steps.crop.crops"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/dominant_color@v1", "roboflow_core/dominant_color@v1"]
        image: ImageReference = either("image", "images")
        color_clusters: Value[_Clusters] = Field(4, description="how many groups")
        max_iterations: Value[_Rounds] = 100
        target_size: Value[_Sampled] = Field(100, description="pixels are left out until the shorter side has about so many")

    outputs = {"rgb_color": Output(Kind("rgb_color"), LIST_OF_VALUES)}
    parallel = True

    def run(self, image: Image, color_clusters: int, max_iterations: int, target_size: int) -> tuple[int, int, int]:
        """Red, green and blue of one image; the same for the same image."""
        stride = max(1, min(image.size) // target_size)
        pixels: Any = image.bgr[::stride, ::stride].reshape(-1, 3).astype(np.float32)
        groups = min(color_clusters, len(np.unique(pixels, axis=0)))
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, max_iterations, 1e-3)
        cv2.setRNGSeed(0)
        _, labels, centres = cv2.kmeans(pixels, groups, None, stop, 3, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
        blue, green, red = centres[np.bincount(labels.ravel()).argmax()].tolist()
        return round(red), round(green), round(blue)


class PixelColorCount(Block):
    """How many pixels have a colour, give or take a tolerance in each channel.

    `{"type": "vision/pixel_color_count@v1", "name": "red", "image": "$inputs.image", "target_color": "#ff0000",
    "tolerance": 20}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/pixel_color_count@v1", "roboflow_core/pixel_color_count@v1"]
        image: ImageReference = either("image", "images")
        target_color: Value[str | tuple[Channel, Channel, Channel]] = Field(
            description='"#rrggbb", "(r, g, b)", or three numbers r, g, b'
        )
        tolerance: Value[Annotated[int, Field(ge=0, le=255)]] = 10

    outputs = {"matching_pixels_count": Output(INTEGER)}
    parallel = True

    def run(self, image: Image, target_color: str | tuple[int, int, int], tolerance: int) -> int:
        """The count of one image."""
        wanted = colour(target_color).as_bgr() if isinstance(target_color, str) else tuple(target_color)[::-1]
        low, high = (np.clip(np.array(wanted) + by, 0, 255).astype(np.uint8) for by in (-tolerance, tolerance))
        return int(cv2.countNonZero(cv2.inRange(image.bgr, low, high)))


class TemplateMatching(Block):
    """Where a small image is found in a large one; the confidence is how well it fits there (normalised correlation).

    `{"type": "vision/template_matching@v1", "name": "logos", "image": "$inputs.image", "template": "$inputs.logo",
    "matching_threshold": 0.9}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/template_matching@v1", "roboflow_core/template_matching@v1"]
        image: ImageReference = either("image", "images")
        template: ImageReference = either("template", "templates")
        matching_threshold: Value[Share] = Field(0.8, description="how well it must fit")
        apply_nms: Value[bool] = Field(True, description="whether overlapping finds are one")
        nms_threshold: Value[Share] = Field(0.5, description="the overlap (IoU) of finds that are one")

    outputs = {"predictions": Output(OBJECT_DETECTION), "number_of_matches": Output(INTEGER)}
    parallel = True

    def run(
        self, image: Image, template: Image, matching_threshold: float, apply_nms: bool, nms_threshold: float
    ) -> dict[str, Any]:
        """The finds in one image."""
        large, small = _grey(image.array), _grey(template.array)
        if small.shape[0] > large.shape[0] or small.shape[1] > large.shape[1]:
            size = f"{template.width}x{template.height}"
            raise ValueError(f"the template ({size}) is larger than the image ({image.width}x{image.height})")
        scores = cv2.matchTemplate(large, small, cv2.TM_CCOEFF_NORMED)
        rows, columns = np.where(scores >= matching_threshold)
        if len(rows) > _MOST_MATCHES:
            raise ValueError(f"{len(rows)} places fit by {matching_threshold}; a higher matching_threshold would fit")
        corners = np.stack([columns, rows], axis=1).astype(float)
        found = sv.Detections(
            xyxy=np.hstack([corners, corners + small.shape[::-1]]).reshape(-1, 4),
            confidence=scores[rows, columns].astype(float).clip(0, 1),
            class_id=np.zeros(len(rows), int),
            data={"class_name": object_array(["template_match"] * len(rows))},
        )
        found = found.with_nms(threshold=nms_threshold) if apply_nms and len(found) else found
        return {"predictions": on_image(found, image), "number_of_matches": len(found)}
