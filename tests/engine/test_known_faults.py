"""The nine faults of the best-known executor of the language, each with a test of its name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.engine.toys import Wait, toy_workflow
from workflow_engine import WorkflowDefinitionError, WorkflowInputError

IMAGES = [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowBatchInput", "name": "x"},
          {"type": "WorkflowBatchInput", "name": "y"}]  # fmt: skip
BLANK = np.zeros((4, 4, 3), np.uint8)


def outputs(workflow: Any, **inputs: Any) -> list[Any]:
    return [row["o"] for row in workflow.run(**inputs).outputs]


def gate(value: str, target: str) -> dict[str, Any]:
    return {"type": "toy/gate@v1", "value": value, "next_steps": [f"$steps.{target}"]}


@pytest.mark.parametrize(("x", "y"), [([1, 1], [0, 0]), ([0, 0], [1, 1])])
def test_fault_1_two_gates_stay_and_when_one_rejects_the_whole_batch(x: list[int], y: list[int]) -> None:
    steps = [gate("$inputs.x", "s2"), gate("$inputs.y", "s2"), {"type": "toy/echo@v1", "value": "$inputs.x"}]
    assert outputs(toy_workflow(steps, {"o": "$steps.s2.value"}, IMAGES[1:]), x=x, y=y) == [None, None]


def test_fault_2_a_gate_on_images_governs_a_step_on_their_crops() -> None:
    steps = [{"type": "toy/split@v1", "items": "$inputs.x"}, gate("$inputs.y", "s2"),
             {"type": "toy/echo@v1", "value": "$steps.s0.item"}]  # fmt: skip
    assert outputs(toy_workflow(steps, {"o": "$steps.s2.value"}, IMAGES[1:]), x=[[1, 2], [3]], y=[1, 0]) == [[1, 2], [None]]


def test_fault_3_a_nested_input_comes_out_in_its_own_shape() -> None:
    nested = [{"type": "WorkflowBatchInput", "name": "x", "dimensionality": 3}]
    value = [[[1, 2], []], [[3]], []]
    assert outputs(toy_workflow([], {"o": "$inputs.x"}, nested), x=value) == value


def test_fault_4_a_collapse_of_nothing_is_an_empty_list() -> None:
    from workflow_engine import compile

    steps = [{"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image", "predictions": "$inputs.d"},
             {"type": "vision/dimension_collapse@v1", "name": "all", "data": "$steps.crop.crops"}]  # fmt: skip
    workflow = compile({"version": "1.0", "steps": steps, "inputs": [
        {"type": "WorkflowImage", "name": "image"},
        {"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.all.output"}]})  # fmt: skip
    assert outputs(workflow, image=BLANK, d={"predictions": []}) == [[]]


def test_fault_5_an_unknown_field_is_an_error_and_not_lost() -> None:
    with pytest.raises(WorkflowDefinitionError, match="did you mean `value`"):
        toy_workflow([{"type": "toy/echo@v1", "valeu": 1}], {})


def test_fault_6_no_value_is_not_skipped() -> None:
    steps = [{"type": "toy/nothing@v1", "value": "$inputs.x"}, gate("$inputs.x", "s2"),
             {"type": "toy/echo@v1", "value": "$inputs.x"}]  # fmt: skip
    result = toy_workflow(steps, {"made": "$steps.s0.value", "o": "$steps.s2.value"}, IMAGES[1:2]).run(x=[0])
    assert result.outputs == [{"made": None, "o": None}]
    assert [skip.step for skip in result.report.skips] == ["s2"]


def test_fault_7_one_bad_element_leaves_the_others_and_the_other_steps() -> None:
    steps = [{"type": "toy/add@v1", "a": "$inputs.x"}, {"type": "toy/echo@v1", "value": "$inputs.x"}]
    result = toy_workflow(steps, {"o": "$steps.s0.sum", "e": "$steps.s1.value"}, IMAGES[1:2]).run(x=[1, 13, 3])
    assert result.outputs == [{"o": 2, "e": 1}, {"o": None, "e": 13}, {"o": 4, "e": 3}]
    assert len(result.report.errors) == 1


def test_fault_8_a_step_starts_when_its_own_inputs_are_there() -> None:
    """A short chain runs to its end while one long step beside its first link is still at work."""
    ends: list[str] = []

    class Noted(Wait):
        def run(self, seconds: float, after: Any) -> bool:
            done = super().run(seconds, after)
            ends.append(f"{seconds}")
            return done

    from tests.engine.toys import ToyPlugin, standard
    from workflow_engine import Plugin, build_registry, compile, hookimpl

    class Notes(ToyPlugin):
        @hookimpl
        def workflow_engine_blocks(self) -> list[Any]:
            return [Noted]

    steps = [{"type": "toy/wait@v1", "name": "long", "seconds": 0.6},
             {"type": "toy/wait@v1", "name": "a", "seconds": 0.01},
             {"type": "toy/wait@v1", "name": "b", "seconds": 0.02, "after": "$steps.a.done"},
             {"type": "toy/wait@v1", "name": "c", "seconds": 0.03, "after": "$steps.b.done"}]  # fmt: skip
    registry = build_registry([Plugin("standard", "engine", standard), Plugin("notes", "toys", Notes())])
    compile({"version": "1.0", "steps": steps, "outputs": []}, registry=registry).run()
    assert ends == ["0.01", "0.02", "0.03", "0.6"]


def test_fault_9_the_callers_inputs_stay_as_they_are_and_a_missing_one_is_told() -> None:
    steps = [{"type": "toy/width@v1", "image": "$inputs.image"}]
    workflow = toy_workflow(steps, {"o": "$steps.s0.image"}, [*IMAGES[:1], {"type": "WorkflowParameter", "name": "p"}])
    given = {"image": [BLANK.copy(), BLANK.copy()], "p": {"deep": [1]}}
    before = copy.deepcopy(given)
    result = workflow.run(given)
    assert given.keys() == before.keys() and given["p"] == before["p"] and np.array_equal(given["image"], before["image"])
    with pytest.raises(ValueError, match="read-only"):
        result.outputs[0]["o"].array[:] = 1
    with pytest.raises(WorkflowInputError, match="p: missing"):
        workflow.run(image=BLANK)
