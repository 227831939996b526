"""The operations of the query language, one function each: `(value, **fields) -> value`.

Import `Chain` and `Condition` from here: then the operations they are made of are known.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from florence_blocks.vision.classification import Property, read_classification
from florence_blocks.vision.detection import POINTS, Detection, need_detections, read_property, rows, select, sort_keys
from florence_blocks.vision.json_texts import spoken
from florence_blocks.vision.query import DEFAULT_OPERAND, Chain, Condition, Parameters, QueryError, operation
from workflow_engine.block import AnyReference, BlockManifest
from workflow_engine.data import Image
from workflow_engine.detections import PlacedPoint, is_detections
from workflow_engine.detections_json import serialise
from workflow_engine.errors import a, listing
from workflow_engine.lazy import LazyModule
from workflow_engine.plain import plain

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

__all__ = ["Chain", "Condition", "QueryError"]


class OperationsManifest(BlockManifest):
    """The fields of a step whose last word on its detections are operations of the query language."""

    operations: Chain | None = Field(None, description="operations of the query language, such as DetectionsFilter")
    operations_parameters: dict[str, AnyReference] = Field(
        default_factory=dict, description="values for the operations, by name"
    )


def operated(found: sv.Detections, operations: Chain | None, parameters: dict[str, Any]) -> sv.Detections:
    """Detections after the operations of a step.

    Raises:
        ValueError: the operations end in something else.
    """
    changed = found if operations is None else operations(found, parameters)
    if not is_detections(changed):
        raise ValueError(f"the operations of this step end in detections, not in a {type(changed).__name__}")
    return changed


def each_operated(data: dict[str, Any], operations: dict[str, Chain]) -> dict[str, Any]:
    """Values by name, after the operations given for them.

    Raises:
        ValueError: there are operations for a value that is not there.
    """
    unknown = operations.keys() - data.keys()
    if unknown:
        raise ValueError(f"operations for {listing(sorted(unknown))}, which are no values; given: {listing(data)}")
    return {name: operations[name](value) if name in operations else value for name, value in data.items()}


# ------------------------------------------------------------------ texts and numbers


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise QueryError(f"{what} needs a text, not {a(value)}")
    return value


@operation("StringToLowerCase")
def _lower(value: Any) -> str:
    return _text(value, "StringToLowerCase").lower()


@operation("StringToUpperCase")
def _upper(value: Any) -> str:
    return _text(value, "StringToUpperCase").upper()


@operation("ToString")
def _to_string(value: Any) -> str | None:
    """A value as text; what is missing stays missing."""
    return None if value is None else str(value)


@operation("StringSubSequence", start=(int, 0), end=(int, -1))
def _sub_sequence(value: Any, start: int, end: int) -> str:
    return _text(value, "StringSubSequence")[start:end]


@operation("StringMatches", regex=(str, ...))
def _matches(value: Any, regex: str) -> bool:
    """Whether the expression fits anywhere in a text."""
    try:
        return re.search(regex, _text(value, "StringMatches")) is not None
    except re.error as error:
        raise QueryError(f"`{regex}` is no regular expression: {error}") from None


@operation("ToNumber", cast_to=(Literal["int", "float"], ...))
def _to_number(value: Any, cast_to: str) -> float:
    return int(float(value)) if cast_to == "int" else float(value)


@operation("NumberRound", decimal_digits=(int, ...))
def _round(value: float, decimal_digits: int) -> float:
    return round(value, decimal_digits)


@operation("Multiply", other=(int | float, ...))
def _multiply(value: Any, other: float) -> Any:
    if not isinstance(value, Real):  # a text times a number could be made as large as memory
        raise QueryError(f"Multiply needs a number, not {a(value)}")
    return value * other


@operation("Divide", other=(int | float, ...))
def _divide(value: Any, other: float) -> Any:
    return value / other


@operation("RandomNumber", min_value=(float, 0.0), max_value=(float, 1.0))
def _random(value: Any, min_value: float, max_value: float) -> float:
    return random.uniform(min_value, max_value)


@operation("TimestampToISOFormat")
def _iso(value: Any) -> str:
    if not isinstance(value, datetime):
        raise QueryError(f"TimestampToISOFormat needs a time, not {a(value)}")
    return value.isoformat()


@operation("ToBoolean")
def _to_boolean(value: Any) -> bool:
    """Whether there is something: a number other than 0, a text or a list that is not empty; the text "false" says no."""
    if isinstance(value, str) and value.strip().lower() == "false":
        return False
    return bool(value)


@operation("LookupTable", lookup_table=(dict[Any, Any], ...))
def _look_up(value: Any, lookup_table: Mapping[Any, Any]) -> Any:
    if value not in lookup_table:
        raise QueryError(f"LookupTable has no entry for {value!r}")
    return lookup_table[value]


@operation("ConvertDictionaryToJSON")
def _to_json(value: Any) -> str:
    if not isinstance(value, Mapping):
        raise QueryError(f"ConvertDictionaryToJSON needs names with values, not {a(value)}")
    return json.dumps(plain(value, spoken), allow_nan=False)


# ------------------------------------------------------------------ sequences


@operation("SequenceLength")
def _length(value: Any) -> int:
    return len(value)


@operation("SequenceMap", lookup_table=(dict[Any, Any], ...))
def _map(value: Any, lookup_table: Mapping[Any, Any]) -> list[Any]:
    return [_look_up(item, lookup_table) for item in value]


@operation("SequenceApply", operations=(Chain, ...))
def _apply(value: Any, operations: Chain, parameters: Parameters) -> list[Any]:
    return [operations(item, parameters) for item in value]


@operation("SequenceElementsCount")
def _elements_count(value: Any) -> dict[str, int]:
    """How often every element is there, by its text."""
    return dict(Counter(str(item) for item in value))


_MOST_JOINED: Final = 1_000_000
"""The most characters of a joined text."""


@operation("SequenceJoin", separator=(str, ", "))
def _join(value: Any, separator: str) -> str:
    joined = separator.join(str(item) for item in value)
    if len(joined) > _MOST_JOINED:
        raise QueryError(f"SequenceJoin gives {len(joined)} characters; at most {_MOST_JOINED} would fit")
    return joined


@operation("SequenceAggregate", mode=(Literal["first", "last", "most_common", "least_common"], ...))
def _aggregate(value: Any, mode: str) -> Any:
    if len(value) == 0:
        return None
    if mode in ("first", "last"):
        return value[0 if mode == "first" else -1]
    ranked = Counter(value).most_common()
    return ranked[0 if mode == "most_common" else -1][0]


@operation("NumericSequenceAggregate", function=(Literal["min", "max", "sum"], ...), neutral_value=(Any, None))
def _aggregate_numbers(value: Any, function: str, neutral_value: Any) -> Any:
    aggregates: dict[str, Callable[[Any], Any]] = {"min": min, "max": max, "sum": sum}
    return aggregates[function](value) if len(value) else neutral_value


# ------------------------------------------------------------------ images


@operation("ExtractImageProperty", property_name=(Literal["size", "height", "width", "aspect_ratio"], ...))
def _image_property(value: Any, property_name: str) -> float:
    width, height = _need_image(value, "ExtractImageProperty").size
    return {"size": width * height, "height": height, "width": width, "aspect_ratio": width / height}[property_name]


def _need_image(value: Any, what: str) -> Image:
    if not isinstance(value, Image):
        raise QueryError(f"{what} needs an image, not {a(value)}")
    return value


@operation("ConvertImageToJPEG", compression_level=(Annotated[int, Field(ge=1, le=100)], 95))
def _to_jpeg(value: Any, compression_level: int) -> bytes:
    pixels: Any = _need_image(value, "ConvertImageToJPEG").array
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, compression_level])[1].tobytes())


@operation("ConvertImageToBase64")
def _to_base64(value: Any) -> str:
    return base64.b64encode(_to_jpeg(_need_image(value, "ConvertImageToBase64"), 95)).decode()


@operation("ExtractFrameMetadata", property_name=(Literal["frame_number", "frame_timestamp", "seconds_since_start"], ...))
def _frame(value: Any, property_name: str) -> Any:
    """When a frame was taken; frames are numbered from one at their video's rate, an image of no video is number 0, now."""
    image = _need_image(value, "ExtractFrameMetadata")
    if property_name == "frame_number":
        return image.frame or 0
    if property_name == "frame_timestamp" and image.seconds is None:
        return datetime.now(timezone.utc)
    if property_name == "frame_timestamp":
        raise QueryError("the time of day of a frame is not known; seconds_since_start or frame_number would fit")
    if image.seconds is None:
        raise QueryError("this image carries no time; the frames of a video do")
    return image.seconds


