"""`supervision.Detections` as values of a workflow: the view they lie on, and the way from one view to another.

Detections know the view they lie on through `metadata["origin"]` (an `Origin`), lists of polygons through `Zones.origin`. Both
are *placed* values: `onto` brings them to another view, wherever they stand in lists and dicts. supervision is imported on
first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.data import Image
from workflow_engine.keypoints import KEYPOINTS_XY
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin
from workflow_engine.plain import MAX_DEPTH

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

ORIGIN: Final = "origin"
"""The key of `Detections.metadata` that holds the `Origin` of the view the coordinates belong to.

None there says that they belong to none: nothing moves them. Without the key, the engine takes them to lie on the image their
step was given.
"""

_POINTS: Final = ("quads", "rect", "xyxyxyxy", KEYPOINTS_XY)
"""The keys of `Detections.data` that hold points `[n, k, 2]`; "xyxyxyxy" is supervision's, of oriented boxes."""


def is_detections(value: Any) -> bool:
    """Whether a value is `supervision.Detections`, without importing supervision."""
    kind = type(value)
    return kind.__name__ == "Detections" or any(base.__name__ == "Detections" for base in kind.__mro__)


class Zones(list[Any]):
    """Polygons `[[(x, y), ...], ...]`, or one polygon, in the pixels of a view.

    Attributes:
        origin: the view, or None where it is not known.
    """

    def __init__(self, polygons: Iterable[Any], origin: Origin | None) -> None:
        super().__init__(polygons)
        self.origin = origin


class PlacedPoint(tuple[float, float]):
    """A point (x, y) in the pixels of a view.

    Attributes:
        origin: the view, or None where it is not known.
    """

    origin: Origin | None

    def __new__(cls, x: float, y: float, origin: Origin | None) -> PlacedPoint:
        """The point of a view."""
        point = super().__new__(cls, (x, y))
        point.origin = origin
        return point

    def __getnewargs__(self) -> tuple[float, float, Origin | None]:
        """What makes it anew, for copies."""
        return (*self, self.origin)

    @property
    def on_root(self) -> tuple[float, float]:
        """The point in the pixels of the root image."""
        if self.origin is None:
            return self
        x, y = points_through(np.array(self, float), self.origin.matrix_to(self.origin.root)).tolist()
        return x, y


def is_placed(value: Any) -> bool:
    """Whether a value has coordinates that belong to a view."""
    return type(value) is Zones or is_detections(value)


def origin_of(value: Any) -> Origin | None:
    """The view of a placed value, or None where it does not know it."""
    origin = value.origin if type(value) is Zones else value.metadata.get(ORIGIN)
    return origin if isinstance(origin, Origin) else None


def on_image(found: sv.Detections, image: Image) -> sv.Detections:
    """Note which image the coordinates of new detections belong to."""
    found.metadata[ORIGIN] = image.origin
    return found


