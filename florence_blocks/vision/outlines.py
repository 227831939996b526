"""Simpler outlines of detections: the smallest rectangle around them, a polygon of so many corners.

The outline that is simplified is that of the mask; without one the polygon or quad of the detection, at last its box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.detection import select
from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Factor, Share
from workflow_engine.block import Block, BlockManifest, DetectionsReference, Output, Value
from workflow_engine.bounds import Bounded
from workflow_engine.detections import Zones, object_array, origin_of
from workflow_engine.kinds import BOOLEAN, DETECTIONS, LIST_OF_VALUES
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_STEPS = 100
"""Halvings after which a simplification is as close as numbers get."""


def outline(found: sv.Detections, index: int) -> NDArray[np.float32]:
    """The largest outline `[k, 2]` of a detection."""
    several: list[Any] = []
    if found.mask is not None:
        several = sv.mask_to_polygons(np.asarray(found.mask[index]))
    if not several:
        several = [one for one in found.data["polygons"][index] if len(one)] if "polygons" in found.data else []
    if not several:
        corners = found.xyxy[index][[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
        several = [found.data["quads"][index] if "quads" in found.data else corners]
    return max((np.asarray(one, np.float32) for one in several), key=cv2.contourArea)


def _outlined(found: sv.Detections, corners: list[NDArray[Any]]) -> sv.Detections:
    """Detections with one new outline each, in their masks too where there are some."""
    out = select(found, list(range(len(found))))
    out.data["polygons"] = object_array([[one] for one in corners])
    out.data.pop("quads", None)
    if found.mask is not None:
        masks = np.zeros(np.shape(found.mask), np.uint8)
        for mask, one in zip(masks, corners, strict=True):
            cv2.fillPoly(mask, [np.rint(one).astype(np.int32)], [1])
        out.mask = masks.astype(bool)
    return out


_Corners = Annotated[int, Field(ge=3), Bounded(1_000, "no outline has as many corners")]


class BoundingRect(Block):
    """The smallest rectangle around every detection, turned as it has to be.

    Boxes become those of the rectangles; `rect`, `width`, `height` and `angle` (degrees) of each are in the data of the
    detections, where the query language reads them.

    `{"type": "vision/bounding_rect@v1", "name": "turned", "predictions": "$steps.segment.predictions"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/bounding_rect@v1", "roboflow_core/bounding_rect@v1"]
        predictions: DetectionsReference

    outputs = {"detections_with_rect": Output(*DETECTIONS)}

    def run(self, predictions: sv.Detections) -> sv.Detections:
        """The rectangles of one image."""
        rectangles = [cv2.minAreaRect(outline(predictions, index)) for index in range(len(predictions))]
        corners = np.array([np.rint(cv2.boxPoints(one)) for one in rectangles], float).reshape(-1, 4, 2)
        turned = _outlined(predictions, list(corners))
        turned.xyxy = np.hstack([corners.min(axis=1), corners.max(axis=1)])
        turned.data["rect"] = corners
        turned.data["quads"] = corners
        for key, values in (
            ("width", [one[1][0] for one in rectangles]),
            ("height", [one[1][1] for one in rectangles]),
            ("angle", [one[2] for one in rectangles]),
        ):
            turned.data[key] = np.array(values, float)
        return turned


class DynamicZone(Block):
    """Every detection as a polygon of so many corners: the zones that other steps count or look into.

    `{"type": "vision/dynamic_zone@v1", "name": "zones", "predictions": "$steps.segment.predictions",
    "required_number_of_vertices": 4}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/dynamic_zone@v1", "roboflow_core/dynamic_zone@v1", "DynamicZone"]
        predictions: DetectionsReference
        required_number_of_vertices: Value[_Corners] = Field(description="corners of every polygon")
        scale_ratio: Value[Factor] = Field(1, description="how much larger, about its centre of mass")
        apply_least_squares: Value[bool] = Field(False, description="whether edges are fitted to the outline between corners")
        midpoint_fraction: Value[Share] = Field(1, description="the middle share of an edge's outline that is fitted to")

    outputs = {
        "zones": Output(LIST_OF_VALUES),
        **DETECTIONS_OUTPUT,
        "simplification_converged": Output(BOOLEAN),
    }

    def run(
        self,
        predictions: sv.Detections,
        required_number_of_vertices: int,
        scale_ratio: float,
        apply_least_squares: bool,
        midpoint_fraction: float,
    ) -> dict[str, Any]:
        """The polygons of one image; one that has too few corners repeats its last, one that has too many loses some."""
        count, polygons, converged = required_number_of_vertices, [], True
        for index in range(len(predictions)):
            around = outline(predictions, index)
            polygon = _simplified(around, count)
            if apply_least_squares and len(polygon) > 2:
                polygon = _fitted(polygon, around, midpoint_fraction)
            converged = converged and len(polygon) == count
            polygon = np.concatenate([polygon, np.repeat(polygon[-1:], max(count - len(polygon), 0), axis=0)])[:count]
            polygons.append(_scaled(polygon, scale_ratio))
        zones = Zones([polygon.tolist() for polygon in polygons], origin_of(predictions))
        return {"zones": zones, "predictions": _outlined(predictions, polygons), "simplification_converged": converged}


def _simplified(around: NDArray[np.float32], count: int) -> NDArray[Any]:
    """The convex hull of an outline with so many corners, or as near as its simplification comes to that."""
    hull = cv2.convexHull(around, clockwise=True)
    low, high = 1e-7, max(cv2.arcLength(hull, True), 1e-6)
    for _ in range(_STEPS):
        tolerance = low + (high - low) / 2
        simple: NDArray[Any] = cv2.approxPolyDP(hull, tolerance, True).reshape(-1, 2)
        if len(simple) == count:
            break
        low, high = (tolerance, high) if len(simple) > count else (low, tolerance)
    return simple


def _fitted(polygon: NDArray[Any], around: NDArray[np.float32], share: float) -> Any:
    """The polygon whose edges are the lines nearest to the outline between its corners; parallel ones keep the corner."""
    nearest = [int(np.linalg.norm(around - corner, axis=1).argmin()) for corner in polygon]
    lines = []
    for first, last in zip(nearest[-1:] + nearest[:-1], nearest, strict=True):
        # the hull runs clockwise and the outline perhaps not: of the two ways around, the shorter is the edge's own
        ways = [
            np.roll(around, -start, axis=0)[: (end - start) % len(around) + 1] for start, end in ((first, last), (last, first))
        ]
        points = min(ways, key=len)
        cut = (len(points) - max(round(len(points) * share), 2)) // 2
        points = points[cut : len(points) - cut] if cut > 0 else points
        dx, dy, x, y = (float(value) for value in cv2.fitLine(points, cv2.DIST_L2, 0, 0.01, 0.01).ravel())
        lines.append((dy, -dx, dx * y - dy * x))
    corners = []
    for corner, one, other in zip(polygon, lines, lines[1:] + lines[:1], strict=True):
        x, y, w = np.cross(one, other)
        corners.append(corner if abs(w) < 1e-6 else (x / w, y / w))
    return np.rint(np.array(corners, float))


def _scaled(polygon: NDArray[Any], scale: float) -> Any:
    """A polygon about its centre of mass, in whole pixels; one without an area stays as it is."""
    moments = cv2.moments(polygon.astype(np.float32))
    if scale == 1 or moments["m00"] == 0:
        return np.rint(polygon).astype(np.int32)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    return np.rint((polygon - centre) * scale + centre).astype(np.int32)
