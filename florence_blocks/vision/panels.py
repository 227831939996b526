"""Pictures beside and upon pictures, and text on them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator
from typing_extensions import Self

from florence_blocks.vision.detection import fitting
from florence_blocks.vision.draw import colour
from florence_blocks.vision.fields import (
    IMAGE_OUTPUT,
    Length,
    LetterScale,
    Offset,
    Positions,
    Share,
    Side,
    Thickness,
    VersionedManifest,
    either,
)
from florence_blocks.vision.formatting import filled
from florence_blocks.vision.operations import Chain, each_operated
from workflow_engine.block import Accepts, Block, BlockManifest, DetectionsReference, ImageReference, Reference, Value
from workflow_engine.data import Image
from workflow_engine.errors import a
from workflow_engine.kinds import ANY, IMAGE, LIST_OF_VALUES
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin, Plane

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Place = Literal["center", "top_left", "top_center", "top_right", "bottom_left", "bottom_center", "bottom_right",
                "center_left", "center_right"]  # fmt: skip
_PARAMETER = re.compile(r"\{\{\s*\$parameters\.(\w+)\s*\}\}")
_FONT_SIZE = 22.0
"""Pixels of a line of text at scale 1."""


class TextDisplay(Block):
    """Write a text on a panel over the image: a caption, a count, a warning.

    Placeholders are `{name}`, or `{{ $parameters.name }}` under the name of another runtime (see `placeholders`); what is no
    placeholder of a value that is given stays as it is there.

    `{"type": "vision/text_display@v1", "name": "panel", "image": "$inputs.image", "text": "{caption}",
    "text_parameters": {"caption": "$steps.describe.caption"}}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step."""

        defaults_of = {"roboflow_core/text_display@v1": {"placeholders": "{{ $parameters.name }}"}}

        type: Literal["vision/text_display@v1", "roboflow_core/text_display@v1"]
        image: ImageReference = either("image", "images")
        text: Value[str] = Field(description="a text with {placeholders}; long lines are wrapped")
        text_parameters: dict[str, Annotated[Value[Any], Accepts(ANY)]] = Field(
            default_factory=dict, description="values by name"
        )
        text_parameters_operations: dict[str, Chain] = Field(default_factory=dict, description="operations on values, by name")
        placeholders: Literal["{name}", "{{ $parameters.name }}"] = Field("{name}", description="how the text names values")
        text_color: Value[str] = "WHITE"
        background_color: Value[str] = Field("BLACK", description="a colour, or transparent")
        background_opacity: Value[Share] = 1.0
        font_scale: Value[LetterScale] = 1.0
        font_thickness: Value[Thickness] = 2
        padding: Value[Length] = 10
        text_align: Value[Literal["left", "center", "right"]] = "left"
        border_radius: Value[Length] = Field(0, description="accepted for other runtimes; corners are square")
        position_mode: Value[Literal["absolute", "relative"]] = "relative"
        position_x: Value[Offset] = Field(0, description="the left edge in pixels, where the position is absolute")
        position_y: Value[Offset] = Field(0, description="the upper edge in pixels, where the position is absolute")
        anchor: Value[Place] = Field("top_left", description="where on the image, where the position is relative")
        offset_x: Value[Offset] = 10
        offset_y: Value[Offset] = 10
        copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")

    outputs = IMAGE_OUTPUT

    def run(self, image: Image, text: str, **fields: Any) -> Image:
        """The image of one element under its panel."""
        write = filled if fields["placeholders"] == "{name}" else _replaced
        said = write(text, fields["text_parameters"], fields["text_parameters_operations"])
        scale, thickness, padding = fields["font_scale"], fields["font_thickness"], fields["padding"]
        canvas = image.bgr.copy()
        lines = _wrapped(said, scale, thickness, image.width - 2 * padding)
        widths = [_width(line, scale, thickness) for line in lines]
        step = round(1.5 * _FONT_SIZE * scale)
        wide, high = max(widths) + 2 * padding, step * len(lines) + 2 * padding
        left, top = _corner(fields, (wide, high), image.size)
        if fields["background_color"].lower() != "transparent":
            _cover(canvas, (left, top, left + wide, top + high), fields["background_color"], fields["background_opacity"])
        ink = colour(fields["text_color"]).as_bgr()
        for number, (line, width) in enumerate(zip(lines, widths, strict=True)):
            room = wide - 2 * padding - width
            x = left + padding + {"left": 0, "center": room // 2, "right": room}[fields["text_align"]]
            base = top + padding + round(step * (number + 0.72))
            cv2.putText(canvas, line, (x, base), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
        return image.derive(canvas)


def _replaced(text: str, data: dict[str, Any], operations: dict[str, Chain]) -> str:
    """A text with values, after their operations, in place of `{{ $parameters.name }}`."""
    values = each_operated(data, operations)
    return _PARAMETER.sub(lambda found: str(values[found[1]]) if found[1] in values else found[0], text)


def _width(line: str, scale: float, thickness: int) -> int:
    return int(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)[0][0])


def _wrapped(text: str, scale: float, thickness: int, room: int) -> list[str]:
    """Lines that fit into so many pixels; a word that does not fit stands alone."""
    lines = []
    for given in text.split("\n"):
        line = ""
        for word in given.split(" "):
            longer = f"{line} {word}" if line else word
            if line and _width(longer, scale, thickness) > room:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines


def _corner(fields: dict[str, Any], panel: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The upper left corner of a panel."""
    if fields["position_mode"] == "absolute":
        return fields["position_x"], fields["position_y"]
    anchor = fields["anchor"]
    x = {"left": fields["offset_x"], "right": size[0] - panel[0] - fields["offset_x"]}.get(anchor.split("_")[-1])
    y = {"top": fields["offset_y"], "bottom": size[1] - panel[1] - fields["offset_y"]}.get(anchor.split("_")[0])
    return (size[0] - panel[0]) // 2 if x is None else x, (size[1] - panel[1]) // 2 if y is None else y


def _cover(canvas: Any, box: tuple[int, int, int, int], name: str, opacity: float) -> None:
    """Cover a box, in place."""
    part = canvas[max(box[1], 0) : max(box[3], 0), max(box[0], 0) : max(box[2], 0)]
    part[:] = (part * (1 - opacity) + np.array(colour(name).as_bgr()) * opacity).astype(np.uint8)


_Images: TypeAlias = Annotated[Reference, Accepts(LIST_OF_VALUES, IMAGE)]


class GridVisualization(Block):
    """Several images in a grid, in their proportions: all crops of an image, or the same image drawn in several ways.

    `{"type": "vision/grid_visualization@v1", "name": "poster", "images": "$steps.all_crops.output", "width": 800,
    "height": 600}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/grid_visualization@v1", "roboflow_core/grid_visualization@v1"]
        images: _Images | list[_Images] = Field(
            description="a list of images, such as collapsed crops, or several steps' images"
        )
        width: Value[Side] = 2560
        height: Value[Side] = 1440

    outputs = IMAGE_OUTPUT

    def run(self, images: Any, width: int, height: int) -> Image:
        """The grid of one element, row by row; nothing gives an empty one."""
        given = list(_each(images))
        canvas = np.zeros((height, width, 3), np.uint8)
        columns = math.ceil(math.sqrt(len(given))) or 1
        lines = math.ceil(len(given) / columns) or 1
        for place, image in enumerate(given):
            line, column = divmod(place, columns)
            left, right = width * column // columns, width * (column + 1) // columns
            top, bottom = height * line // lines, height * (line + 1) // lines
            _fit(image.bgr, canvas[top:bottom, left:right])
        return Image(canvas, origin=Origin.of_root(width, height, Plane("a grid of images")))


