"""The query language."""

from __future__ import annotations

from tests.compat.writing import (
    BLOCKS,
    FOUND,
    IMAGE,
    NOISE,
    OVERLAPPING,
    RAMP,
    THREE,
    case,
    condition,
    dynamic,
    op,
    query,
    statement,
    step,
)

CASES = (
    query("lower", [op("StringToLowerCase")], "STAR"),
    query("upper", [op("StringToUpperCase")], "star"),
    query("sub sequence", [op("StringSubSequence", start=1, end=3)], "stars"),
    query("sub sequence to the end", [op("StringSubSequence", start=1)], "stars"),
    query("matches", [op("StringMatches", regex="^s.*r$")], "star"),
    query("to int", [op("ToNumber", cast_to="int")], "3"),
    query("to float", [op("ToNumber", cast_to="float")], "3.5"),
    query("int of a float text", [op("ToNumber", cast_to="int")], "3.7"),
    query("round", [op("NumberRound", decimal_digits=1)], 3.14159),
    query("multiply", [op("Multiply", other=2.5)], 4),
    query("divide", [op("Divide", other=4)], 10),
    query("to boolean", [op("ToBoolean")], "true"),
    query("to boolean of a number", [op("ToBoolean")], 0),
    query("to string", [op("ToString")], 12.5),
    query("look up", [op("LookupTable", lookup_table={"a": 1, "b": "two"})], "b"),
    query("length", [op("SequenceLength")], [1, 2, 3]),
    query("map", [op("SequenceMap", lookup_table={"a": 1, "b": 2})], ["a", "b", "a"]),
    query("apply", [op("SequenceApply", operations=[op("Multiply", other=2), op("ToString")])], [1, 2]),
    query("count elements", [op("SequenceElementsCount")], ["a", "b", "a"]),
    query("join", [op("SequenceJoin", separator="-")], ["a", "b"]),
    *(
        query(f"aggregate {mode}", [op("SequenceAggregate", mode=mode)], ["a", "b", "b", "c", "b", "c"])
        for mode in ("first", "last", "most_common", "least_common")
    ),
    *(
        query(f"aggregate numbers {function}", [op("NumericSequenceAggregate", function=function)], [3, 1, 2])
        for function in ("min", "max", "sum")
    ),
    query("aggregate no numbers", [op("NumericSequenceAggregate", function="sum", neutral_value=7)], []),
    case(
        "query pick by parent",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("PickDetectionsByParentClass", parent_class="circle")],
        ),
        out="$steps.s.predictions",
        found=[OVERLAPPING, THREE],
    ),
    case(
        "query jpeg",
        step(
            "property_definition@v1",
            data=IMAGE,
            operations=[op("ConvertImageToJPEG", compression_level=50), op("SequenceLength")],
        ),
        out="$steps.s.output",
        image=RAMP,
    ),
    case(
        "query base64",
        step(
            "property_definition@v1",
            data=IMAGE,
            operations=[op("ConvertImageToBase64"), op("StringSubSequence", start=0, end=16)],
        ),
        out="$steps.s.output",
        image=RAMP,
    ),
    query("random", [op("RandomNumber", min_value=2.0, max_value=2.0)], 1),
    query("dictionary to json", [op("ConvertDictionaryToJSON")], {"a": [1, 2], "b": None}),
    *(
        case(
            f"property {name}",
            step("property_definition@v1", data=FOUND, operations=[op("DetectionsPropertyExtract", property_name=name)]),
            out="$steps.s.output",
            found=THREE,
        )
        for name in (
            "confidence",
            "class_name",
            "x_min",
            "x_max",
            "y_min",
            "y_max",
            "size",
            "class_id",
            "center",
            "top_left",
            "top_right",
            "bottom_left",
            "bottom_right",
        )
    ),
    *(
        case(
            f"image property {name}",
            step("property_definition@v1", data=IMAGE, operations=[op("ExtractImageProperty", property_name=name)]),
            out="$steps.s.output",
            image=[BLOCKS, NOISE],
        )
        for name in ("size", "height", "width", "aspect_ratio")
    ),
    *(
        case(
            f"sorted by {mode}",
            step(
                "detections_transformation@v1",
                predictions=FOUND,
                operations=[op("SortDetections", mode=mode, ascending=ascending)],
            ),
            out="$steps.s.predictions",
            found=THREE,
        )
        for mode, ascending in (
            ("confidence", True),
            ("size", False),
            ("center_x", False),
            ("center_y", True),
            ("y_max", False),
        )
    ),
    *(
        case(
            f"selection {mode}",
            step("detections_transformation@v1", predictions=FOUND, operations=[op("DetectionsSelection", mode=mode)]),
            out="$steps.s.predictions",
            found=THREE,
        )
        for mode in ("left_most", "top_confidence", "first", "last")
    ),
    *(
        condition(f"{comparator} {value!r} {right!r}", statement(dynamic("v"), comparator, right), value)
        for comparator, value, right in (
            ("==", "a", "a"),
            ("!=", "a", "a"),
            ("(Number) ==", 2, 2.0),
            ("(Number) !=", 2, 3),
            ("(Number) <", 2, 3),
            ("(Number) <=", 3, 3),
            ("(Number) in range", 3, [1, 3]),
            ("(String) startsWith", "star", "st"),
            ("(String) endsWith", "star", "st"),
            ("(String) contains", "star", "ta"),
            ("in (Sequence)", "a", ["a", "b"]),
            ("all in (Sequence)", ["a", "c"], ["a", "b"]),
            ("any in (Sequence)", ["a", "c"], ["a", "b"]),
        )
    ),
    *(
        condition(
            f"{operator} {value!r}", {"type": "UnaryStatement", "operand": dynamic("v"), "operator": {"type": operator}}, value
        )
        for operator, value in (
            ("Exists", "a"),
            ("DoesNotExist", "a"),
            ("(Boolean) is True", True),
            ("(Boolean) is False", True),
            ("(Sequence) is empty", []),
            ("(Sequence) is not empty", [1]),
        )
    ),
)