# ------------------------------------------------------------------ detections


@operation("DetectionsPropertyExtract", property_name=(str, ...))
def _properties(value: Any, property_name: str) -> list[Any]:
    """A property of every detection; points are whole pixels."""
    found = need_detections(value, "DetectionsPropertyExtract")
    values = [read_property(one, property_name) for one in rows(found)]
    if property_name not in found.data and any(item is None for item in values):
        raise QueryError(f"these detections carry no `{property_name}`")
    if property_name in POINTS:
        return [PlacedPoint(round(point[0]), round(point[1]), point.origin) for point in values]
    return values


@operation("ExtractDetectionProperty", property_name=(str, ...))
def _property(value: Any, property_name: str) -> Any:
    if not isinstance(value, Detection):
        raise QueryError(f"ExtractDetectionProperty needs one detection, not a {type(value).__name__}")
    return read_property(value, property_name)


@operation("DetectionsToDictionary")
def _to_dictionary(value: Any) -> dict[str, Any]:
    return serialise(need_detections(value, "DetectionsToDictionary"))


@operation("DetectionsFilter", filter_operation=(Condition, ...))
def _filter(value: Any, filter_operation: Condition, parameters: Parameters) -> sv.Detections:
    found = need_detections(value, "DetectionsFilter")
    return select(found, [one.index for one in rows(found) if filter_operation({**parameters, DEFAULT_OPERAND: one})])


