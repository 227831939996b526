"""Texts, values and gates."""

from __future__ import annotations

from tests.compat.inputs import box, predictions
from tests.compat.writing import (
    BLOCKS,
    CROP,
    FOUND,
    IMAGE,
    NONE,
    ONE,
    RAMP,
    THREE,
    WIDTH,
    case,
    dynamic,
    group,
    op,
    statement,
    step,
)

CASES = (
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
        "json_parser between sentences",
        step("json_parser@v1", raw_json="$inputs.text", expected_fields=["a"]),
        text='It is {"a": 1}, I think.',
    ),
    case(
        "json_parser of Markdown",
        step("json_parser@v1", raw_json="$inputs.text", expected_fields=["a"]),
        text='```json\n{"a": [1, 2]}\n```',
    ),
)
