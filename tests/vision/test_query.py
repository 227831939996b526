"""The query language and the one-line expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st

from florence_blocks.vision.detection import rows
from florence_blocks.vision.expression import Where
from florence_blocks.vision.operations import Chain, Condition, QueryError
from workflow_engine.data import Image, ImageError


def found(*, confidence: bool = True) -> sv.Detections:
    return sv.Detections(
        xyxy=np.array([[10, 10, 30, 40], [50, 20, 90, 60], [0, 0, 5, 5]], float),
        confidence=np.array([0.9, 0.4, 0.7]) if confidence else None,
        class_id=np.array([0, 1, 0]),
        data={"class_name": np.array(["star", "circle", "star"], object)},
    )


def chain(*operations: dict[str, Any]) -> Chain:
    return Chain.parse(list(operations))


def compare(left: Any, comparator: str, right: Any, **more: Any) -> dict[str, Any]:
    dynamic = {"type": "DynamicOperand", **left} if isinstance(left, dict) else {"type": "StaticOperand", "value": left}
    return {"type": "BinaryStatement", "left_operand": dynamic, "comparator": {"type": comparator},
            "right_operand": {"type": "StaticOperand", "value": right}, **more}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "operations", "wanted"),
    [
        ("StOp", [{"type": "StringToLowerCase"}], "stop"),
        ("stop", [{"type": "StringToUpperCase"}, {"type": "StringSubSequence", "start": 0, "end": 2}], "ST"),
        (5, [{"type": "ToString"}], "5"),
        ("3.7", [{"type": "ToNumber", "cast_to": "int"}], 3),
        ("3.7", [{"type": "ToNumber", "cast_to": "float"}, {"type": "NumberRound", "decimal_digits": 0}], 4.0),
        (6, [{"type": "Multiply", "other": 2}, {"type": "Divide", "other": 4}], 3.0),
        ("true", [{"type": "ToBoolean"}], True),
        ("ab1", [{"type": "StringMatches", "regex": r"[a-z]+\d"}], True),
        ([1, 2, 3], [{"type": "SequenceLength"}], 3),
        (["a", "b"], [{"type": "SequenceMap", "lookup_table": {"a": 1, "b": 2}}], [1, 2]),
        (["a", "b"], [{"type": "SequenceApply", "operations": [{"type": "StringToUpperCase"}]}], ["A", "B"]),
        (["a", "b", "a"], [{"type": "SequenceElementsCount"}], {"a": 2, "b": 1}),
        (["a", "b", "a"], [{"type": "SequenceAggregate", "mode": "most_common"}], "a"),
        ([], [{"type": "SequenceAggregate", "mode": "first"}], None),
        ([3, 1], [{"type": "NumericSequenceAggregate", "function": "min"}], 1),
        ([], [{"type": "NumericSequenceAggregate", "function": "sum", "neutral_value": 0}], 0),
        ([1, "a"], [{"type": "SequenceJoin", "separator": "-"}], "1-a"),
        ("x", [{"type": "LookupTable", "lookup_table": {"x": 9}}], 9),
    ],
)
def test_operations_on_plain_values(value: Any, operations: list[dict[str, Any]], wanted: Any) -> None:
    assert chain(*operations)(value) == wanted


@pytest.mark.parametrize(
    ("value", "operations", "wanted"),
    [
        ("a star", [{"type": "StringMatches", "regex": "st"}], True),
        ("a star", [{"type": "StringMatches", "regex": "^st"}], False),
        (None, [{"type": "ToString"}], None),
        ([None, 1], [{"type": "SequenceApply", "operations": [{"type": "ToString"}]}], [None, "1"]),
        ([], [{"type": "ToBoolean"}], False),
        (["false"], [{"type": "ToBoolean"}], True),
        ("no", [{"type": "ToBoolean"}], True),
        (" False ", [{"type": "ToBoolean"}], False),
        ("", [{"type": "ToBoolean"}], False),
        (sv.Detections.empty(), [{"type": "ToBoolean"}], False),
        (np.float32(1.5), [{"type": "Multiply", "other": 2}], 3.0),
        (np.int64(3), [{"type": "Divide", "other": 2}], 1.5),
        ([[1], [1], "a"], [{"type": "SequenceElementsCount"}], {"[1]": 2, "a": 1}),
    ],
)
def test_operations_on_odd_values(value: Any, operations: list[dict[str, Any]], wanted: Any) -> None:
    assert chain(*operations)(value) == wanted


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        (["a"], {"type": "StringSubSequence"}),
        (5, {"type": "StringToLowerCase"}),
        ("a", {"type": "StringMatches", "regex": "("}),
        ("a", {"type": "Multiply", "other": 10**9}),
        ([1], {"type": "ConvertDictionaryToJSON"}),
        (["a" * 600_000, "b" * 600_000], {"type": "SequenceJoin"}),
        (np.array([1, 2]), {"type": "ToBoolean"}),
    ],
)
def test_a_value_that_does_not_fit_an_operation_is_told(value: Any, operation: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=str(operation["type"]) if "regex" not in operation else "regular expression"):
        chain(operation)(value)


def test_names_that_are_new_are_numbered_behind_the_offset_and_known_ones_keep_their_numbers() -> None:
    rename = {"type": "DetectionsRename", "class_map": {"star": "circle"}, "strict": False}
    assert chain(rename)(found()).class_id.tolist() == [1, 1, 1]
    rename["class_map"] = {"star": "sun", "moon": "comet"}
    assert chain(rename)(found()).class_id.tolist() == [1025, 1, 1025]
    with pytest.raises(QueryError, match="true or false"):
        chain({**rename, "strict": "s"})(found(), {"s": 1})


def test_what_a_block_measured_counts_before_what_the_box_says_and_what_nobody_noted_is_none() -> None:
    turned = found()
    turned.data["width"] = np.array([1.0, 2.0, 3.0])
    assert chain({"type": "DetectionsPropertyExtract", "property_name": "width"})(turned) == [1, 2, 3]
    assert chain({"type": "DetectionsPropertyExtract", "property_name": "height"})(turned) == [30, 40, 5]
    timed = {"type": "UnaryStatement", "operand": {"type": "DynamicOperand", **asked("time_in_zone")},
             "operator": {"type": "Exists"}}  # fmt: skip
    group = {"type": "StatementGroup", "statements": [timed]}
    assert len(chain({"type": "DetectionsFilter", "filter_operation": group})(turned)) == 0
    for name in ("time_in_zone", "tracker_id"):
        with pytest.raises(QueryError, match=f"carry no `{name}`"):
            chain({"type": "DetectionsPropertyExtract", "property_name": name})(turned)


def test_a_frame_knows_its_number_and_its_time() -> None:
    frame = Image(np.zeros((4, 4, 3), np.uint8), seconds=0.5, frame=16).crop(0, 0, 2, 2)
    read = [chain({"type": "ExtractFrameMetadata", "property_name": name})(frame)
            for name in ("frame_number", "seconds_since_start")]  # fmt: skip
    assert read == [16, 0.5]
    still = Image(frame.array)
    assert chain({"type": "ExtractFrameMetadata", "property_name": "frame_number"})(still) == 0
    assert chain({"type": "ExtractFrameMetadata", "property_name": "frame_timestamp"})(still).tzinfo is not None
    for name, image in (("seconds_since_start", still), ("frame_timestamp", frame)):
        with pytest.raises(QueryError, match=r"not known|no time"):
            chain({"type": "ExtractFrameMetadata", "property_name": name})(image)


def test_an_image_given_as_an_object_may_say_which_frame_it_is() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    frame = Image.load({"type": "numpy_object", "value": pixels, "video_metadata": {"frame_number": 26, "fps": 50}})
    assert (frame.frame, frame.seconds) == (26, 0.5)
    assert Image.load({"value": pixels, "video_metadata": {"frame_number": 1}}).seconds == 0
    assert Image.load({"value": pixels, "video_metadata": None}).frame is None
    for wrong in (7, {}, {"frame_number": -1}, {"frame_number": 1.5}, {"frame_number": 1, "fps": 0}, {"frame_number": "1"}):
        with pytest.raises(ImageError, match="video_metadata"):
            Image.load({"value": pixels, "video_metadata": wrong})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("class_name", ["star", "circle", "star"]), ("confidence", [0.9, 0.4, 0.7]), ("x_min", [10, 50, 0]),
     ("y_max", [40, 60, 5]),
     ("size", [600, 1600, 25]), ("center", [(20, 25), (70, 40), (2, 2)]), ("class_id", [0, 1, 0]),
     ("prediction_type", ["object-detection"] * 3)],
)  # fmt: skip
def test_properties_of_detections(name: str, wanted: list[Any]) -> None:
    assert chain({"type": "DetectionsPropertyExtract", "property_name": name})(found()) == wanted


def test_operations_on_detections_leave_the_given_ones_alone() -> None:
    given = found()
    assert chain({"type": "SortDetections", "mode": "size", "ascending": False})(given).xyxy[:, 0].tolist() == [50, 10, 0]
    assert chain({"type": "DetectionsSelection", "mode": "top_confidence"})(given).confidence.tolist() == [0.9]
    assert chain({"type": "DetectionsSelection", "mode": "right_most"})(given).xyxy[:, 0].tolist() == [50]
    assert chain({"type": "DetectionsOffset", "offset_x": 4, "offset_y": 2})(given).xyxy[0].tolist() == [8, 9, 32, 41]
    assert chain({"type": "DetectionsShift", "shift_x": 4, "shift_y": 2})(given).xyxy[0].tolist() == [14, 12, 34, 42]
    renamed = chain({"type": "DetectionsRename", "class_map": {"star": "sun"}, "strict": False})(given)
    assert list(renamed.data["class_name"]) == ["sun", "circle", "sun"]
    assert list(given.data["class_name"]) == ["star", "circle", "star"] and given.xyxy[0].tolist() == [10, 10, 30, 40]


def asked(name: str) -> dict[str, Any]:
    """The operand that asks a detection for a property."""
    return {"operations": [{"type": "ExtractDetectionProperty", "property_name": name}]}


def unary(value: Any, operator: str) -> dict[str, Any]:
    return {"type": "UnaryStatement", "operand": {"type": "StaticOperand", "value": value}, "operator": {"type": operator}}


def test_a_filter_asks_every_detection_and_the_parameters_of_the_step() -> None:
    least = {"type": "DynamicOperand", "operand_name": "least"}
    group = {"type": "StatementGroup", "operator": "and", "statements": [
        compare(asked("class_name"), "in (Sequence)", ["star"]),
        {**compare(asked("size"), "(Number) >", 0),
         "right_operand": least},
    ]}  # fmt: skip
    kept = chain({"type": "DetectionsFilter", "filter_operation": group})(found(), {"least": 100})
    assert kept.xyxy.tolist() == [[10, 10, 30, 40]]
    assert len(chain({"type": "DetectionsFilter", "filter_operation": group})(sv.Detections.empty(), {"least": 1})) == 0


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        (compare(3, "(Number) >=", 3), True),
        (compare(3, "(Number) in range", [4, 9]), False),
        (compare("stop", "(String) startsWith", "st"), True),
        (compare("stop", "(String) contains", "x", negate=True), True),
        (compare([1, 2], "all in (Sequence)", [1, 2, 3]), True),
        (compare([1, 9], "any in (Sequence)", [1, 2, 3]), True),
        (compare("a", "==", "a"), True),
        (unary(None, "Exists"), False),
        (unary([], "(Sequence) is empty"), True),
        ({"type": "StatementGroup", "operator": "and", "statements": [compare(1, "==", 1), compare(1, "==", 2)]}, False),
        ({"type": "StatementGroup", "statements": [compare(1, "==", 1), compare(1, "==", 2)]}, True),
    ],
)  # fmt: skip
def test_statements(statement: dict[str, Any], wanted: bool) -> None:
    assert Condition.parse(statement)({}) is wanted


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        ([{"type": "SequenceLenght"}], "did you mean `SequenceLength`"),
        ([{"type": "NumberRound", "decimals": 1}], "[0].decimals: unknown field (did you mean `decimal_digits`?)"),
        ([{"type": "SequenceLength"}, {"type": "SequenceJoin", "seperator": ","}], "did you mean `separator`"),
        ({"type": "SequenceLength"}, "a list of objects"),
        ([{"type": "SequenceApply", "operations": [{"type": "Nope"}]}], "unknown operation 'Nope'"),
        ([{"type": "DetectionsFilter", "filter_operation": {"type": "StatementGroup", "statements": []}}], "at least one"),
    ],
)
def test_a_wrong_operation_is_told_when_it_is_read(operations: Any, said: str) -> None:
    with pytest.raises(QueryError) as raised:
        Chain.parse(operations)
    assert said in f"{raised.value.inside}: {raised.value}"


@pytest.mark.parametrize(
    ("operation", "value"),
    [({"type": "SequenceLength"}, 5), ({"type": "StringToUpperCase"}, 5), ({"type": "Divide", "other": 0}, 5),
     ({"type": "ExtractImageProperty", "property_name": "width"}, "image"), ({"type": "LookupTable", "lookup_table": {}}, "a"),
     ({"type": "DetectionsPropertyExtract", "property_name": "class_name"}, []), ({"type": "ToNumber", "cast_to": "int"}, "x")],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_told_with_the_operation(operation: dict[str, Any], value: Any) -> None:
    with pytest.raises(QueryError, match=operation["type"]):
        chain(operation)(value)


def test_a_condition_on_confidences_that_are_not_there_is_told() -> None:
    with pytest.raises(QueryError, match="carry no confidence"):
        chain({"type": "DetectionsPropertyExtract", "property_name": "confidence"})(found(confidence=False))


def test_image_properties() -> None:
    image = Image(np.zeros((40, 80, 3), np.uint8))
    wanted = {"width": 80, "height": 40, "size": 3200, "aspect_ratio": 2.0}
    assert {name: chain({"type": "ExtractImageProperty", "property_name": name})(image) for name in wanted} == wanted


# ------------------------------------------------------------------ expressions


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('class_name == "star"', [0, 2]),
        ('class_name == "star" and area > 100', [0]),
        ("not (confidence < 0.5)", [0, 2]),
        ('class_name in ["circle", "square"] or index == 2', [1, 2]),
        ("10 <= x_min < 60 and width * 2 > height", [0, 1]),
        ("max(width, height) > 35", [1]),
        ("center_x / 2 > 5 and -x_min < 0", [0, 1]),
        ("len(class_name) == 6", [1]),
    ],
)
def test_expressions_keep_what_they_say(text: str, kept: list[int]) -> None:
    where = Where.parse(text)
    assert [one.index for one in rows(found()) if where(one)] == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("area >", "not an expression"),
        ("aera > 5", "column 1.*did you mean `area`"),
        ('class_name.upper() == "A"', "no place in an expression"),
        ("__import__('os')", "unknown function"),
        ("(lambda: 1)()", "no place"),
        ("2 ** 99", "no place"),
        ("[x for x in area]", "no place"),
        ("a" * 600, "at most 500 characters"),
        ("+".join(["1"] * 200), "at most 100 parts"),
        ("", "an expression is a text"),
    ],
)
def test_what_is_no_expression_is_told_by_its_position(text: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        Where.parse(text)


def test_values_that_do_not_fit_each_other_are_told() -> None:
    for text in ("class_name > 5", '"a" * 9 == "b"', "area / 0 > 1"):
        with pytest.raises(QueryError, match="cannot be decided"):
            Where.parse(text)(rows(found())[0])


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_clear_error(text: str) -> None:
    try:
        where = Where.parse(text)
    except QueryError:
        return
    try:
        assert where(rows(found())[0]) in (True, False)
    except QueryError:
        return
