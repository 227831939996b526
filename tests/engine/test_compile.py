"""What the compiler says about definitions: every problem at once, each with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import workflow_engine
from tests.engine.toys import problems_of, toy_registry, toy_workflow
from workflow_engine import WorkflowDefinitionError


def problems(steps: list[dict[str, Any]], named: dict[str, str] | None = None, **document: Any) -> list[str]:
    definition = {
        "version": "1.0",
        "inputs": [
            {"type": "WorkflowImage", "name": "image"},
            {"type": "WorkflowBatchInput", "name": "x"},
            {"type": "WorkflowParameter", "name": "p"},
        ],
        "steps": [{"name": f"s{index}", **step} for index, step in enumerate(steps)],
        "outputs": [{"type": "JsonField", "name": n, "selector": s} for n, s in (named or {}).items()],
        **document,
    }
    with pytest.raises(WorkflowDefinitionError) as error:
        workflow_engine.compile(definition, registry=toy_registry())
    return problems_of(error)


def test_all_problems_are_told_at_once_with_their_places() -> None:
    told = problems(
        [
            {"type": "toy/splt@v1", "items": "$inputs.x"},
            {"type": "toy/add@v1", "a": "$steps.nobody.item", "b": 101, "c": 3},
            {"type": "toy/add@v1", "a": "$inputs.z"},
            {"type": "toy/width@v1", "image": "$steps.s4.widht"},
            {"type": "toy/width@v1", "image": "$inputs.image"},
        ],
        {"o": "$steps.s4.nothing"},
    )
    places = [line.split(":")[0] for line in told]
    assert places == ["steps[0].type", "steps[1].b", "steps[1].c", "steps[1].a", "steps[2].a", "steps[3].image",
                      "outputs[0].selector"]  # fmt: skip
    assert "did you mean `toy/split@v1`" in told[0]
    assert "did you mean `width`?" in told[5]


def test_a_wrong_field_does_not_hide_what_is_wrong_behind_its_step() -> None:
    told = problems(
        [
            {"type": "toy/width@v1", "image": "$inputs.image", "wiht": 1},
            {"type": "toy/width@v1", "image": "$steps.s0.width"},
            {"type": "toy/add@v1", "a": "$steps.s0.hight"},
            {"type": "toy/add@v1", "a": "$steps.s0.width"},
        ],
        {"o": "$steps.s0.widht"},
    )
    places = [line.split(":")[0] for line in told]
    assert places == ["steps[0].wiht", "steps[1].image", "steps[2].a", "outputs[0].selector"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"type": "toy/add@v1", "a": 1, "bb": 2}], ["steps[0].bb", "unknown field", "did you mean `b`?"]),
        ([{"type": "toy/add@v1"}], ["steps[0].a", "required and missing"]),
        ([{"type": "toy/add@v1", "a": "one"}], ["steps[0].a", "integer", "got 'one'"]),
        ([{"type": "toy/add@v1", "a": 1, "b": 101}], ["steps[0].b", "less than or equal to 100"]),
        ([{"type": "toy/width@v1", "image": "photo.jpg"}], ["steps[0].image", "a reference is needed", "photo.jpg"]),
        ([{"type": "toy/width@v1", "image": "$inputs.image.x"}], ["steps[0].image", "not a reference"]),
        ([{"type": "toy/width@v1", "image": "$inputs.imag"}], ["steps[0].image", "no input `imag`", "`image`?"]),
        ([{"type": "toy/echo@v1", "value": 1}, {"type": "toy/width@v1", "image": "$steps.s0"}],
         ["steps[1].image", "names a whole step", "`value`"]),
        ([{"type": "toy/echo@v1", "value": {"deep": ["$inputs.x"]}}], ["steps[0].value.deep[0]", "one level deep"]),
        ([{"type": "toy/gate@v1", "value": 1, "next_steps": ["$steps.later"]}], ["steps[0].next_steps[0]", "later"]),
        ([{"type": "toy/gate@v1", "value": 1, "next_steps": ["later"]}], ["steps[0].next_steps[0]", "a step is needed"]),
        ([{"type": "toy/echo@v1", "value": "$steps.s0.value"}], ["steps[0]", "cycle", "s0 -> s0"]),
        ([{"type": "toy/join@v1", "items": "$inputs.p"}], ["steps[0]", "closes a dimension", "one value per run"]),
        ([{"type": "toy/heads@v1", "heads": "$inputs.x", "items": "$inputs.x"}], ["steps[0].heads", "as deep as `items`"]),
        ([{"type": "toy/split@v1", "items": "$inputs.x"},
          {"type": "toy/heads@v1", "heads": "$steps.s0.item", "items": "$inputs.x"}],
         ["steps[1].heads", "as deep as `items`"]),
        ([{"type": "toy/width@v1", "image": "$inputs.image", "texts": {"a": "$inputs.image"}}],
         ["steps[0].texts.a", "`image`", "`string` would fit"]),
        ([{"type": "toy/echo@v1", "value": "$steps.s0.*"}], ["steps[0].value"]),
        ([{"name": "a b", "type": "toy/echo@v1", "value": 1}], ["steps[0].name", "'a b'", "letters"]),
        ([{"type": "toy/echo@v1", "value": 1}, {"name": "s0", "type": "toy/echo@v1", "value": 1}],
         ["steps[1].name", "`s0`", "steps[0]"]),
    ],
)  # fmt: skip
def test_a_wrong_step_is_told_by_place_finding_and_remedy(steps: list[dict[str, Any]], said: list[str]) -> None:
    told = problems(steps)
    assert any(all(word in line for word in said) for line in told), told


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"version": "2.0"}, ["version", "2.0", '"1.0" would fit']),
        ({"descripton": "a"}, ["descripton", "unknown field", "did you mean `description`?"]),
        ({"outputs": {"a": 1}}, ["outputs", "an object; a list of objects would fit"]),
        ({"outputs": [{"type": "JsonField", "name": "o", "selector": "steps.a"}]}, ["outputs[0].selector", "steps.a"]),
        ({"inputs": [{"type": "WorkflowImag", "name": "i"}]}, ["inputs[0].type", "did you mean `WorkflowImage`"]),
        ({"inputs": [{"type": "WorkflowImage", "name": "i", "size": 3}]}, ["inputs[0].size", "unknown field"]),
        ({"inputs": [{"type": "WorkflowBatchInput", "name": "i", "kind": ["imag"]}]}, ["inputs[0].kind[0]", "`image`?"]),
        ({"inputs": [{"type": "WorkflowImage", "name": "i"}, {"type": "WorkflowImage", "name": "i"}]},
         ["inputs[1].name", "`i`", "inputs[0]"]),
        ({"dynamic_blocks_definitions": [{"code": "x"}]}, ["dynamic_blocks_definitions", "never executed"]),
    ],
)  # fmt: skip
def test_a_wrong_document_is_told_by_place_finding_and_remedy(document: dict[str, Any], said: list[str]) -> None:
    told = problems([], **document)
    assert any(all(word in line for word in said) for line in told), told


def test_a_cycle_is_printed_in_order() -> None:
    steps = [{"type": "toy/echo@v1", "value": f"$steps.{before}.value"} for before in ("s2", "s0", "s1")]
    assert problems(steps) == ["steps[0]: a cycle: s0 -> s1 -> s2 -> s0; no step of it can start before itself"]


def test_a_gate_in_front_of_its_own_input_is_a_cycle() -> None:
    steps = [{"type": "toy/gate@v1", "value": "$steps.s1.value", "next_steps": ["$steps.s1"]},
             {"type": "toy/echo@v1", "value": "$inputs.x"}]  # fmt: skip
    assert "cycle: s0 -> s1 -> s0" in problems(steps)[0]


def test_values_of_two_batches_do_not_mix() -> None:
    steps = [
        {"type": "toy/split@v1", "items": "$inputs.x"},
        {"type": "toy/split@v1", "items": "$inputs.x"},
        {"type": "toy/add@v1", "a": "$steps.s0.place", "b": "$steps.s1.place"},
    ]
    (told,) = problems(steps)
    assert told.startswith("steps[2]:") and "`s0`" in told and "`s1`" in told


def test_a_default_that_does_not_fit_where_it_is_bound_is_told_before_anything_runs() -> None:
    inputs = [{"type": "WorkflowParameter", "name": "p", "default_value": 200}]
    told = problems([{"type": "toy/add@v1", "a": 1, "b": "$inputs.p"}], inputs=inputs)
    assert told == ["inputs[0].default_value: 200 does not fit steps[0].b: input should be less than or equal to 100"]


def test_fields_of_another_runtimes_steps_that_are_unknown_here_only_warn() -> None:
    definition = {"version": "1.0", "inputs": [{"type": "WorkflowParameter", "name": "a"}], "outputs": [], "steps": [
        {"type": "roboflow_core/string_template@v1", "name": "t", "template": "{x}", "data": {"x": "$inputs.a"}, "colour": 1}
    ]}  # fmt: skip
    warnings = [str(warning) for warning in workflow_engine.compile(definition).warnings]
    assert warnings == ["steps[0].colour: unknown field, ignored"]


def test_definitions_come_from_dicts_text_and_files(tmp_path: Path) -> None:
    definition = {"version": "1.0", "$schema": "workflow.schema.json", "steps": [], "outputs": []}
    path = tmp_path / "empty.json"
    path.write_text(json.dumps(definition))
    for source in (definition, json.dumps(definition), path, str(path)):
        assert workflow_engine.compile(source).run().outputs == [{}]


@pytest.mark.parametrize(
    ("source", "said"),
    [("{oops", "line 1 column 2"), ("missing.json", "missing.json"), ("[]", "a definition is a JSON object")],
)
def test_text_that_is_no_definition_is_told(source: str, said: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=said):
        workflow_engine.compile(source)


def test_compiling_leaves_the_definition_alone() -> None:
    steps = [{"type": "toy/echo@v1", "value": {"a": 1, "b": [1]}}]
    before = json.dumps(steps)
    toy_workflow(steps, {})
    assert json.dumps(steps) == before


def test_a_type_alias_names_the_same_block() -> None:
    workflow = toy_workflow([{"type": "toy/plus@v1", "a": 1, "b": 2}], {"o": "$steps.s0.sum"})
    assert workflow.run(x=[1]).outputs == [{"o": 3}]


def test_fields_that_nobody_knows_are_warnings_at_any_depth_of_a_step_of_another_runtime() -> None:
    filter_ = {"type": "DetectionsFilter", "note": 1, "filter_operation": {
        "type": "StatementGroup", "name": "large", "statements": [{
            "type": "BinaryStatement", "colour": "red", "left_operand": {"type": "DynamicOperand", "x": 1, "operations": [
                {"type": "ExtractDetectionProperty", "property_name": "size"}]},
            "comparator": {"type": "(Number) >"}, "right_operand": {"type": "StaticOperand", "value": 5}}]}}  # fmt: skip
    step = {"type": "roboflow_core/detections_transformation@v1", "name": "s", "predictions": "$inputs.found",
            "operations": [filter_]}  # fmt: skip
    definition = {
        "version": "1.0", "metadata": {"author": "a"}, "steps": [step], "outputs": [],
        "inputs": [{"type": "WorkflowBatchInput", "name": "found", "kind": ["object_detection_prediction"]}],
    }  # fmt: skip
    told = {str(warning) for warning in workflow_engine.compile(definition).warnings}
    inside = "steps[0].operations[0]"
    statement = f"{inside}.filter_operation.statements[0]"
    places = ("metadata", f"{inside}.note", f"{inside}.filter_operation.name", f"{statement}.colour",
              f"{statement}.left_operand.x")  # fmt: skip
    assert told == {f"{place}: unknown field, ignored" for place in places}
    assert step["operations"][0]["note"] == 1
    step["type"] = "vision/detections_transformation@v1"
    with pytest.raises(WorkflowDefinitionError, match=r"operations\[0\].*unknown field"):
        workflow_engine.compile(definition)


def test_an_old_name_of_another_runtimes_block_is_one_of_its_names() -> None:
    step = {"type": "DetectionOffset", "name": "s", "predictions": "$inputs.found", "offset_width": 2, "offset_height": 2,
            "image_metadata": "$inputs.found", "prediction_type": "$inputs.found"}  # fmt: skip
    definition = {
        "version": "1.0", "steps": [step], "outputs": [],
        "inputs": [{"type": "WorkflowBatchInput", "name": "found", "kind": ["object_detection_prediction"]}],
    }  # fmt: skip
    told = sorted(warning.place for warning in workflow_engine.compile(definition).warnings)
    assert told == ["steps[0].image_metadata", "steps[0].prediction_type"]


def test_a_null_in_a_step_of_another_runtime_stands_for_the_default() -> None:
    step = {"type": "roboflow_core/byte_tracker@v3", "name": "s", "image": "$inputs.image", "detections": "$inputs.found",
            "lost_track_buffer": None}  # fmt: skip
    definition = {
        "version": "1.0", "steps": [step], "outputs": [],
        "inputs": [{"type": "WorkflowImage", "name": "image"},
                   {"type": "WorkflowBatchInput", "name": "found", "kind": ["object_detection_prediction"]}],
    }  # fmt: skip
    compiled = workflow_engine.compile(definition)
    assert compiled.plan.steps[0].constants["lost_track_buffer"] == 30
    assert [str(warning) for warning in compiled.warnings] == ["steps[0].lost_track_buffer: null, the default counts"]
