"""`supervision.Detections` as values of a workflow: the image they lie on, and the way from one view to another.

Detections know the image they lie on through `metadata["origin"]` (an `Origin`). supervision is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workflow_engine.data import Image, Origin
from workflow_engine.keypoints import KEYPOINTS_XY
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

ORIGIN = "origin"
"""The key of `Detections.metadata` that holds the `Origin` of the image the coordinates belong to."""


def is_detections(value: Any) -> bool:
    """Whether a value is `supervision.Detections`, without importing supervision."""
    kind = type(value)
    return kind.__name__ == "Detections" or any(base.__name__ == "Detections" for base in kind.__mro__)


def on_image(found: sv.Detections, image: Image) -> sv.Detections:
    """Note which image the coordinates of new detections belong to; every block that detects calls this."""
    found.metadata[ORIGIN] = image.origin
    return found


def to_root(found: sv.Detections) -> sv.Detections:
    """The same detections in the coordinates of the root image; masks are painted into an empty root."""
    origin = found.metadata.get(ORIGIN)
    if not isinstance(origin, Origin) or origin.is_root:
        return found
    root = Origin(root_width=origin.root_width, root_height=origin.root_height)
    return moved(found, origin, root, (origin.root_width, origin.root_height))


def onto(found: sv.Detections, image: Image) -> sv.Detections:
    """The same detections in the coordinates of another view of their root, such as the image their crop was cut from.

    Detections that do not know their image are taken to lie on this one.
    """
    origin = found.metadata.get(ORIGIN)
    if not isinstance(origin, Origin) or origin == image.origin:
        return on_image(found, image)
    return moved(found, origin, image.origin, image.size)


def moved(found: sv.Detections, origin: Origin, target: Origin, size: tuple[int, int]) -> sv.Detections:
    """Detections of one view in the coordinates of another, whose width and height are `size`."""
    place = origin.within(target)
    offset, scale = np.array([place.x, place.y]), np.array([place.scale_x, place.scale_y])
    return sv.Detections(
        xyxy=found.xyxy * np.tile(scale, 2) + np.tile(offset, 2),
        mask=None if found.mask is None else _painted(np.asarray(found.mask), place, size),
        confidence=found.confidence,
        class_id=found.class_id,
        tracker_id=found.tracker_id,
        data=points_moved(found.data, lambda points: points * scale + offset),
        metadata={**found.metadata, ORIGIN: target},
    )


def points_moved(data: Mapping[str, Any], move: Callable[[Any], Any]) -> dict[str, Any]:
    """The data of detections with every point moved: those of quads, outlines and keypoints.

    Args:
        data: `Detections.data`.
        move: what becomes of points `[n, k, 2]`.
    """
    out = dict(data)
    for key, value in data.items():
        if key in ("quads", KEYPOINTS_XY):
            out[key] = move(np.asarray(value))
        elif key == "polygons":
            out[key] = object_array([[move(np.asarray(outline)[None])[0] for outline in outlines] for outlines in value])
    return out


def object_array(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional array of Python objects, whatever their lengths."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _painted(masks: NDArray[np.bool_], place: Origin, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks `[n, h, w]` of one view in an empty other one `[n, height, width]`; what is outside of it is lost."""
    height, width = (round(masks.shape[1] * place.scale_y), round(masks.shape[2] * place.scale_x))
    canvas = np.zeros((len(masks), size[1], size[0]), dtype=bool)
    left, top = round(place.x), round(place.y)
    for painted, mask in zip(canvas, masks, strict=True):
        if mask.shape != (height, width):
            mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        target = painted[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
        target[:] = mask[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    return canvas
