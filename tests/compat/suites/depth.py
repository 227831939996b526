"""Values of the whole run, values that are not there, and fields that nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.compat.inputs import box, predictions
from tests.compat.writing import (
    BLOCKS,
    CROP,
    FOUND,
    IMAGE,
    MASKS,
    NONE,
    ONE,
    RAMP,
    THREE,
    WIDTH,
    Case,
    case,
    dynamic,
    group,
    op,
    statement,
    step,
)

_WIDE = step("property_definition@v1", "w", data=IMAGE, operations=WIDTH)
_ALL_WIDTHS = step("dimension_collapse@v1", "all", data="$steps.w.output")
_ALL_IMAGES = step("dimension_collapse@v1", "all", data=IMAGE)
_POSTER = step("grid_visualization@v1", "poster", images="$steps.all.output", width=100, height=100)
_SLICES = step("image_slicer@v1", "parts", image="$steps.poster.image", slice_width=50, slice_height=50)
_SLICE_WIDTHS = step("property_definition@v1", "v", data="$steps.parts.slices", operations=WIDTH)
_CONFIDENCES = [op("DetectionsPropertyExtract", property_name="confidence")]
_SUREST = step("property_definition@v1", "x", data=FOUND,
               operations=[*_CONFIDENCES, op("NumericSequenceAggregate", function="max")])  # fmt: skip
_IS_WIDE = group(statement(dynamic("w"), "(Number) >", 120))
_HIGH = step("property_definition@v1", "h", data="$steps.crop.crops",
             operations=[op("ExtractImageProperty", property_name="height")])  # fmt: skip
_IS_HIGH = step("continue_if@v1", "gate", condition_statement=group(statement(dynamic("h"), "(Number) >=", 30)),
                evaluation_parameters={"h": "$steps.h.output"}, next_steps=["$steps.says"])  # fmt: skip
_SAYS = step("property_definition@v1", "says", data="$steps.crop.crops", operations=[*WIDTH, op("ToString")])
_TWO = predictions(box(10, 10, 40, 30), box(50, 50, 70, 90))
_QUAD = [[30, 20], [120, 25], [130, 90], [20, 95]]
_AROUND = predictions(box(5, 30, 40, 60), box(110, 60, 150, 110, "circle", 0.6, 1), box(60, 2, 80, 30))


def _exists(operator: str) -> dict[str, Any]:
    return group({"type": "UnaryStatement", "operand": dynamic("v"), "operator": {"type": operator}})


def _also(made: Case, **fields: Any) -> Case:
    """A case with more fields at the top of its definition."""
    return replace(made, definition={**made.definition, **fields})


def _of_kind(made: Case, name: str, kind: str) -> Case:
    """A case with another kind for an input."""
    inputs = [{**item, "kind": [kind]} if item["name"] == name else item for item in made.definition["inputs"]]
    return _also(made, inputs=inputs)


def _gated(name: str, operator: str) -> Case:
    gate = step("continue_if@v1", "gate", condition_statement=_exists(operator), evaluation_parameters={"v": "$steps.x.output"},
                next_steps=["$steps.s"])  # fmt: skip
    count = step("property_definition@v1", data=FOUND, operations=[op("SequenceLength")])
    return case(name, _SUREST, gate, count, out="$steps.s.output", found=[THREE, NONE])


def _replaced(name: str, **fields: Any) -> Case:
    new = step("detections_classes_replacement@v1", object_detection_predictions=FOUND,
               classification_predictions="$steps.says.output", **fields)  # fmt: skip
    return case(name, CROP, _HIGH, _IS_HIGH, _SAYS, new, image=BLOCKS, found=_TWO)


def _straight(anchor: str) -> Case:
    flat = step("perspective_correction@v1", images=IMAGE, predictions=FOUND, perspective_polygons=_QUAD,
                transformed_rect_width=100, transformed_rect_height=80,
                extend_perspective_polygon_by_detections_anchor=anchor)  # fmt: skip
    out = ("$steps.s.extended_transformed_rect_width", "$steps.s.extended_transformed_rect_height")
    return case(f"perspective around {anchor or 'nothing'}", flat, out=out, image=BLOCKS, found=_AROUND)


CASES = (
    case("a list of the run", _WIDE, _ALL_WIDTHS, out="$steps.all.output", image=[BLOCKS, RAMP]),
    case("a list of one image", _WIDE, _ALL_WIDTHS, out="$steps.all.output", image=BLOCKS),
    case("a list of the run in every row", _WIDE, _ALL_WIDTHS, out=("$steps.all.output", "$steps.w.output"),
         image=[BLOCKS, RAMP]),
    case(
        "a list of the run without what a gate held back",
        _WIDE,
        step("continue_if@v1", "gate", condition_statement=_IS_WIDE, evaluation_parameters={"w": "$steps.w.output"},
             next_steps=["$steps.v"]),
        step("property_definition@v1", "v", data=IMAGE, operations=WIDTH),
        step("dimension_collapse@v1", data="$steps.v.output"),
        out="$steps.s.output",
        image=[BLOCKS, RAMP, BLOCKS],
    ),
    case(
        "lists of lists",
        step("image_slicer@v1", "parts", image=IMAGE, slice_width=50, slice_height=50),
        _SLICE_WIDTHS,
        step("dimension_collapse@v1", "one", data="$steps.v.output"),
        step("dimension_collapse@v1", "two", data="$steps.one.output"),
        step("dimension_collapse@v1", "three", data="$steps.two.output"),
        out=("$steps.one.output", "$steps.two.output", "$steps.three.output"),
        image=[BLOCKS, RAMP],
    ),
    case(
        "a sum of the run",
        step("property_definition@v1", "l", data=FOUND, operations=[op("SequenceLength")]),
        step("dimension_collapse@v1", "all", data="$steps.l.output"),
        step("property_definition@v1", data="$steps.all.output", operations=[op("NumericSequenceAggregate", function="sum")]),
        out="$steps.s.output",
        found=[THREE, ONE],
    ),
    case(
        "slices of a picture of the run", _ALL_IMAGES, _POSTER, _SLICES, _SLICE_WIDTHS, out="$steps.v.output",
        image=[BLOCKS, RAMP],
    ),
    case(
        "slices of a picture of the run beside its images", _ALL_IMAGES, _POSTER, _SLICES, _SLICE_WIDTHS, _WIDE,
        out=("$steps.v.output", "$steps.w.output"), image=[BLOCKS, RAMP],
    ),
    case(
        "a list of the time", step("current_time@v1", "t"), step("dimension_collapse@v1", data="$steps.t.iso_string"),
        out="$steps.s.output",
    ),
    case("no value for a text", _SUREST, step("property_definition@v1", data="$steps.x.output", operations=[op("ToString")]),
         out=("$steps.s.output", "$steps.x.output"), found=[THREE, NONE]),
    case("no value for a template", _SUREST, step("string_template@v1", template="{v}", data={"v": "$steps.x.output"}),
         out="$steps.s.output", found=[THREE, NONE]),
    case("no value for a default", _SUREST, step("first_non_empty_or_default@v1", data=["$steps.x.output"], default="d"),
         out="$steps.s.output", found=[THREE, NONE]),
    case("no value for a list", _SUREST, step("dimension_collapse@v1", data="$steps.x.output"), out="$steps.s.output",
         found=[THREE, NONE, ONE]),
    case("no value for a table", _SUREST, step("csv_formatter@v1", columns_data={"n": "$steps.x.output", "k": "a"}),
         out="$steps.s.csv_content", found=[THREE, NONE, ONE]),
    _gated("no value for a gate that asks whether there is one", "Exists"),
    _gated("no value for a gate that asks whether there is none", "DoesNotExist"),
    case("a table of lists", step("csv_formatter@v1", columns_data={"n": FOUND, "k": "a"},
                                  columns_operations={"n": _CONFIDENCES}),
         out="$steps.s.csv_content", found=[THREE, NONE, ONE]),
    _replaced("names of crops that a gate held back"),
    _replaced("names of crops that a gate held back, or else", fallback_class_name="small", fallback_class_id=7),
    case(
        "a gate that closes later",
        _WIDE,
        step("continue_if@v1", "gate", condition_statement=_IS_WIDE, evaluation_parameters={"w": "$steps.w.output"},
             next_steps=["$steps.s"], stop_delay=1000),
        step("property_definition@v1", data=IMAGE, operations=WIDTH),
        out="$steps.s.output",
        image=[RAMP, BLOCKS, RAMP],
    ),
    case(
        "the number of a still image",
        step("property_definition@v1", data=IMAGE, operations=[op("ExtractFrameMetadata", property_name="frame_number")]),
        out="$steps.s.output",
        image=[BLOCKS, RAMP],
    ),
    *(
        _of_kind(
            case(f"boxes of {kind}", step("bounding_box_visualization@v1", image=IMAGE, predictions=FOUND),
                 out="$steps.s.image", image=BLOCKS, found=MASKS),
            "found",
            kind,
        )
        for kind in ("rle_instance_segmentation_prediction", "keypoint_detection_prediction")
    ),
    case("a literal text of JSON", step("json_parser@v1", raw_json='{"a": 1}', expected_fields=["a"]), out="$steps.s.a"),
    *(_straight(anchor) for anchor in ("", "ALL", "CENTER", "BOTTOM_CENTER", "TOP_LEFT")),
    _also(case("fields at the top that nobody knows", _WIDE, out="$steps.w.output", image=BLOCKS), metadata={"a": 1}, more=[2]),
    case(
        "fields of a query that nobody knows",
        step("property_definition@v1", data=IMAGE, operations=[{**WIDTH[0], "note": 1}], remark="a"),
        out="$steps.s.output",
        image=BLOCKS,
    ),
)  # fmt: skip
