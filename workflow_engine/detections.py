"""`supervision.Detections` as values of a workflow: the view they lie on, and the way from one view to another.

Detections know the view they lie on through `metadata["origin"]` (an `Origin`), lists of polygons through `Zones.origin`. Both
are *placed* values: `onto` brings them to another view, wherever they stand in lists and dicts. supervision is imported on
first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workflow_engine.data import Image
from workflow_engine.keypoints import KEYPOINTS_XY
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin
from workflow_engine.plain import MAX_DEPTH
from workflow_engine.ways import Projection, Straight, way

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


Way: TypeAlias = Straight | Projection

_are_detections: dict[type, bool] = {}
"""Of every type met so far, whether it is `supervision.Detections`."""

_SCALARS: Final = frozenset((str, int, float, bool, type(None)))


def is_detections(value: Any) -> bool:
    """Whether a value is `supervision.Detections`, without importing supervision."""
    kind = type(value)
    known = _are_detections.get(kind)
    if known is None:
        known = _are_detections[kind] = any(base.__name__ == "Detections" for base in kind.__mro__)
    return known


class Zones(list[Any]):
    """Polygons `[[(x, y), ...], ...]`, or one polygon, in the pixels of a view.

    Attributes:
        origin: the view, or None where it is not known.
    """

    def __init__(self, polygons: Iterable[Any], origin: Origin | None) -> None:
        super().__init__(polygons)
        self.origin = origin


def polygons(zones: Any) -> list[Any]:
    """The polygons of a zone, `[(x, y), ...]`, or of several."""
    return [zones] if len(zones) and isinstance(zones[0][0], (int, float)) else list(zones)


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
        x, y = way(self.origin, self.origin.root).points(np.array(self, float)).tolist()
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


def holds_placed(value: Any, depth: int = 0) -> bool:
    """Whether anything in a value is placed, down to `MAX_DEPTH` levels of lists and dicts, as deep as results may be."""
    if type(value) in _SCALARS:
        return False
    if is_placed(value):
        return True
    if depth > MAX_DEPTH:
        return False
    return any(type(item) not in _SCALARS and holds_placed(item, depth + 1) for item in _parts(value))


def placed_values(value: Any) -> Iterator[Any]:
    """The placed values in a value, at any depth of lists and dicts."""
    if is_placed(value):
        yield value
    elif holds_placed(value):
        for item in _parts(value):
            yield from placed_values(item)


def each_placed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A value with everything placed in it changed, at any depth of lists and dicts; itself where nothing is placed."""
    if is_placed(value):
        return change(value)
    if not holds_placed(value):
        return value
    if isinstance(value, Mapping):
        return {key: each_placed(item, change) for key, item in value.items()}
    changed = [each_placed(item, change) for item in _parts(value)]
    return tuple(changed) if isinstance(value, tuple) else changed


def _parts(value: Any) -> Iterable[Any]:
    """What lies in a list, a dict, or an array of Python objects; nothing lies in anything else."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, Mapping):
        return value.values()
    if getattr(getattr(value, "dtype", None), "hasobject", False):
        return list(value.ravel())
    return ()


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
    there = way(origin, view)
    if type(value) is Zones:
        return Zones(_zones_through(value, there), view)
    return _detections_through(value, there, view)


def unchecked(**fields: Any) -> sv.Detections:
    """Detections made of parts of others: the check of their shapes would cost more than most of what is done with them."""
    found = sv.Detections.__new__(sv.Detections)
    found.__dict__.update(fields)
    return found


def _detections_through(found: sv.Detections, there: Way, view: Origin) -> sv.Detections:
    return unchecked(
        xyxy=there.boxes(found.xyxy),
        mask=None if found.mask is None else there.masks(np.asarray(found.mask), (view.width, view.height)),
        confidence=found.confidence,
        class_id=found.class_id,
        tracker_id=found.tracker_id,
        data=points_moved(found.data, there.points),
        metadata={**found.metadata, ORIGIN: view},
    )


def _zones_through(zones: Any, there: Way) -> list[Any]:
    """Nested lists of points (x, y) on another view."""
    if len(zones) == 2 and all(isinstance(edge, (int, float)) for edge in zones):
        return there.points(np.array(zones, float)).tolist()  # type: ignore[no-any-return]
    return [_zones_through(part, there) for part in zones]


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
    """The outlines of a detection moved; those without a point are left out."""
    return [move(np.asarray(outline)[None])[0] for outline in outlines if len(outline)]


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
