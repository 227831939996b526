"""One detection out of many, and what can be asked of it; shared by the query language and the one-line expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from florence_blocks.vision.query import QueryError
from workflow_engine.detections import PlacedPoint, is_detections, origin_of, unchecked
from workflow_engine.keypoints import KEYPOINTS_XY
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")


class Detection:
    """One row of detections, without a copy.

    Attributes:
        found: all of them.
        index: which one.
    """

    __slots__ = ("_table", "found", "index")

    def __init__(self, found: sv.Detections, index: int, table: _Table) -> None:
        self.found = found
        self.index = index
        self._table = table

    def edge(self, place: int) -> float:
        """x1, y1, x2 or y2."""
        return self._table.boxes[self.index][place]

    @property
    def name(self) -> str | None:
        """Its class name; None where the detections have none."""
        names = self._table.names
        return None if names is None else names[self.index]

    def place(self, x: float, y: float) -> PlacedPoint:
        """A point of it."""
        return PlacedPoint(x, y, origin_of(self.found))


class _Table:
    """What is asked of every row, as lists: numpy takes longer for one value of an array than Python for one of a list."""

    def __init__(self, found: sv.Detections) -> None:
        self._found = found

    @cached_property
    def boxes(self) -> list[list[float]]:
        """x1, y1, x2 and y2 of each."""
        return np.asarray(self._found.xyxy, float).tolist()  # type: ignore[no-any-return]

    @cached_property
    def names(self) -> list[str] | None:
        """The class name of each; None where there are none."""
        names = self._found.data.get("class_name")
        return None if names is None else [str(name) for name in names]


def rows(found: sv.Detections) -> list[Detection]:
    """Every detection on its own."""
    table = _Table(found)
    return [Detection(found, index, table) for index in range(len(found))]


def select(found: sv.Detections, kept: Sequence[int]) -> sv.Detections:
    """Some of the detections, in the given order, by index; works for no detections too."""
    places = np.array(kept, dtype=int)

    def part(value: Any) -> Any:
        return None if value is None else value[places]

    return unchecked(
        xyxy=found.xyxy[places],
        mask=part(found.mask),
        confidence=part(found.confidence),
        class_id=part(found.class_id),
        tracker_id=part(found.tracker_id),
        data={key: _items(value, places) for key, value in found.data.items()},
        metadata=dict(found.metadata),
    )


def fitting(found: sv.Detections, size: tuple[int, int]) -> sv.Detections:
    """Detections whose masks, if any, are as large as their image.

    Raises:
        ValueError: they are of another size.
    """
    if found.mask is not None and len(found) and found.mask.shape[1:] != size[::-1]:
        height, width = found.mask.shape[1:]
        raise ValueError(
            f"the masks are {width}x{height} pixels and the image {size[0]}x{size[1]}; detections of this image would fit"
        )
    return found


def _items(value: Any, places: Any) -> Any:
    return [value[place] for place in places] if isinstance(value, list) else value[places]


def _confidence(one: Detection) -> float:
    if one.found.confidence is None:
        raise QueryError("these detections carry no confidence; nothing can be decided or sorted by it")
    return float(one.found.confidence[one.index])


def _class_name(one: Detection) -> str:
    name = one.name
    if name is None:
        raise QueryError("these detections carry no class names")
    return name


def _optional(values: Any, index: int) -> int | None:
    return None if values is None else int(values[index])


def _prediction_type(found: sv.Detections) -> str:
    if found.mask is not None:
        return "instance-segmentation"
    return "keypoint-detection" if KEYPOINTS_XY in found.data else "object-detection"


def _image_dimensions(found: sv.Detections) -> list[int] | None:
    """Height and width of the image at the root of the one that the detections lie on."""
    origin = origin_of(found)
    return None if origin is None else [origin.root_height, origin.root_width]


def _area(one: Detection) -> float:
    return (one.edge(2) - one.edge(0)) * (one.edge(3) - one.edge(1))


PROPERTIES: Final[Mapping[str, Callable[[Detection], Any]]] = {
    "class_name": _class_name,
    "confidence": _confidence,
    "prediction_type": lambda one: _prediction_type(one.found),
    "image_dimensions": lambda one: _image_dimensions(one.found),
    "class_id": lambda one: _optional(one.found.class_id, one.index),
    "tracker_id": lambda one: _optional(one.found.tracker_id, one.index),
    "x_min": lambda one: one.edge(0),
    "y_min": lambda one: one.edge(1),
    "x_max": lambda one: one.edge(2),
    "y_max": lambda one: one.edge(3),
    "size": _area,
    "area": _area,
    "width": lambda one: one.edge(2) - one.edge(0),
    "height": lambda one: one.edge(3) - one.edge(1),
    "center_x": lambda one: (one.edge(0) + one.edge(2)) / 2,
    "center_y": lambda one: (one.edge(1) + one.edge(3)) / 2,
    "center": lambda one: one.place((one.edge(0) + one.edge(2)) / 2, (one.edge(1) + one.edge(3)) / 2),
    "top_left": lambda one: one.place(one.edge(0), one.edge(1)),
    "top_right": lambda one: one.place(one.edge(2), one.edge(1)),
    "bottom_left": lambda one: one.place(one.edge(0), one.edge(3)),
    "bottom_right": lambda one: one.place(one.edge(2), one.edge(3)),
}
"""What can be asked of every detection; anything in `Detections.data` can be asked for too."""

POINTS: Final = frozenset({"center", "top_left", "top_right", "bottom_left", "bottom_right"})
"""The properties that are points (x, y)."""
_MEASURED: Final = frozenset({"width", "height", "area"})
"""What a block may have measured on the outline of a thing; otherwise it is that of its box."""
_FROM_BLOCKS: Final = frozenset({"time_in_zone", "in_out", "path_deviation", "polygon", "velocity", "speed",
                                 "smoothed_velocity", "smoothed_speed", "keypoints_xy", "rect", "angle",
                                 "area_converted"})  # fmt: skip
"""What some blocks add to detections: without them nobody knows it, which is no mistake."""


def read_property(one: Detection, name: str) -> Any:
    """A property of a detection; None for one that is known by name and that nobody has noted for these detections.

    Raises:
        QueryError: the detections do not have it.
    """
    if name in one.found.data and (name in _MEASURED or name not in PROPERTIES):
        value = one.found.data[name][one.index]
        return value.item() if isinstance(value, np.generic) else value
    if name in PROPERTIES:
        return PROPERTIES[name](one)
    if name in _FROM_BLOCKS:
        return None
    raise QueryError(f"these detections have no `{name}`; they have {', '.join([*PROPERTIES, *map(str, one.found.data)])}")


def sort_keys(found: sv.Detections, name: str) -> list[float]:
    """A property of every detection to sort by; what is not known (NaN) comes before all numbers.

    Raises:
        QueryError: the detections do not have it.
    """
    values = [read_property(one, name) for one in rows(found)]
    return [float("-inf") if value != value else value for value in values]


def need_detections(value: Any, what: str) -> sv.Detections:
    """Detections, or a clear error."""
    if not is_detections(value):
        raise QueryError(f"{what} needs detections, not a {type(value).__name__}")
    return value  # type: ignore[no-any-return]
