"""Definitions for both runtimes, two or more per block, with nested batches, gates and empties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.compat.inputs import box, outlined, predictions

BLOCKS, NOISE, RAMP = {"$picture": "blocks 160x120"}, {"$picture": "noise 64x48"}, {"$picture": "ramp 100x80"}
THREE = predictions(box(20, 20, 46, 50), box(60, 40, 86, 70, "circle", 0.6, 1), box(100, 60, 126, 90, "star", 0.3))
NONE = predictions()
ONE = predictions(box(30, 30, 50, 60, "square", 0.75, 2))
MASKS = predictions(outlined((20, 20), (50, 20), (50, 50), (20, 50)),
                    outlined((70, 40), (90, 70), (60, 75), name="circle", confidence=0.6, class_id=1))  # fmt: skip
OVERLAPPING = predictions(box(20, 20, 60, 60, "star", 0.9), box(24, 22, 62, 64, "star", 0.7),
                          box(100, 30, 120, 60, "star", 0.5), box(22, 24, 64, 62, "circle", 0.8, 1))  # fmt: skip
TEXTS = predictions(box(10, 10, 40, 22, "HELLO"), box(50, 11, 90, 23, "BIG"), box(12, 40, 60, 52, "WORLD"))


@dataclass(frozen=True)
class Case:
    """A definition, and the inputs of its runs one after the other.

    Attributes:
        name: what it is about.
        definition: for both runtimes.
        runs: the inputs of each run; what blocks remember lasts from one to the next.
        exact: whether images must be equal in every pixel; the runtimes may have other versions of OpenCV and supervision.
    """

    name: str
    definition: dict[str, Any]
    runs: tuple[dict[str, Any], ...]
    exact: bool = True

    def to_json(self) -> dict[str, Any]:
        """For the other environment."""
        return {"name": self.name, "definition": self.definition, "runs": list(self.runs)}


def step(type_: str, name: str = "s", **fields: Any) -> dict[str, Any]:
    """A step with a name of the other runtime."""
    return {"type": f"roboflow_core/{type_}", "name": name, **fields}


def case(
    name: str, *steps: dict[str, Any], out: str | tuple[str, ...] = "$steps.s.*", own: bool = False, exact: bool = True,
    **inputs: Any,
) -> Case:  # fmt: skip
    """A case whose inputs are declared by what they are."""
    outs = (out,) if isinstance(out, str) else out
    outputs = [{"type": "JsonField", "name": f"o{place}", "selector": selector} for place, selector in enumerate(outs)]
    if own:
        outputs = [{**output, "coordinates_system": "own"} for output in outputs]
    declared = [declare(key, value) for key, value in inputs.items()]
    return Case(name, {"version": "1.3.0", "inputs": declared, "steps": list(steps), "outputs": outputs}, (inputs,), exact)


def declare(name: str, value: Any) -> dict[str, Any]:
    """The input that a value is for."""
    first = value
    while isinstance(first, list) and first:
        first = first[0]
    if isinstance(first, dict) and "$picture" in first:
        return {"type": "WorkflowImage", "name": name}
    if isinstance(first, dict) and "predictions" in first:
        masks = any(
            "points" in found for one in (value if isinstance(value, list) else [value]) for found in one["predictions"]
        )
        kind = "instance_segmentation_prediction" if masks else "object_detection_prediction"
        return {"type": "WorkflowBatchInput", "name": name, "kind": [kind]}
    return {"type": "WorkflowParameter", "name": name}


def statement(left: Any, comparator: str, right: Any, *, negate: bool = False) -> dict[str, Any]:
    """A binary statement."""
    return {"type": "BinaryStatement", "left_operand": left, "comparator": {"type": comparator},
            "right_operand": {"type": "StaticOperand", "value": right}, "negate": negate}  # fmt: skip


def dynamic(name: str = "_", *operations: dict[str, Any]) -> dict[str, Any]:
    """An operand by name."""
    return {"type": "DynamicOperand", "operand_name": name, "operations": list(operations)}


def group(*statements: Any, operator: str = "and") -> dict[str, Any]:
    """Statements joined."""
    return {"type": "StatementGroup", "operator": operator, "statements": list(statements)}


def detection(name: str) -> dict[str, Any]:
    """The operation that reads a property of one detection."""
    return {"type": "ExtractDetectionProperty", "property_name": name}


IMAGE, FOUND = "$inputs.image", "$inputs.found"
CROP = step("dynamic_crop@v1", "crop", images=IMAGE, predictions=FOUND)
WIDTH = [{"type": "ExtractImageProperty", "property_name": "width"}]


def keep(*statements: Any, operator: str = "and") -> list[dict[str, Any]]:
    """Operations that keep detections."""
    return [{"type": "DetectionsFilter", "filter_operation": group(*statements, operator=operator)}]


def query(name: str, operations: list[dict[str, Any]], value: Any) -> Case:
    """Operations on one value."""
    result = {"type": "DynamicCaseResult", "parameter_name": "v", "operations": operations}
    always = {"type": "UnaryStatement", "operand": dynamic("v"), "operator": {"type": "Exists"}}
    cases = [{"type": "CaseDefinition", "condition": group(always), "result": result}]
    switch = {"type": "CasesDefinition", "cases": cases, "default": {"type": "StaticCaseResult", "value": None}}
    return case(f"query {name}", step("expression@v1", data={"v": "$inputs.value"}, switch=switch), out="$steps.s.output",
                value=value)  # fmt: skip


def op(type_: str, **fields: Any) -> dict[str, Any]:
    """One operation."""
    return {"type": type_, **fields}


def condition(name: str, statement_: Any, value: Any) -> Case:
    """A condition as an expression: which of two values."""
    result = [
        {"type": "CaseDefinition", "condition": group(statement_), "result": {"type": "StaticCaseResult", "value": "yes"}}
    ]
    switch = {"type": "CasesDefinition", "cases": result, "default": {"type": "StaticCaseResult", "value": "no"}}
    return case(f"condition {name}", step("expression@v1", data={"v": "$inputs.value"}, switch=switch), out="$steps.s.output",
                value=value)  # fmt: skip


CROPS = (
    case("dynamic_crop", CROP, out="$steps.crop.crops", image=BLOCKS, found=THREE),
    case("dynamic_crop of none", CROP, out="$steps.crop.crops", image=BLOCKS, found=NONE),
    case("dynamic_crop of a batch", CROP, out="$steps.crop.crops", image=[BLOCKS, RAMP, BLOCKS], found=[THREE, ONE, NONE]),
    case(
        "dynamic_crop with masks",
        step("dynamic_crop@v1", images=IMAGE, predictions=FOUND, mask_opacity=1.0, background_color="(10, 20, 30)"),
        out="$steps.s.crops",
        image=BLOCKS,
        found=MASKS,
    ),
    case("dynamic_crop at the edge", CROP, out="$steps.crop.crops", image=BLOCKS, found=predictions(box(-20, -10, 30, 40))),
    case(
        "absolute_static_crop",
        step("absolute_static_crop@v1", images=IMAGE, x_center=60, y_center=50, width=40, height=30),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "absolute_static_crop at the edge",
        step("absolute_static_crop@v1", images=IMAGE, x_center=150, y_center=110, width=40, height=40),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "absolute_static_crop by parameter",
        step("absolute_static_crop@v1", images=IMAGE, x_center="$inputs.x", y_center=50, width=41, height=31),
        out="$steps.s.crops",
        image=[BLOCKS, RAMP],
        x=33,
    ),
    case(
        "relative_static_crop",
        step("relative_statoic_crop@v1", images=IMAGE, x_center=0.5, y_center=0.5, width=0.3, height=0.5),
        out="$steps.s.crops",
        image=[BLOCKS, NOISE],
    ),
    case(
        "relative_static_crop at the edge",
        step("relative_statoic_crop@v1", images=IMAGE, x_center=0.95, y_center=0.1, width=0.4, height=0.6),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "image_slicer v1",
        step("image_slicer@v1", image=IMAGE, slice_width=64, slice_height=50),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v1 without overlap",
        step(
            "image_slicer@v1", image=IMAGE, slice_width=80, slice_height=60, overlap_ratio_width=0.0, overlap_ratio_height=0.0
        ),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v2",
        step("image_slicer@v2", image=IMAGE, slice_width=64, slice_height=50),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v2 of a batch",
        step("image_slicer@v2", image=IMAGE, slice_width=40, slice_height=40),
        out="$steps.s.slices",
        image=[NOISE, RAMP],
    ),
    case(
        "slices and stitch",
        step(
            "image_slicer@v2",
            "cut",
            image=IMAGE,
            slice_width=80,
            slice_height=60,
            overlap_ratio_width=0.0,
            overlap_ratio_height=0.0,
        ),
        step("property_definition@v1", "w", data="$steps.cut.slices", operations=WIDTH),
        out="$steps.w.output",
        image=BLOCKS,
    ),
    case(
        "properties of crops",
        CROP,
        step("property_definition@v1", data="$steps.crop.crops", operations=WIDTH),
        out="$steps.s.output",
        image=[BLOCKS, BLOCKS],
        found=[THREE, NONE],
    ),
    case(
        "collapse of crops",
        CROP,
        step("property_definition@v1", "w", data="$steps.crop.crops", operations=WIDTH),
        step("dimension_collapse@v1", data="$steps.w.output"),
        out="$steps.s.output",
        image=[BLOCKS, BLOCKS],
        found=[THREE, ONE],
    ),
    case(
        "crops of crops",
        CROP,
        step("absolute_static_crop@v1", images="$steps.crop.crops", x_center=8, y_center=8, width=10, height=10),
        out="$steps.s.crops",
        image=BLOCKS,
        found=THREE,
    ),
    case(
        "an image beside its crops",
        CROP,
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("string_template@v1", template="{whole}", data={"whole": "$steps.w.output"}),
        out=("$steps.s.output", "$steps.crop.crops"),
        image=BLOCKS,
        found=ONE,
    ),
)

DETECTIONS = (
    case(
        "detections_filter by confidence",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("confidence")), "(Number) >=", 0.5)),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter by class",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("class_name")), "in (Sequence)", ["star"])),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter or",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                statement(dynamic("_", detection("class_name")), "==", "circle"),
                statement(dynamic("_", detection("confidence")), "(Number) >", 0.8),
                operator="or",
            ),
        ),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detections_filter negated",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("x_min")), "(Number) <", 50, negate=True)),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter by parameter",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                {
                    "type": "BinaryStatement",
                    "left_operand": dynamic("_", detection("size")),
                    "comparator": {"type": "(Number) >"},
                    "right_operand": dynamic("least"),
                }
            ),
            operations_parameters={"least": "$inputs.least"},
        ),
        out="$steps.s.predictions",
        found=THREE,
        least=700,
    ),
    case(
        "detections_filter with masks",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("class_name")), "!=", "star")),
        ),
        out="$steps.s.predictions",
        found=MASKS,
    ),
    case(
        "detections_filter in a zone",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                statement(dynamic("_", detection("center")), "(Detection) in zone", [[0, 0], [90, 0], [90, 120], [0, 120]])
            ),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "per_class_confidence_filter",
        step("per_class_confidence_filter@v1", predictions=FOUND, class_thresholds={"star": 0.5, "circle": 0.7}),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "per_class_confidence_filter with a default",
        step("per_class_confidence_filter@v1", predictions=FOUND, class_thresholds={"star": 0.5}, default_threshold=0.65),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detection_offset",
        step("detection_offset@v1", predictions=FOUND, offset_width=10, offset_height=6),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detection_offset beyond the image",
        step("detection_offset@v1", predictions=FOUND, offset_width=80, offset_height=80),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detection_offset in percent",
        step("detection_offset@v1", predictions=FOUND, offset_width=20, offset_height=50, units="Percent (%)"),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("SortDetections", mode="x_min", ascending=False), op("DetectionsShift", shift_x=5, shift_y=-3)],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation renames",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("DetectionsRename", class_map={"star": "sun"}, strict=False)],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation renames strictly",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("DetectionsRename", class_map={"star": "sun", "circle": "moon"})],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation offsets",
        step("detections_transformation@v1", predictions=FOUND, operations=[op("DetectionsOffset", offset_x=10, offset_y=4)]),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation selects",
        step("detections_transformation@v1", predictions=FOUND, operations=[op("DetectionsSelection", mode="right_most")]),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detections_combine",
        step("detections_combine@v1", prediction_one=FOUND, prediction_two="$inputs.other"),
        out="$steps.s.predictions",
        found=THREE,
        other=ONE,
    ),
    case(
        "detections_combine with none",
        step("detections_combine@v1", prediction_one=FOUND, prediction_two="$inputs.other"),
        out="$steps.s.predictions",
        found=THREE,
        other=NONE,
    ),
    case("detections_merge", step("detections_merge@v1", predictions=FOUND), out="$steps.s.predictions", found=THREE),
    case(
        "detections_merge of a class",
        step("detections_merge@v1", predictions=FOUND, class_name="all"),
        out="$steps.s.predictions",
        found=[THREE, ONE],
    ),
    case("detections_merge of none", step("detections_merge@v1", predictions=FOUND), out="$steps.s.predictions", found=NONE),
)

VALUES = (
    case(
        "string_template",
        step("string_template@v1", template="{n:03d} of {total} {{{n}}}", data={"n": "$inputs.n", "total": "$inputs.total"}),
        out="$steps.s.output",
        n=2,
        total="five",
    ),
    case(
        "property of detections",
        step("property_definition@v1", data=FOUND, operations=[op("DetectionsPropertyExtract", property_name="class_name")]),
        out="$steps.s.output",
        found=[THREE, NONE],
    ),
    case(
        "count of detections",
        step("property_definition@v1", data=FOUND, operations=[op("SequenceLength")]),
        out="$steps.s.output",
        found=[THREE, NONE, ONE],
    ),
    case(
        "first_non_empty",
        step(
            "continue_if@v1",
            "gate",
            condition_statement=group(statement(dynamic("n"), "(Number) >", 3)),
            evaluation_parameters={"n": "$inputs.n"},
            next_steps=["$steps.w"],
        ),
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("property_definition@v1", "h", data=IMAGE, operations=[op("ExtractImageProperty", property_name="height")]),
        step("first_non_empty_or_default@v1", data=["$steps.w.output", "$steps.h.output"], default=-1),
        out="$steps.s.output",
        image=[BLOCKS, RAMP],
        n=2,
    ),
    case(
        "first_non_empty default",
        step(
            "continue_if@v1",
            "gate",
            condition_statement=group(statement(dynamic("n"), "(Number) >", 3)),
            evaluation_parameters={"n": "$inputs.n"},
            next_steps=["$steps.w"],
        ),
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("first_non_empty_or_default@v1", data=["$steps.w.output"], default="nothing"),
        out="$steps.s.output",
        image=BLOCKS,
        n=2,
    ),
    case(
        "continue_if by image",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step(
            "continue_if@v1",
            "gate",
            condition_statement=group(statement(dynamic("w"), "(Number) >", 120)),
            evaluation_parameters={"w": "$steps.w.output"},
            next_steps=["$steps.s"],
        ),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, RAMP, BLOCKS],
    ),
    case(
        "continue_if by crop",
        CROP,
        step(
            "property_definition@v1",
            "h",
            data="$steps.crop.crops",
            operations=[op("ExtractImageProperty", property_name="height")],
        ),
        step(
            "continue_if@v1",
            "gate",
            condition_statement=group(statement(dynamic("h"), "(Number) >=", 30)),
            evaluation_parameters={"h": "$steps.h.output"},
            next_steps=["$steps.s"],
        ),
        step("property_definition@v1", data="$steps.crop.crops", operations=WIDTH),
        out="$steps.s.output",
        image=[BLOCKS, BLOCKS],
        found=[THREE, predictions(box(10, 10, 40, 30), box(50, 50, 70, 90))],
    ),
    case(
        "switch_case",
        step("switch_case@v1", "gate", value="$inputs.kind", cases={"a": "$steps.w"}, default_next_steps=["$steps.h"]),
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("property_definition@v1", "h", data=IMAGE, operations=[op("ExtractImageProperty", property_name="height")]),
        out=("$steps.w.output", "$steps.h.output"),
        image=BLOCKS,
        kind="a",
    ),
    case(
        "switch_case default",
        step("switch_case@v1", "gate", value="$inputs.kind", cases={"a": "$steps.w"}, default_next_steps=["$steps.h"]),
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("property_definition@v1", "h", data=IMAGE, operations=[op("ExtractImageProperty", property_name="height")]),
        out=("$steps.w.output", "$steps.h.output"),
        image=BLOCKS,
        kind="z",
    ),
    case(
        "expression",
        step(
            "expression@v1",
            data={"n": "$inputs.n"},
            switch={
                "type": "CasesDefinition",
                "cases": [
                    {
                        "type": "CaseDefinition",
                        "condition": group(statement(dynamic("n"), "(Number) >", 5)),
                        "result": {
                            "type": "DynamicCaseResult",
                            "parameter_name": "n",
                            "operations": [op("Multiply", other=10)],
                        },
                    }
                ],
                "default": {"type": "StaticCaseResult", "value": "small"},
            },
        ),
        out="$steps.s.output",
        n=7,
    ),
    case(
        "csv_formatter",
        step("csv_formatter@v1", columns_data={"n": "$inputs.n", "word": "star"}),
        out="$steps.s.csv_content",
        n=3,
    ),
    case("json_parser", step("json_parser@v1", raw_json="$inputs.text", expected_fields=["a", "b"]), text='{"a": 1, "c": 2}'),
    case("json_parser of nonsense", step("json_parser@v1", raw_json="$inputs.text", expected_fields=["a"]), text="no json"),
    case(
        "json_parser of Markdown",
        step("json_parser@v1", raw_json="$inputs.text", expected_fields=["a"]),
        text='```json\n{"a": [1, 2]}\n```',
    ),
)

PIXELS = (
    case("convert_grayscale", step("convert_grayscale@v1", image=IMAGE), out="$steps.s.image", image=[BLOCKS, NOISE]),
    *(
        case(
            f"image_blur {kind}",
            step("image_blur@v1", image=IMAGE, blur_type=kind, kernel_size=5),
            out="$steps.s.image",
            image=NOISE,
        )
        for kind in ("average", "gaussian", "median", "bilateral")
    ),
    *(
        case(
            f"threshold {kind}",
            step("threshold@v1", image=IMAGE, threshold_type=kind, thresh_value=100, max_value=200),
            out="$steps.s.image",
            image=RAMP,
        )
        for kind in ("binary", "binary_inv", "trunc", "tozero", "tozero_inv")
    ),
    *(
        case(
            f"threshold {kind} of grey",
            step("convert_grayscale@v1", "grey", image=IMAGE),
            step("threshold@v1", image="$steps.grey.image", threshold_type=kind, thresh_value=100, max_value=200),
            out="$steps.s.image",
            image=RAMP,
        )
        for kind in ("otsu", "adaptive_mean", "adaptive_gaussian")
    ),
    case(
        "preprocessing resizes",
        step("image_preprocessing@v1", image=IMAGE, task_type="resize", width=80, height=40),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing rotates",
        step("image_preprocessing@v1", image=IMAGE, task_type="rotate", rotation_degrees=90),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing rotates a little",
        step("image_preprocessing@v1", image=IMAGE, task_type="rotate", rotation_degrees=30),
        out="$steps.s.image",
        exact=False,
        image=BLOCKS,
    ),
    case(
        "preprocessing flips",
        step("image_preprocessing@v1", image=IMAGE, task_type="flip", flip_type="horizontal"),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing flips both",
        step("image_preprocessing@v1", image=IMAGE, task_type="flip", flip_type="both"),
        out="$steps.s.image",
        image=NOISE,
    ),
)

QUERIES = (
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

CLASSICAL = (
    case(
        "contours",
        step("threshold@v1", "ink", image=IMAGE, threshold_type="binary_inv", thresh_value=210, max_value=255),
        step("contours_detection@v1", image="$steps.ink.image"),
        out=("$steps.s.number_contours", "$steps.s.image", "$steps.s.contours"),
        image=BLOCKS,
    ),
    case(
        "contours of nothing",
        step("threshold@v1", "ink", image=IMAGE, threshold_type="binary", thresh_value=250, max_value=255),
        step("contours_detection@v1", image="$steps.ink.image", line_thickness=1),
        out=("$steps.s.number_contours", "$steps.s.image"),
        image=BLOCKS,
    ),
    *(
        case(
            f"morphology v1 {operation}",
            step("morphological_transformation@v1", image=IMAGE, operation=operation, kernel_size=3),
            out="$steps.s.image",
            image=BLOCKS,
        )
        for operation in ("Erosion", "Dilation", "Opening", "Closing", "Gradient", "Top Hat", "Black Hat")
    ),
    *(
        case(
            f"morphology v2 {operation}",
            step("morphological_transformation@v2", image=IMAGE, operation=operation, kernel_size=4),
            out="$steps.s.image",
            image=NOISE,
        )
        for operation in ("Erosion", "Opening then Closing", "Gradient")
    ),
    case("morphology v1 by default", step("morphological_transformation@v1", image=IMAGE), out="$steps.s.image", image=NOISE),
    case("morphology v2 by default", step("morphological_transformation@v2", image=IMAGE), out="$steps.s.image", image=NOISE),
    case(
        "contrast stretching",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Contrast Stretching"),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "histogram equalization",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Histogram Equalization"),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "adaptive equalization",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Adaptive Equalization"),
        out="$steps.s.image",
        image=RAMP,
        exact=False,
    ),
    case("contrast enhancement", step("contrast_enhancement@v1", image=IMAGE), out="$steps.s.image", image=BLOCKS),
    case(
        "contrast enhancement with all",
        step("contrast_enhancement@v1", image=IMAGE, clip_limit=5, contrast_multiplier=1.4, normalize_brightness=True),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "contrast enhancement of grey",
        step("convert_grayscale@v1", "grey", image=IMAGE),
        step("contrast_enhancement@v1", image="$steps.grey.image", clip_limit=2),
        out="$steps.s.image",
        image=RAMP,
    ),
    case("dominant color", step("dominant_color@v1", image=IMAGE), out="$steps.s.rgb_color", image=BLOCKS),
    case(
        "pixel color count",
        step("pixel_color_count@v1", image=IMAGE, target_color="#c82828", tolerance=5),
        out="$steps.s.matching_pixels_count",
        image=[BLOCKS, RAMP],
    ),
    case(
        "pixel color count by numbers",
        step("pixel_color_count@v1", image=IMAGE, target_color="(60, 180, 60)"),
        out="$steps.s.matching_pixels_count",
        image=BLOCKS,
    ),
    case(
        "template matching",
        step("absolute_static_crop@v1", "cut", images=IMAGE, x_center=30, y_center=30, width=40, height=40),
        step("template_matching@v1", image=IMAGE, template="$steps.cut.crops", matching_threshold=0.99),
        out=("$steps.s.predictions", "$steps.s.number_of_matches"),
        image=BLOCKS,
    ),
    case(
        "template matching without nms",
        step("absolute_static_crop@v1", "cut", images=IMAGE, x_center=30, y_center=30, width=40, height=40),
        step("template_matching@v1", image=IMAGE, template="$steps.cut.crops", matching_threshold=0.9, apply_nms=False),
        out="$steps.s.number_of_matches",
        image=BLOCKS,
    ),
)

TIMES = (
    case(
        "current time",
        step("current_time@v1"),
        step("property_definition@v1", "iso", data="$steps.s.timestamp", operations=[op("TimestampToISOFormat")]),
        out=("$steps.s.iso_string", "$steps.iso.output"),
    ),
    case(
        "delta filter",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("delta_filter@v1", "gate", image=IMAGE, value="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, BLOCKS, RAMP, RAMP, BLOCKS],
    ),
    case(
        "rate limiter",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("rate_limiter@v1", "gate", cooldown_seconds=60, depends_on="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, RAMP, BLOCKS],
    ),
    case(
        "rate limiter without a pause",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("rate_limiter@v1", "gate", cooldown_seconds=0, depends_on="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, RAMP],
    ),
)

CASES = (*CLASSICAL, *TIMES, *CROPS, *DETECTIONS, *VALUES, *PIXELS, *QUERIES)
