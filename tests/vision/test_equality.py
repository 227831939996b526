"""Whether values are the same, and what asks for it: the filter of changes and conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.equality import same
from florence_blocks.vision.flow import DeltaFilter
from florence_blocks.vision.operations import Condition
from florence_blocks.vision.vlm import VlmAsClassifier
from workflow_engine.data import Image

NAN = float("nan")
IMAGE = Image(np.zeros((4, 5, 3), np.uint8))


def boxes(*edges: float, **data: Any) -> sv.Detections:
    return sv.Detections(xyxy=np.array([edges]), data={key: np.array([value], object) for key, value in data.items()})


EQUAL = [
    (np.arange(4), np.arange(4.0)),
    (np.array([1, NAN]), np.array([1, NAN])),
    (np.array(["a", None], object), np.array(["a", None], object)),
    ([np.arange(3), {"a": np.eye(2)}], [np.arange(3), {"a": np.eye(2)}]),
    (boxes(1, 2, 3, 4, class_name="a"), boxes(1, 2, 3, 4, class_name="a")),
    (boxes(1, 2, 3, 4, detection_id="1"), boxes(1, 2, 3, 4, detection_id="2")),
    (IMAGE, Image(IMAGE.array.copy())),
    (NAN, NAN),
    (1, 1.0),
    (np.float32(2), 2),
    ((1, 2), [1, 2]),
    ("a", "a"),
]
OTHER = [
    (np.arange(4), np.arange(5)),
    (np.arange(4), np.arange(4) + 1),
    (np.arange(4), None),
    (np.arange(4), "0123"),
    (np.arange(2), [0, 1, [2]]),
    ([np.arange(3)], [np.arange(4)]),
    (boxes(1, 2, 3, 4), boxes(1, 2, 3, 5)),
    (boxes(1, 2, 3, 4, class_name="a"), boxes(1, 2, 3, 4, class_name="b")),
    (boxes(1, 2, 3, 4), sv.Detections.empty()),
    (boxes(1, 2, 3, 4), 7),
    (IMAGE, Image(IMAGE.array + 1)),
    (IMAGE, IMAGE.array),
    ({"a": 1}, {"b": 1}),
    ({"a": np.arange(3)}, {"a": np.arange(4)}),
    (1, "1"),
    (NAN, 1.0),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_are_the_same(one: Any, other: Any) -> None:
    assert same(one, other) and same(other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_values_are_not(one: Any, other: Any) -> None:
    assert not same(one, other) and not same(other, one)


@pytest.mark.parametrize(("one", "other"), [*EQUAL, *OTHER])
def test_the_filter_of_changes_takes_values_of_every_kind(one: Any, other: Any) -> None:
    gate = DeltaFilter()
    passed = [list(gate.run(IMAGE, value, ["$steps.next"])) for value in (one, other, other)]
    assert [bool(targets) for targets in passed] == [True, not same(one, other), False]


def test_answers_that_differ_only_in_their_identifier_are_no_change() -> None:
    gate, read = DeltaFilter(), VlmAsClassifier()
    answers = [read.run(IMAGE, "cat", ["cat", "dog"])["predictions"] for _ in range(2)]
    assert [bool(list(gate.run(IMAGE, answer, ["$steps.next"]))) for answer in answers] == [True, False]


@pytest.mark.parametrize(("one", "other"), [*EQUAL, *OTHER])
def test_conditions_compare_values_of_every_kind(one: Any, other: Any) -> None:
    def holds(comparator: str, right: Any) -> bool:
        operands = {f"{side}_operand": {"type": "DynamicOperand", "operand_name": side} for side in ("left", "right")}
        condition = Condition.parse({"type": "BinaryStatement", "comparator": {"type": comparator}, **operands})
        return condition({"left": one, "right": right})

    assert holds("==", other) is same(one, other) is not holds("!=", other)
    assert holds("in (Sequence)", [None, other]) is (same(one, other) or one is None)
