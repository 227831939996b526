"""Classifications of one label and of several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.adjust import DetectionsClassesReplacement
from florence_blocks.vision.operations import Chain, QueryError

CAT, DOG = (
    {"class": name, "class_id": number, "confidence": sure} for name, number, sure in (("cat", 0, 0.3), ("dog", 1, 0.7))
)
ONE = {"top": "dog", "confidence": 0.7, "predictions": [DOG, CAT]}
SEVERAL = {"predicted_classes": ["fox", "cat"],
           "predictions": {"fox": {"confidence": 0.6, "class_id": 2}, "cat": {"confidence": 0.8, "class_id": 0},
                           "dog": {"confidence": 0.1, "class_id": 1}}}  # fmt: skip
NONE: dict[str, Any] = {"predicted_classes": [], "predictions": {"cat": {"confidence": 0.2, "class_id": 0}}}


def asked(name: str, value: Any) -> Any:
    return Chain.parse([{"type": "ClassificationPropertyExtract", "property_name": name}])(value)


@pytest.mark.parametrize(
    ("name", "one", "several", "none"),
    [
        ("top_class", "dog", ["fox", "cat"], []),
        ("top_class_confidence", 0.7, [0.6, 0.8], []),
        ("top_class_confidence_single", 0.7, 0.8, 0.0),
        ("all_classes", ["dog", "cat"], ["cat", "dog", "fox"], ["cat"]),
        ("all_confidences", [0.7, 0.3], [0.8, 0.1, 0.6], [0.2]),
    ],
)
def test_what_can_be_asked_of_a_classification(name: str, one: Any, several: Any, none: Any) -> None:
    assert [asked(name, value) for value in (ONE, SEVERAL, NONE)] == [one, several, none]


def test_labels_that_are_of_no_class_asked_for_are_all_there() -> None:
    others = {"predicted_classes": ["b"], "predictions": {name: {"confidence": 0.5, "class_id": -1} for name in "abc"}}
    assert asked("all_classes", others) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "classes", "sure", "single"),
    [
        (
            {"predicted_classes": ["b"], "predictions": {"b": {"confidence": 0.9}, "a": {"confidence": 0.1}}},
            ["b", "a"],
            [0.9],
            0.9,
        ),
        ({"predicted_classes": ["b"], "predictions": {"b": 0.9, "a": 0.1}}, ["b", "a"], [0.9], 0.9),
        ({"predicted_classes": ["c", "b"], "predictions": {"b": {"confidence": None}}}, ["b"], [None, None], 0.0),
        ({"predicted_classes": None, "predictions": {"a": {"confidence": 0.4, "class_id": 0}}}, ["a"], [], 0.0),
    ],
)
def test_classifications_of_other_programs_may_tell_less(value: Any, classes: Any, sure: Any, single: Any) -> None:
    names = ("all_classes", "top_class_confidence", "top_class_confidence_single")
    assert [asked(name, value) for name in names] == [classes, sure, single]


def test_a_class_told_of_in_another_form_is_told() -> None:
    with pytest.raises(QueryError, match=r"predictions\.a: a text; .*would fit"):
        asked("all_classes", {"predicted_classes": ["a"], "predictions": {"a": "sure"}})


@pytest.mark.parametrize("value", ["dog", None, {}, [ONE], 3])
def test_what_is_no_classification_is_told(value: Any) -> None:
    with pytest.raises(QueryError, match=r"ClassificationPropertyExtract cannot take .*is no classification"):
        asked("top_class", value)


def test_detections_are_renamed_by_the_surest_of_several_labels_with_its_id() -> None:
    three = sv.Detections(xyxy=np.arange(16.0).reshape(4, 4), data={"class_name": np.array(["?"] * 4, object)})
    renamed = DetectionsClassesReplacement().run(three, [SEVERAL, ONE, NONE, "cat"], None, None)
    assert renamed.data["class_name"].tolist() == ["cat", "dog", "cat"] and renamed.class_id.tolist() == [0, 1, 0]
    assert renamed.confidence[:2].tolist() == [0.8, 0.7] and np.isnan(renamed.confidence[2])
