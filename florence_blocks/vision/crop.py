"""Crops: parts of images as images of their own, which know where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from florence_blocks.vision.detection import fitting
from florence_blocks.vision.draw import colour
from florence_blocks.vision.fields import Channel, Length, Positive, Share, VersionedManifest, either
from workflow_engine.block import Block, BlockManifest, DetectionsReference, ImageReference, Output, Value
from workflow_engine.data import Image
from workflow_engine.detections import ORIGIN, points_moved, unchecked
from workflow_engine.kinds import DETECTIONS, IMAGE
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")


MOST_SLICES: Final = 10_000
"""Slices of one image: more than that is a slip of the size or the overlap, and would fill the memory."""

_Overlap = Annotated[float, Field(ge=0.0, lt=1.0)]


class DynamicCrop(Block):
    """Cut every detected box out of its image: one crop per box, one dimension deeper.

    Beside each crop comes its own detection, in coordinates of the crop. A box that lies outside the image gives no crop.
    With `mask_opacity`, what is outside the mask of a segmentation fades into `background_color`.

    `{"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image", "predictions": "$steps.detect.predictions",
    "padding": 4}`
    """

    class Manifest(BlockManifest):
        """The fields of a crop step."""

        type: Literal["vision/dynamic_crop@v1", "roboflow_core/dynamic_crop@v1", "DynamicCrop", "Crop"]
        images: ImageReference = either("images", "image")
        predictions: DetectionsReference = either("predictions", "detections")
        padding: Value[Length] = Field(0, description="pixels added on every side")
        mask_opacity: Value[Share] = Field(0.0, description="how much of what is outside the mask is covered")
        background_color: Value[str | tuple[Channel, Channel, Channel]] = Field(
            (0, 0, 0), description='the cover: (blue, green, red), "#rrggbb" or a name'
        )

    outputs = {"crops": Output(IMAGE), "predictions": Output(*DETECTIONS)}
    dimension = 1

    def run(
        self, images: Image, predictions: sv.Detections, padding: int, mask_opacity: float, background_color: Any
    ) -> list[dict[str, Any]]:
        """The crops of one image."""
        width, height = images.size
        edges = np.rint(predictions.xyxy).astype(int) + np.array([-padding, -padding, padding, padding])
        edges = edges.clip(0, np.array([width, height, width, height]))
        shifted = fitting(predictions, images.size).xyxy - edges[:, [0, 1, 0, 1]]
        crops = []
        for index, (x1, y1, x2, y2) in enumerate(edges.tolist()):
            if x1 >= x2 or y1 >= y2:
                continue
            crop = images.crop(x1, y1, x2, y2)
            if mask_opacity and predictions.mask is not None:
                crop = _faded(crop, predictions.mask[index], (x1, y1, x2, y2), mask_opacity, background_color)
            one = _one(predictions, index, shifted[index : index + 1], (x1, y1, x2, y2), crop)
            crops.append({"crops": crop, "predictions": one})
        return crops


def _one(found: sv.Detections, index: int, xyxy: Any, box: tuple[int, int, int, int], crop: Image) -> sv.Detections:
    """One detection in the coordinates of its crop, `xyxy` `[1, 4]`."""
    part = slice(index, index + 1)
    data = points_moved({key: value[part] for key, value in found.data.items()}, lambda points: points - np.array(box[:2]))
    mask = None if found.mask is None else np.asarray(found.mask[part], dtype=bool)[:, box[1] : box[3], box[0] : box[2]]
    return unchecked(
        xyxy=xyxy,
        mask=mask,
        confidence=None if found.confidence is None else found.confidence[part],
        class_id=None if found.class_id is None else found.class_id[part],
        tracker_id=None if found.tracker_id is None else found.tracker_id[part],
        data=data,
        metadata={**found.metadata, ORIGIN: crop.origin},
    )


def _faded(crop: Image, mask: Any, box: tuple[int, int, int, int], opacity: float, colour: Any) -> Image:
    """A crop with everything outside the mask covered."""
    outside = ~np.asarray(mask)[box[1] : box[3], box[0] : box[2]]
    pixels = crop.bgr.copy()
    cover = pixels[outside] * (1 - opacity) + np.array(_bgr(colour)) * opacity
    pixels[outside] = cover.astype(np.uint8)
    return crop.derive(pixels)


def _bgr(given: Any) -> tuple[int, int, int]:
    if not isinstance(given, str):
        blue, green, red = given
        return blue, green, red
    named = colour(given)
    return named.b, named.g, named.r


class AbsoluteStaticCrop(Block):
    """Cut the same part, in pixels, out of every image.

    `{"type": "vision/absolute_static_crop@v1", "name": "plate", "images": "$inputs.image", "x_center": 320, "y_center": 400,
    "width": 200, "height": 80}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/absolute_static_crop@v1", "roboflow_core/absolute_static_crop@v1", "AbsoluteStaticCrop"]
        images: ImageReference = either("images", "image")
        x_center: Value[Positive]
        y_center: Value[Positive]
        width: Value[Positive]
        height: Value[Positive]

    outputs = {"crops": Output(IMAGE)}

    def run(self, images: Image, x_center: int, y_center: int, width: int, height: int) -> Image:
        """The part of one image; fails where nothing of it lies inside."""
        return _around(images, x_center, y_center, width, height)


class RelativeStaticCrop(Block):
    """Cut the same part, in shares of width and height, out of every image.

    `{"type": "vision/relative_static_crop@v1", "name": "lower_half", "images": "$inputs.image", "x_center": 0.5,
    "y_center": 0.75, "width": 1.0, "height": 0.5}`
    """

    class Manifest(BlockManifest):
        """The fields of the step; one type name is misspelt the way the field spells it."""

        type: Literal["vision/relative_static_crop@v1", "roboflow_core/relative_statoic_crop@v1", "RelativeStaticCrop"]
        images: ImageReference = either("images", "image")
        x_center: Value[Share]
        y_center: Value[Share]
        width: Value[Share]
        height: Value[Share]

    outputs = {"crops": Output(IMAGE)}

    def run(self, images: Image, x_center: float, y_center: float, width: float, height: float) -> Image:
        """The part of one image."""
        wide, high = images.size
        return _around(images, round(wide * x_center), round(high * y_center), round(wide * width), round(high * height))


def _around(image: Image, x: int, y: int, width: int, height: int) -> Image:
    left, top = round(x - width / 2), round(y - height / 2)
    return image.crop(left, top, left + width, top + height)


class ImageSlicer(Block):
    """Cut an image into overlapping slices of equal size, one dimension deeper, for what is too small to be seen in the whole.

    `vision/detections_stitch@v1` brings what is found on them back to the image.

    `{"type": "vision/image_slicer@v1", "name": "slices", "image": "$inputs.image", "slice_width": 640, "slice_height": 640,
    "overlap_ratio_width": 0.2, "overlap_ratio_height": 0.2}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step."""

        type: Literal["vision/image_slicer@v1", "roboflow_core/image_slicer@v2", "roboflow_core/image_slicer@v1"]
        image: ImageReference = either("image", "images")
        slice_width: Value[Positive] = 640
        slice_height: Value[Positive] = 640
        overlap_ratio_width: Value[_Overlap] = 0.2
        overlap_ratio_height: Value[_Overlap] = 0.2
        edges: Literal["shift", "cut"] = Field(
            "shift", description="slices at the right and lower edge: moved inwards to full size, or what is left of them"
        )

        defaults_of: ClassVar[Any] = {"roboflow_core/image_slicer@v1": {"edges": "cut"}}

    outputs = {"slices": Output(IMAGE)}
    dimension = 1

    def run(
        self,
        image: Image,
        slice_width: int,
        slice_height: int,
        overlap_ratio_width: float,
        overlap_ratio_height: float,
        edges: Literal["shift", "cut"],
    ) -> list[Image]:
        """The slices of one image, row by row."""
        columns = _spans(image.width, slice_width, overlap_ratio_width, edges)
        rows = _spans(image.height, slice_height, overlap_ratio_height, edges)
        if len(columns) * len(rows) > MOST_SLICES:
            raise ValueError(
                f"these slices cut an image of {image.width}x{image.height} into {len(columns) * len(rows):,} parts, more than"
                f" {MOST_SLICES:,}; larger slices or less overlap would fit"
            )
        return [image.crop(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _spans(length: int, size: int, overlap: float, edges: str) -> list[tuple[int, int]]:
    """Where slices of an axis begin and end."""
    if edges == "shift":
        size = min(size, length)
    starts = range(0, length, size - int(overlap * size))
    if edges == "cut":
        return [(start, min(start + size, length)) for start in starts]
    return [(start, start + size) for start in dict.fromkeys(min(start, length - size) for start in starts)]
