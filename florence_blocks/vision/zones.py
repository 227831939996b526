"""Zones and counts: how many there are, within a polygon or at all, and pictures of polygons and lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field

from florence_blocks.names import ClassName, cleaned
from florence_blocks.vision.detection import select
from florence_blocks.vision.draw import colour
from florence_blocks.vision.fields import IMAGE_OUTPUT, Coordinate, LetterScale, Positions, Share, Thickness, Whole, either
from florence_blocks.vision.lines import write_beside
from workflow_engine.block import Block, BlockManifest, DetectionsReference, ImageReference, Output, Value
from workflow_engine.data import Image
from workflow_engine.detections import Zones, onto, origin_of, polygons, to_root
from workflow_engine.kinds import DETECTIONS, DICTIONARY, INTEGER
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Point: TypeAlias = tuple[Coordinate, Coordinate]
Zone: TypeAlias = Annotated[list[Point], Field(min_length=3)]
"""The corners (x, y) of a polygon, in pixels."""
Area: TypeAlias = Zone | list[Zone]
"""A polygon, or several, such as those of `dynamic_zone`: what lies in one of them lies in the area."""
ZONE_PIXELS: Final = "corners (x, y) in pixels of the image that went in"
Line: TypeAlias = tuple[Point, Point]
"""The two ends (x, y) of a line, in pixels."""


def within(found: sv.Detections, area: Any, anchor: Positions) -> list[bool]:
    """Whether the anchor of every detection lies within a polygon of an area or on its edge."""
    several = [np.array(zone, dtype=np.float32) for zone in polygons(area)]
    points = found.get_anchors_coordinates(getattr(sv.Position, anchor)).tolist()
    return [any(cv2.pointPolygonTest(polygon, (x, y), False) >= 0 for polygon in several) for x, y in points]


def met(found: sv.Detections, zone: Any, image: Image | None = None) -> tuple[sv.Detections, Any]:
    """Detections and a zone (or line, or several zones) in the same pixels.

    Zones that a step made know their view, and come to the detections. Others are in the pixels of the image they are given
    with, without one in those of the image that went into the run. Detections on a plane of their own, such as a rectified one,
    stay there: a zone for them is in its pixels.
    """
    origin = origin_of(found)
    if origin is None:
        return found, zone
    if type(zone) is Zones:
        return found, onto(zone, origin)
    if image is None:
        return to_root(found), zone
    return (onto(found, image.origin) if origin.plane == image.origin.plane else found), zone


class DetectionsCount(Block):
    """Count detections: all, those of each class, and only within a zone where one is given.

    `{"type": "vision/detections_count@v1", "name": "in_zone", "predictions": "$steps.detect.predictions",
    "zone": [[0, 0], [80, 0], [80, 160], [0, 160]]}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_count@v1"]
        predictions: DetectionsReference
        classes: Value[list[ClassName] | None] = Field(None, description="the names to count, listed even where none is there")
        zone: Value[Area | None] = Field(None, description=f"the polygon to count in, or several: {ZONE_PIXELS}")
        zone_anchor: Value[Positions] = Field("CENTER", description="the point of a detection that lies within the zone")

    outputs = {"count": Output(INTEGER), "per_class": Output(DICTIONARY), "predictions": Output(*DETECTIONS)}

    def run(self, predictions: sv.Detections, classes: list[str] | None, zone: Any, zone_anchor: Positions) -> dict[str, Any]:
        """How many there are on one image, and which."""
        inside = [True] * len(predictions) if zone is None else within(*met(predictions, zone), zone_anchor)
        names = [cleaned(str(name)) for name in predictions.data.get("class_name", [""] * len(predictions))]
        kept = [place for place, name in enumerate(names) if inside[place] and (classes is None or name in classes)]
        counts = Counter(names[place] for place in kept)
        listed = counts if classes is None else {name: counts[name] for name in classes}
        return {"count": len(kept), "per_class": dict(listed), "predictions": select(predictions, kept)}


class PolygonZoneVisualization(Block):
    """Tint a polygon, such as the zone of a counter, or several.

    `{"type": "vision/polygon_zone_visualization@v1", "name": "drawn", "image": "$inputs.image",
    "zone": [[0, 0], [80, 0], [80, 160], [0, 160]]}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/polygon_zone_visualization@v1", "roboflow_core/polygon_zone_visualization@v1"]
        image: ImageReference = either("image", "images")
        zone: Value[Area] = Field(description="corners (x, y) of the polygon, or of each of several")
        color: Value[str] = "#5bb573"
        opacity: Value[Share] = 0.3
        copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, zone: Any, color: str, opacity: float, copy_image: bool) -> Image:
        """The image of one element with its zone."""
        canvas = image.bgr.copy()
        cover = canvas.copy()
        for polygon in polygons(zone):
            cv2.fillPoly(cover, [np.rint(polygon).astype(np.int32)], colour(color).as_bgr(), cv2.LINE_AA)
        return image.derive(np.asarray(cv2.addWeighted(cover, opacity, canvas, 1 - opacity, 0), np.uint8))


class LineCounterVisualization(Block):
    """Draw a counting line and, beside it, how many have crossed it in each direction.

    `{"type": "vision/line_counter_visualization@v1", "name": "drawn", "image": "$inputs.image", "zone": [[0, 80], [160, 80]],
    "count_in": "$steps.line.count_in", "count_out": "$steps.line.count_out"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/line_counter_visualization@v1", "roboflow_core/line_counter_visualization@v1"]
        image: ImageReference = either("image", "images")
        zone: Value[Line] = Field(description="the two ends (x, y) of the line")
        color: Value[str] = "#5bb573"
        thickness: Value[Thickness] = 2
        text_thickness: Value[Thickness] = 1
        text_scale: Value[LetterScale] = 1.0
        count_in: Value[Whole] = 0
        count_out: Value[Whole] = 0
        opacity: Value[Share] = 0.3
        copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")

    outputs = IMAGE_OUTPUT
    parallel = True

    def run(self, image: Image, zone: Line, count_in: int, count_out: int, **fields: Any) -> Image:
        """The image of one element with its line."""
        canvas = image.bgr.copy()
        cover, ink = canvas.copy(), colour(fields["color"]).as_bgr()
        (x1, y1), (x2, y2) = np.rint(zone).astype(int).tolist()
        cv2.line(cover, (x1, y1), (x2, y2), ink, fields["thickness"], cv2.LINE_AA)
        drawn = np.asarray(cv2.addWeighted(cover, fields["opacity"], canvas, 1 - fields["opacity"], 0), np.uint8)
        said = f"in: {count_in}  out: {count_out}"
        scale, thickness = fields["text_scale"], fields["text_thickness"]
        write_beside(drawn, ((x1, y1), (x2, y2)), said, scale=scale, thickness=thickness, colour=ink)
        return image.derive(drawn)
