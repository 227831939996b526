"""Kinds: what a value of a workflow means, how it is recognised, and how it enters and leaves as JSON.

Two kinds fit when their names meet; `*` fits all. A plugin may bring kinds of its own through the
`workflow_engine_kinds` hook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from workflow_engine import detections, detections_json
from workflow_engine.data import Image


def _anything(value: Any) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """What a value means.

    Attributes:
        name: the name in definitions.
        description: one line for people.
        accepts: whether a Python value can be of this kind; checked on what a block answers.
        serialise: turns a value into plain JSON types; None where it is plain JSON already.
        deserialise: turns what a caller gave into the value blocks expect; None where it passes unchanged. Raises
            ValueError with a sentence that says what would fit.
        to_root: moves coordinates from a crop to the image the crop was cut from, for values of a plugin's own; the engine
            moves detections wherever they are.
    """

    name: str
    description: str = ""
    accepts: Callable[[Any], bool] = field(default=_anything, compare=False)
    serialise: Callable[[Any], Any] | None = field(default=None, compare=False)
    deserialise: Callable[[Any], Any] | None = field(default=None, compare=False)
    to_root: Callable[[Any], Any] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.name


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_float(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _detection_kind(name: str, description: str) -> Kind:
    return Kind(name, description, detections.is_detections, detections_json.serialise, detections_json.deserialise)


ANY: Final = Kind("*", "anything")
IMAGE: Final = Kind("image", "a picture", _is(Image), Image.to_json, None)
VIDEO_METADATA: Final = Kind("video_metadata", "which frame of which video an image is", _is(dict))
STRING: Final = Kind("string", "a text", _is(str))
INTEGER: Final = Kind("integer", "a whole number", _is_integer)
FLOAT: Final = Kind("float", "a number", _is_float)
FLOAT_ZERO_TO_ONE: Final = Kind("float_zero_to_one", "a number between 0 and 1", _is_float)
BOOLEAN: Final = Kind("boolean", "true or false", _is(bool))
DICTIONARY: Final = Kind("dictionary", "names with values", _is(dict))
LIST_OF_VALUES: Final = Kind("list_of_values", "several values", _is(list, tuple))
OBJECT_DETECTION: Final = _detection_kind("object_detection_prediction", "boxes with classes")
INSTANCE_SEGMENTATION: Final = _detection_kind("instance_segmentation_prediction", "boxes with classes and masks")
KEYPOINT_DETECTION: Final = _detection_kind("keypoint_detection_prediction", "boxes with classes and keypoints")
CLASSIFICATION: Final = Kind("classification_prediction", "classes with probabilities", _is(dict))
LANGUAGE_MODEL_OUTPUT: Final = Kind("language_model_output", "the text answer of a language model", _is(str))

DETECTIONS: Final = (OBJECT_DETECTION, INSTANCE_SEGMENTATION, KEYPOINT_DETECTION)
"""The kinds whose values are `supervision.Detections`."""

DETECTIONS_TAKEN: Final = (
    *DETECTIONS,
    _detection_kind("rle_instance_segmentation_prediction", "boxes with classes, and masks as run lengths"),
    _detection_kind("semantic_segmentation_prediction", "classes with the pixels of each, as run lengths"),
)
"""The kinds that fit where detections are taken: those, and two of the language that are read and written as they are."""

_NAMES_ONLY: Final = (
    "rgb_color", "point", "zone", "contours", "numpy_array", "bytes", "top_class", "qr_code_detection",
    "bar_code_detection", "prediction_type", "parent_id",
    "image_metadata", "inference_id", "secret", "embedding", "tensor", "timestamp", "serialised_payloads", "detection",
    "roboflow_model_id", "roboflow_project", "roboflow_api_key", "roboflow_managed_key", "image_keypoints",
    "ROBOFLOW_MANAGED_KEY", "action_recognition_prediction", "detections_overlaps", "labeled_points", "roboflow_solution",
)  # fmt: skip

STANDARD_KINDS: Final = (
    ANY, IMAGE, VIDEO_METADATA, STRING, INTEGER, FLOAT, FLOAT_ZERO_TO_ONE, BOOLEAN, DICTIONARY, LIST_OF_VALUES,
    *DETECTIONS_TAKEN, CLASSIFICATION, LANGUAGE_MODEL_OUTPUT, *(Kind(name) for name in _NAMES_ONLY),
)  # fmt: skip
"""The kinds of the language, registered through the public hook like any plugin's."""


def fit(given: Iterable[Kind], wanted: Iterable[Kind]) -> bool:
    """Whether a value of the given kinds may be used where the wanted ones are asked for."""
    given_names, wanted_names = {kind.name for kind in given}, {kind.name for kind in wanted}
    return "*" in given_names or "*" in wanted_names or not given_names.isdisjoint(wanted_names)