def placed_values(value: Any, depth: int = 0) -> Iterator[Any]:
    """The placed values in a value, down to `MAX_DEPTH` levels of lists and dicts, which is as deep as results may be."""
    if is_placed(value):
        yield value
    elif depth > MAX_DEPTH:
        return
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from placed_values(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from placed_values(item, depth + 1)


def each_placed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A value with everything placed in it changed, at any depth of lists and dicts; itself where nothing is placed."""
    if is_placed(value):
        return change(value)
    if next(placed_values(value), None) is None:
        return value
    if isinstance(value, Mapping):
        return {key: each_placed(item, change) for key, item in value.items()}
    changed = [each_placed(item, change) for item in value]
    return tuple(changed) if isinstance(value, tuple) else changed


def to_root(value: Any) -> Any:
    """A placed value in the coordinates of its root image; masks are painted into an empty root."""
    origin = origin_of(value)
    return value if origin is None or origin.is_root else moved(value, origin, origin.root)


def onto(value: Any, view: Origin) -> Any:
    """A placed value in the coordinates of another view, such as the image that its crop was cut from.

    What does not know its view is taken to lie on this one.

    Raises:
        ViewError: the two are views of different pictures.
    """
    origin = origin_of(value)
    if origin == view:
        return value
    if origin is None:
        return Zones(value, view) if type(value) is Zones else stamped(value, view)
    return moved(value, origin, view)


def stamped(found: sv.Detections, view: Origin | None) -> sv.Detections:
    """The same detections, said to lie on a view; those given stay as they are."""
    same = copy(found)
    same.metadata = {**found.metadata, ORIGIN: view}
    return same


def moved(value: Any, origin: Origin, view: Origin) -> Any:
    """A placed value that lies on one view, in the coordinates of another.

    Raises:
        ViewError: the two are views of different pictures.
    """
    matrix = origin.matrix_to(view)
    if type(value) is Zones:
        return Zones(_zones_through(value, matrix), view)
    return _detections_through(value, matrix, view)


def _detections_through(found: sv.Detections, matrix: Any, view: Origin) -> sv.Detections:
    return sv.Detections(
        xyxy=boxes_through(found.xyxy, matrix),
        mask=None if found.mask is None else _masks_through(np.asarray(found.mask), matrix, (view.width, view.height)),
        confidence=found.confidence,
        class_id=found.class_id,
        tracker_id=found.tracker_id,
        data=points_moved(found.data, lambda points: points_through(points, matrix)),
        metadata={**found.metadata, ORIGIN: view},
    )


def points_through(points: Any, matrix: Any) -> Any:
    """Points `[..., 2]` through a 3x3 matrix."""
    if _is_straight(matrix):
        return points * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
    flat = np.asarray(points, float).reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
    return (flat[:, :2] / flat[:, 2:]).reshape(np.shape(points))


def boxes_through(xyxy: Any, matrix: Any) -> Any:
    """Boxes `[n, 4]` through a 3x3 matrix: those around where their corners come to lie."""
    if _is_straight(matrix):
        return points_through(xyxy.reshape(-1, 2, 2), matrix).reshape(-1, 4)
    corners = points_through(xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2), matrix)
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def _is_straight(matrix: Any) -> bool:
    """Whether a matrix only scales and shifts, and mirrors nothing."""
    off = matrix[[0, 1, 2, 2], [1, 0, 0, 1]]
    return not off.any() and matrix[2, 2] == 1 and matrix[0, 0] > 0 and matrix[1, 1] > 0


def _masks_through(masks: NDArray[np.bool_], matrix: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks `[n, h, w]` through a matrix into an empty view of `size` (width, height); what is outside of it is lost."""
    painted = np.zeros((len(masks), size[1], size[0]), dtype=bool)
    if _is_straight(matrix) and matrix[0, 0] == matrix[1, 1] == 1:
        left, top = np.rint(matrix[:2, 2]).astype(int).tolist()
        target = painted[:, max(top, 0) :, max(left, 0) :]
        seen = masks[:, max(-top, 0) :, max(-left, 0) :][:, : target.shape[1], : target.shape[2]]
        target[:, : seen.shape[1], : seen.shape[2]] = seen
        return painted
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from the centre of the first pixel
    between_centres = np.linalg.inv(half) @ matrix @ half
    for place, mask in enumerate(masks):
        painted[place] = cv2.warpPerspective(mask.astype(np.uint8), between_centres, size, flags=cv2.INTER_NEAREST)
    return painted


def _zones_through(zones: Any, matrix: Any) -> list[Any]:
    """Nested lists of points (x, y) through a matrix."""
    if len(zones) == 2 and all(isinstance(edge, (int, float)) for edge in zones):
        return points_through(np.array(zones, float), matrix).tolist()  # type: ignore[no-any-return]
    return [_zones_through(part, matrix) for part in zones]


def points_moved(data: Mapping[str, Any], move: Callable[[Any], Any]) -> dict[str, Any]:
    """The data of detections with every point moved: those of quads, outlines, turned rectangles and keypoints.

    Args:
        data: `Detections.data`.
        move: what becomes of points `[n, k, 2]`.
    """
    out = dict(data)
    for key, value in data.items():
        if key in _POINTS:
            out[key] = move(np.asarray(value))
        elif key == "polygons":
            out[key] = object_array([_outlines_moved(outlines, move) for outlines in value])
    if "rect" in data:
        out.update(_rectangles_measured(data, out["rect"]))
    return out


def _outlines_moved(outlines: Any, move: Callable[[Any], Any]) -> list[Any]:
    return [move(np.asarray(outline)[None])[0] for outline in outlines]


def _rectangles_measured(data: Mapping[str, Any], moved: Any) -> dict[str, Any]:
    """`width`, `height` (pixels) and `angle` (degrees) of turned rectangles after their corners `[n, 4, 2]` were moved."""
    before = np.roll(np.asarray(data["rect"], float), -1, axis=1) - data["rect"]
    after = np.roll(moved, -1, axis=1) - moved
    out = {}
    for key, edge in (("height", 0), ("width", 1)):
        if key in data:
            old, new = (np.linalg.norm(edges[:, edge], axis=1) for edges in (before, after))
            out[key] = np.asarray(data[key], float) * np.divide(new, old, out=np.ones_like(new), where=old > 0)
    if "angle" in data:
        turns = [np.degrees(np.arctan2(edges[:, 1, 1], edges[:, 1, 0])) for edges in (before, after)]
        out["angle"] = np.asarray(data["angle"], float) + turns[1] - turns[0]
    return out


def object_array(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional array of Python objects, whatever their lengths."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