def _each(images: Any) -> Iterator[Image]:
    """The images of lists within lists, in order."""
    if isinstance(images, Image):
        yield images
        return
    if images is not None and not isinstance(images, (list, tuple)):
        raise ValueError(f"a grid shows images, not {a(images)}; a list of images would fit")
    for part in images or ():
        yield from _each(part)


def _fit(pixels: Any, cell: Any) -> None:
    """An image in the middle of a cell, as large as fits."""
    share = min(cell.shape[0] / pixels.shape[0], cell.shape[1] / pixels.shape[1])
    wide, high = max(1, int(pixels.shape[1] * share)), max(1, int(pixels.shape[0] * share))
    left, top = (cell.shape[1] - wide) // 2, (cell.shape[0] - high) // 2
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    cell[top : top + high, left : left + wide] = cv2.resize(pixels, (wide, high), interpolation=way)


class IconVisualization(Block):
    """Lay an icon upon the image: a mark at every detection, or a watermark at one place.

    The icon keeps its proportions; where its file has transparency, the image shows through.

    `{"type": "vision/icon_visualization@v1", "name": "marked", "image": "$inputs.image", "icon": "$inputs.icon",
    "predictions": "$steps.detect.predictions"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/icon_visualization@v1", "roboflow_core/icon_visualization@v1", "IconVisualization"]
        image: ImageReference = either("image", "images")
        icon: ImageReference
        mode: Value[Literal["dynamic", "static"]] = Field(
            "dynamic", description="at every detection, or at one place of the image"
        )
        predictions: DetectionsReference | None = Field(None, description="the detections of the mode dynamic")
        icon_width: Value[Side] = 64
        icon_height: Value[Side] = 64
        position: Value[Positions] = Field("TOP_CENTER", description="the point of a detection that the icon is centred on")
        x_position: Value[Offset] = Field(10, description="the left edge in the mode static; below 0: from the right")
        y_position: Value[Offset] = Field(10, description="the upper edge in the mode static; below 0: from the bottom")
        copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")

        @model_validator(mode="after")
        def _has_places(self) -> Self:
            if self.mode == "dynamic" and self.predictions is None:
                raise ValueError('the mode "dynamic" needs `predictions`; the mode "static" does without')
            return self

    outputs = IMAGE_OUTPUT
    parallel = True
    view = "image"

    def run(
        self,
        image: Image,
        icon: Image,
        mode: str,
        predictions: sv.Detections | None,
        icon_width: int,
        icon_height: int,
        position: str,
        x_position: int,
        y_position: int,
        copy_image: bool,
    ) -> Image:
        """The image of one element with its icons."""
        canvas = image.bgr.copy()
        mark = sv.letterbox_image(icon.bgra, (icon_width, icon_height))
        if mode == "static":
            left = x_position if x_position >= 0 else image.width + x_position - icon_width
            top = y_position if y_position >= 0 else image.height + y_position - icon_height
            _lay(canvas, mark, left, top)
        elif predictions is None:
            raise ValueError('mode="dynamic" needs `predictions`; the mode "static" does without')
        else:
            centres = predictions.get_anchors_coordinates(getattr(sv.Position, position)).astype(int)
            for x, y in centres.tolist():
                _lay(canvas, mark, int(x - icon_width / 2), int(y - icon_height / 2))
        return image.derive(canvas)


def _lay(canvas: Any, mark: Any, left: int, top: int) -> None:
    """A picture `[height, width, BGRA]` upon another, in place; what is beyond its edges is cut off."""
    part = canvas[max(top, 0) : max(top + mark.shape[0], 0), max(left, 0) : max(left + mark.shape[1], 0)]
    seen = mark[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    share = seen[:, :, 3:].astype(np.float32) / 255
    part[:] = (part * (1 - share) + seen[:, :, :3] * share).astype(np.uint8)


class ModelComparison(Block):
    """Where two sets of detections agree and where only one of them has something: what both or none found stays uncovered.

    `{"type": "vision/model_comparison_visualization@v1", "name": "compared", "image": "$inputs.image",
    "predictions_a": "$steps.one.predictions", "predictions_b": "$steps.other.predictions"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/model_comparison_visualization@v1", "roboflow_core/model_comparison_visualization@v1"]
        image: ImageReference = either("image", "images")
        predictions_a: DetectionsReference
        predictions_b: DetectionsReference
        color_a: Value[str] = Field("GREEN", description="what only the first found")
        color_b: Value[str] = Field("RED", description="what only the second found")
        background_color: Value[str] = Field("BLACK", description="what none found")
        opacity: Value[Share] = 0.7
        copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")

    outputs = IMAGE_OUTPUT

    def run(
        self,
        image: Image,
        predictions_a: sv.Detections,
        predictions_b: sv.Detections,
        color_a: str,
        color_b: str,
        background_color: str,
        opacity: float,
        copy_image: bool,
    ) -> Image:
        """The image of one element in the colours of agreement."""
        first, second = (_region(found, image.size) for found in (predictions_a, predictions_b))
        canvas = image.bgr.copy()
        parts = ((first & ~second, color_a), (second & ~first, color_b), (~first & ~second, background_color))
        for part, name in parts:
            cover = canvas[part] * (1 - opacity) + np.array(colour(name).as_bgr()) * opacity
            canvas[part] = cover.astype(np.uint8)
        return image.derive(canvas)


def _region(found: sv.Detections, size: tuple[int, int]) -> Any:
    """Where detections are, `[height, width]`: their masks, or their boxes."""
    if fitting(found, size).mask is not None and len(found):
        return np.asarray(found.mask, dtype=bool).any(axis=0)
    region = np.zeros((size[1], size[0]), dtype=bool)
    for x1, y1, x2, y2 in np.rint(found.xyxy).astype(int).clip(0).tolist():
        region[y1:y2, x1:x2] = True
    return region