_SELECTIONS = Literal["left_most", "right_most", "top_confidence", "first", "last"]


@operation("DetectionsSelection", mode=(_SELECTIONS, ...))
def _selection(value: Any, mode: str) -> sv.Detections:
    found = need_detections(value, "DetectionsSelection")
    if len(found) == 0 or mode in ("first", "last"):
        return select(found, [0 if mode == "first" else len(found) - 1] if len(found) else [])
    if mode == "top_confidence":
        keys = sort_keys(found, "confidence")
        return select(found, [max(range(len(found)), key=keys.__getitem__)])
    centres = found.xyxy[:, 0] + found.xyxy[:, 2]
    return select(found, [int(centres.argmin() if mode == "left_most" else centres.argmax())])


_SORTS = Literal["confidence", "x_min", "x_max", "y_min", "y_max", "size", "center_x", "center_y"]


@operation("SortDetections", mode=(_SORTS, ...), ascending=(bool, True))
def _sort(value: Any, mode: str, ascending: bool) -> sv.Detections:
    found = need_detections(value, "SortDetections")
    keys = sort_keys(found, mode)
    order = sorted(range(len(found)), key=keys.__getitem__)
    return select(found, order if ascending else order[::-1])


def _moved(found: sv.Detections, by: Any) -> sv.Detections:
    """Detections with other boxes."""
    copy = select(found, list(range(len(found))))
    copy.xyxy = copy.xyxy + by
    return copy


@operation("DetectionsOffset", offset_x=(int, ...), offset_y=(int, ...))
def _offset(value: Any, offset_x: int, offset_y: int) -> sv.Detections:
    x, y = offset_x / 2, offset_y / 2
    return _moved(need_detections(value, "DetectionsOffset"), np.array([-x, -y, x, y]))


@operation("DetectionsShift", shift_x=(int, ...), shift_y=(int, ...))
def _shift(value: Any, shift_x: int, shift_y: int) -> sv.Detections:
    return _moved(need_detections(value, "DetectionsShift"), np.array([shift_x, shift_y] * 2))


@operation("DetectionsRename", class_map=(dict[str, str] | str, ...), strict=(bool | str, True),
           new_classes_id_offset=(int, 1024))  # fmt: skip
def _rename(
    value: Any, class_map: Mapping[str, str] | str, strict: bool | str, new_classes_id_offset: int, parameters: Parameters
) -> sv.Detections:
    """Other names; a strict map numbers its names anew, another numbers names that are new behind the offset."""
    class_map, strict = (_given(option, parameters) for option in (class_map, strict))
    if not isinstance(class_map, Mapping):
        raise QueryError(f"DetectionsRename needs names by name, not {a(class_map)}")
    if not isinstance(strict, bool):
        raise QueryError(f"DetectionsRename needs true or false for `strict`, not {a(strict)}")
    found = need_detections(value, "DetectionsRename")
    copy = select(found, list(range(len(found))))
    names = [str(name) for name in copy.data.get("class_name", ())]
    unknown = sorted(set(names) - class_map.keys())
    if strict and unknown:
        raise QueryError(f"DetectionsRename has no name for {', '.join(unknown)}; `strict` false keeps them")
    renamed = [class_map.get(name, name) for name in names]
    old = copy.class_id.tolist() if copy.class_id is not None else [0] * len(names)
    ids = {} if strict else dict(zip(names, old, strict=True))
    fresh = sorted(set(class_map.values()) - ids.keys())
    ids |= {name: place + (0 if strict else new_classes_id_offset) for place, name in enumerate(fresh)}
    copy.class_id = np.array([ids[name] for name in renamed], dtype=int)
    copy.data["class_name"] = np.array(renamed, dtype=object)
    return copy


def _given(option: Any, parameters: Parameters) -> Any:
    """An option that may be the name of a parameter."""
    if not isinstance(option, str):
        return option
    if option not in parameters:
        raise QueryError(f"the operation asks for `{option}`; given: {listing(parameters)}")
    return parameters[option]


@operation("PickDetectionsByParentClass", parent_class=(str, ...))
def _pick(value: Any, parent_class: str) -> sv.Detections:
    """The detections of a class, and behind them the others whose centres lie within one of those."""
    found = need_detections(value, "PickDetectionsByParentClass")
    names = [str(name) for name in found.data.get("class_name", [""] * len(found))]
    parents = [place for place, name in enumerate(names) if name == parent_class]
    boxes = found.xyxy[parents].tolist()
    centres = found.get_anchors_coordinates(sv.Position.CENTER).tolist()
    inside = [place for place, (x, y) in enumerate(centres) if any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes)]
    return select(found, [*parents, *(place for place in inside if place not in parents)])


@operation("ClassificationPropertyExtract", property_name=(Property, ...))
def _classification(value: Any, property_name: Property) -> Any:
    return read_classification(value, property_name)
