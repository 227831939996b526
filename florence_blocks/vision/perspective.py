"""Planes seen from another side: straight ahead, or as another image sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from florence_blocks.vision.detection import fitting, select
from florence_blocks.vision.fields import Factor, Positions, Side, either
from florence_blocks.vision.quadrilaterals import widened
from workflow_engine.block import Block, BlockManifest, DetectionsReference, ImageReference, Output, Value
from workflow_engine.bounds import Bounded
from workflow_engine.data import Image
from workflow_engine.detections import points_moved, stamped
from workflow_engine.kinds import DETECTIONS, IMAGE, INTEGER
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin, Plane
from workflow_engine.ways import Projection

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_Candidates = Annotated[int, Field(ge=2), Bounded(100, "more take gigabytes")]


MOST_PIXELS: Final = 100_000_000
"""The largest rectangle: a detection far outside would make it as large as the memory."""


class PerspectiveCorrection(Block):
    """Look straight at a plane: a quadrilateral of the image becomes a rectangle, detections with it.

    Of several quadrilaterals, such as those of a detector, the largest counts. What comes of it is a root of its own: its
    detections leave the workflow in its own pixels, and are brought back where a step uses them on the first image.

    `{"type": "vision/perspective_correction@v1", "name": "flat", "images": "$inputs.image",
    "perspective_polygons": [[20, 30], [140, 20], [150, 150], [10, 140]], "warp_image": true}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/perspective_correction@v1", "roboflow_core/perspective_correction@v1",
                      "PerspectiveCorrection"]  # fmt: skip
        images: ImageReference = either("images", "image")
        predictions: DetectionsReference | None = Field(None, description="what shall be seen from the new side")
        perspective_polygons: Value[list[Any]] = Field(description="four corners (x, y), or a list of such quadrilaterals")
        transformed_rect_width: Value[Side] = Field(1000, description="width of the rectangle in pixels")
        transformed_rect_height: Value[Side] = Field(1000, description="height of the rectangle in pixels")
        extend_perspective_polygon_by_detections_anchor: Value[Positions | Literal["ALL", ""]] = Field(
            "", description="the point of detections that the quadrilateral is widened to hold; ALL for their boxes"
        )
        warp_image: Value[bool] = Field(False, description="whether pixels are transformed too, not detections only")

    outputs = {
        "corrected_coordinates": Output(*DETECTIONS),
        "warped_image": Output(IMAGE),
        "extended_transformed_rect_width": Output(INTEGER),
        "extended_transformed_rect_height": Output(INTEGER),
    }

    def run(
        self,
        images: Image,
        predictions: sv.Detections | None,
        perspective_polygons: list[Any],
        transformed_rect_width: int,
        transformed_rect_height: int,
        extend_perspective_polygon_by_detections_anchor: str,
        warp_image: bool,
    ) -> dict[str, Any]:
        """The rectangle of one image and what lies on it."""
        width, height, anchor = transformed_rect_width, transformed_rect_height, extend_perspective_polygon_by_detections_anchor
        quad = _quadrilateral(perspective_polygons)
        if anchor and predictions is not None:
            quad, (wider, higher) = widened(quad, predictions, anchor)
            width, height = width + round(width * wider), height + round(height * higher)
            _check_size(width, height)
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        matrix = cv2.getPerspectiveTransform(quad, corners)
        pixels: Any = cv2.warpPerspective(images.bgr, matrix, (width, height)) if warp_image else None
        name = "a plane seen straight"
        flat = images if pixels is None else images.project(pixels, matrix, name)
        found = sv.Detections.empty() if predictions is None else fitting(predictions, images.size)
        plane = images.origin.projected(matrix, width, height, name)
        seen = stamped(_projected(found, matrix, (width, height)), plane)
        return {"corrected_coordinates": seen, "warped_image": flat, "extended_transformed_rect_width": width,
                "extended_transformed_rect_height": height}  # fmt: skip


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ValueError(f"the widened rectangle is {width}x{height} pixels; detections nearer to the quadrilateral would fit")


def _quadrilateral(given: list[Any]) -> Any:
    """The largest quadrilateral `[4, 2]`, clockwise from the corner at the upper left."""
    try:
        several = np.array(given, np.float32).reshape(-1, 4, 2)
    except (ValueError, TypeError):
        several = np.zeros((0, 4, 2), np.float32)
    if not len(several):
        raise ValueError("a perspective needs four corners (x, y), or a list of such quadrilaterals")
    quad = max(map(_in_order, several), key=cv2.contourArea)
    if not cv2.contourArea(quad) >= 1:
        raise ValueError(f"the corners {quad.tolist()} enclose nothing; a quadrilateral with an area would fit")
    return np.roll(quad, -int(quad.sum(axis=1).argmin()), axis=0)


def _in_order(quad: Any) -> Any:
    """Corners `[4, 2]` clockwise, in whatever order they were given."""
    from_middle = quad - quad.mean(axis=0)
    return quad[np.argsort(np.arctan2(from_middle[:, 1], from_middle[:, 0]))]


def _projected(found: sv.Detections, matrix: Any, size: tuple[int, int]) -> sv.Detections:
    """Detections through a perspective: boxes around where their corners come to lie."""
    seen = select(found, list(range(len(found))))
    through = Projection(matrix)
    seen.xyxy = through.boxes(found.xyxy)
    if found.mask is not None:
        masks = [cv2.warpPerspective(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) for mask in found.mask]
        seen.mask = np.array(masks, dtype=bool).reshape(-1, size[1], size[0])
    seen.data = points_moved(found.data, through.points)
    return seen


class StitchImages(Block):
    """Two overlapping images of a scene as one; null where they have too little in common.

    Points that both images show (SIFT) tell how one lies on the other (RANSAC). The image whose points lie further to the
    right stays as it is, the other one is laid around it.

    `{"type": "vision/stitch_images@v1", "name": "wide", "image1": "$inputs.left", "image2": "$inputs.right"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/stitch_images@v1", "roboflow_core/stitch_images@v1"]
        image1: ImageReference
        image2: ImageReference
        max_allowed_reprojection_error: Value[Factor] = Field(3, description="how many pixels a common point may be off")
        count_of_best_matches_per_query_descriptor: Value[_Candidates] = Field(
            2, description="candidates for every point; the two best are held against each other"
        )

    outputs = {"stitched_image": Output(IMAGE)}

    def run(
        self,
        image1: Image,
        image2: Image,
        max_allowed_reprojection_error: float,
        count_of_best_matches_per_query_descriptor: int,
    ) -> Image | None:
        """The wide image of one pair."""
        finder = cv2.SIFT.create()
        seen = [(image, *finder.detectAndCompute(image.bgr, None)) for image in (image1, image2)]
        if any(len(points) < _POINTS for _, points, _ in seen):
            return None
        matches = cv2.BFMatcher.create().knnMatch(seen[0][2], seen[1][2], k=count_of_best_matches_per_query_descriptor)
        good = [best[0] for best in matches if len(best) > 1 and best[0].distance < _RATIO * best[1].distance]
        pairs = np.array([(seen[0][1][match.queryIdx].pt, seen[1][1][match.trainIdx].pt) for match in good], np.float32)
        if len(pairs) < _POINTS:
            return None
        right = int(np.mean([point.pt[0] for point in seen[0][1]]) < np.mean([point.pt[0] for point in seen[1][1]]))
        matrix, _ = cv2.findHomography(pairs[:, 1 - right], pairs[:, right], cv2.RANSAC, max_allowed_reprojection_error)
        wide = None if matrix is None else _laid_around(seen[right][0].bgr, seen[1 - right][0].bgr, matrix)
        return None if wide is None else Image(wide, name=image1.name, origin=_collage(wide))


def _collage(pixels: Any) -> Origin:
    """The origin of an image that is put together of others: no place on them leads to it."""
    return Origin.of_root(pixels.shape[1], pixels.shape[0], Plane("stitched together"))


_POINTS = 4
"""Pairs of points that tell how a plane lies."""
_RATIO = 0.75
"""How much nearer the best match must be than the second (Lowe, 2004)."""
_WIDEST = 8
"""How many times the sides of both images together the result may measure; more comes of a wrong match."""


def _laid_around(base: Any, other: Any, matrix: Any) -> Any:
    """An image on a canvas with another one, projected into its plane; None where that runs out of all bounds."""
    (height, width), (high, across) = base.shape[:2], other.shape[:2]
    ends = Projection(matrix).points(np.array([[0, 0], [0, high], [across, high], [across, 0]]))
    low = np.rint(np.minimum(ends.min(axis=0), 0))
    size = np.rint(np.maximum(ends.max(axis=0), (width, height))) - low
    if not np.isfinite(size).all() or (size > _WIDEST * np.add((width, height), (across, high))).any():
        return None
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    canvas = cv2.warpPerspective(other, shift @ matrix, (int(size[0]), int(size[1])))
    left, top = int(-low[0]), int(-low[1])
    canvas[top : top + height, left : left + width] = base
    return canvas
