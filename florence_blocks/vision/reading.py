"""Texts with places as one text, in the order people read them: words to lines, lines to paragraphs, columns one by one.

Columns and paragraphs come from a recursive XY cut (Nagy and Seth, 1984): where an empty strip runs through all texts they are
cut apart, and each part is cut again. Distances are measured in heights of the texts, so that the resolution does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from florence_blocks.vision.fields import Factor, Length, Positive, VersionedManifest
from florence_blocks.vision.grouping import by_gaps, by_neighbours, joined
from workflow_engine.block import Block, DetectionsReference, Output, Value
from workflow_engine.kinds import STRING
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

PARAGRAPH: Final = 0.8
"""How many text heights apart two lines are at least to be of two paragraphs."""
COLUMN: Final = 1.5
"""How many text heights apart two columns are at least."""

Direction = Literal["left_to_right", "right_to_left", "vertical_top_to_bottom", "vertical_bottom_to_top", "auto"]


class StitchOcrDetections(Block):
    """The texts of all detections as one text, in reading order.

    `{"type": "vision/stitch_ocr_detections@v1", "name": "page", "predictions": "$steps.read.predictions"}`
    """

    class Manifest(VersionedManifest):
        """The fields of the step."""

        type: Literal["vision/stitch_ocr_detections@v1", "roboflow_core/stitch_ocr_detections@v2",
                      "roboflow_core/stitch_ocr_detections@v1"]  # fmt: skip
        predictions: DetectionsReference
        stitching_algorithm: Literal["layout", "tolerance", "otsu", "collimate"] = Field(
            "layout",
            description="layout: lines, paragraphs and columns; tolerance: tops on a grid of `tolerance` pixels; "
            "otsu: words where gaps are wide; collimate: lines that may climb and fall",
        )
        reading_direction: Direction = Field("left_to_right", description="auto: vertical where most are higher than wide")
        columns: Value[bool] = Field(True, description="whether columns are read one after the other; tables are not")
        delimiter: Value[str] = Field(" ", description="what stands between two texts of a line")
        tolerance: Value[Positive] = Field(10, description="pixels, for the algorithm `tolerance`")
        otsu_threshold_multiplier: Value[Factor] = Field(1.0, description="for the algorithm `otsu`; more makes longer words")
        collimate_tolerance: Value[Length] = Field(
            10, description="pixels, for the algorithm `collimate`: how much higher or lower the next text may lie"
        )

        defaults_of = {
            f"roboflow_core/stitch_ocr_detections@v{version}": {"stitching_algorithm": "tolerance", "delimiter": ""}
            for version in (1, 2)
        }

    outputs = {"ocr_text": Output(STRING)}

    def run(
        self,
        predictions: sv.Detections,
        stitching_algorithm: str,
        reading_direction: Direction,
        columns: bool,
        delimiter: str,
        tolerance: int,
        otsu_threshold_multiplier: float,
        collimate_tolerance: int,
    ) -> str:
        """The text of one image; no texts give an empty one."""
        texts = [str(text) for text in predictions.data.get("text", predictions.data.get("class_name", ()))]
        if not texts:
            return ""
        direction = _direction(predictions.xyxy) if reading_direction == "auto" else reading_direction
        boxes = _turned(predictions.xyxy, direction)
        backwards = direction in ("right_to_left", "vertical_bottom_to_top")
        if stitching_algorithm == "tolerance":
            return _on_grid(boxes.round(), texts, tolerance, delimiter, direction, backwards=backwards)
        separator, upwards = " " if direction.startswith("vertical") else "\n", direction == "vertical_bottom_to_top"
        if stitching_algorithm == "otsu":
            words = by_gaps(boxes, otsu_threshold_multiplier, backwards=backwards, upwards=upwards)
            said = [[delimiter.join(texts[place] for place in word) for word in line] for line in words]
            return joined(said, delimiter or " ", separator)
        if stitching_algorithm == "collimate":
            lines = by_neighbours(boxes, collimate_tolerance, backwards=backwards, upwards=upwards)
            return joined([[texts[place] for place in line] for line in lines], delimiter, separator)
        paragraphs = _paragraphs(
            boxes, list(range(len(texts))), float(np.median(boxes[:, 3] - boxes[:, 1])), columns, backwards
        )
        return "\n\n".join("\n".join(delimiter.join(texts[place] for place in line) for line in lines) for lines in paragraphs)


def _direction(boxes: NDArray[Any]) -> Direction:
    upright = (boxes[:, 3] - boxes[:, 1]) > (boxes[:, 2] - boxes[:, 0])
    return "vertical_top_to_bottom" if upright.mean() > 0.5 else "left_to_right"


def _turned(boxes: NDArray[Any], direction: str) -> NDArray[Any]:
    """Boxes as if they were read in horizontal lines."""
    return boxes[:, [1, 0, 3, 2]] if direction.startswith("vertical") else boxes


def _on_grid(
    boxes: NDArray[Any], texts: Sequence[str], tolerance: int, delimiter: str, direction: str, *, backwards: bool
) -> str:
    """Lines are tops that round to the same multiple of the tolerance."""
    lines: dict[float, list[int]] = {}
    for place, top in enumerate(np.round(boxes[:, 1] / tolerance) * tolerance):
        lines.setdefault(float(top), []).append(place)
    vertical = direction.startswith("vertical")
    pieces: list[str] = []
    for number, top in enumerate(sorted(lines, reverse=direction == "vertical_bottom_to_top")):
        pieces += [" " if vertical else "\n"] * (number > 0)
        pieces += [texts[place] for place in sorted(lines[top], key=lambda place: boxes[place, 0], reverse=backwards)]
    return delimiter.join(pieces)


# ------------------------------------------------------------------ layout


def _paragraphs(boxes: NDArray[Any], places: list[int], height: float, columns: bool, backwards: bool) -> list[list[list[int]]]:
    """Paragraphs in reading order, each a list of lines, each a list of places."""

    def inside(part: list[int]) -> list[list[list[int]]]:
        return _paragraphs(boxes, part, height, columns, backwards)

    beside = _cut(boxes, places, 0, COLUMN * height) if columns else [places]
    if len(beside) > 1 and all(len(_lines(boxes, part, backwards)) > 1 for part in beside):
        return [found for part in (reversed(beside) if backwards else beside) for found in inside(part)]
    below = _cut(boxes, places, 1, PARAGRAPH * height)
    if len(below) > 1:
        return [found for part in below for found in inside(part)]
    if columns and (split := _over_columns(boxes, places, height, backwards)):
        return [found for part in split for found in inside(part)]
    return [_lines(boxes, places, backwards)]


def _cut(boxes: NDArray[Any], places: list[int], axis: int, gap: float) -> list[list[int]]:
    """Texts apart at every empty strip of some width across an axis, in its order."""
    order = sorted(places, key=lambda place: boxes[place, axis])
    parts, reach = [[order[0]]], float(boxes[order[0], axis + 2])
    for place in order[1:]:
        if boxes[place, axis] - reach >= gap:
            parts.append([])
        parts[-1].append(place)
        reach = max(reach, float(boxes[place, axis + 2]))
    return parts


def _over_columns(boxes: NDArray[Any], places: list[int], height: float, backwards: bool) -> list[list[int]] | None:
    """A heading and what is below it, where the heading alone keeps columns together."""
    lines = _lines(boxes, places, backwards)
    for count in range(1, len(lines) - 1):
        rest = [place for line in lines[count:] for place in line]
        parts = _cut(boxes, rest, 0, COLUMN * height)
        if len(parts) > 1 and all(len(_lines(boxes, part, backwards)) > 1 for part in parts):
            return [[place for line in lines[:count] for place in line], rest]
    return None


def _lines(boxes: NDArray[Any], places: list[int], backwards: bool) -> list[list[int]]:
    """Texts whose middle lies within the middle half of a line belong to it."""
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    lines: list[list[int]] = []
    for place in sorted(places, key=lambda place: float(middles[place])):
        if lines:
            tops, bottoms = boxes[lines[-1], 1], boxes[lines[-1], 3]
            centre, reach = float((tops + bottoms).mean()) / 2, float((bottoms - tops).mean()) / 2
        if not lines or abs(middles[place] - centre) > reach:
            lines.append([])
        lines[-1].append(place)
    return [sorted(line, key=lambda place: boxes[place, 0], reverse=backwards) for line in lines]
