"""Workflows within workflows: what runs, what their steps are called, and what is told about mistakes within."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workflow_engine import Image, WorkflowDefinitionError, compile
from workflow_engine.flatten import MOST, MOST_DEEP

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
INNER: dict[str, Any] = {
    "version": "1.0",
    "inputs": [
        {"type": "WorkflowImage", "name": "image"},
        {"type": "WorkflowParameter", "name": "size", "default_value": 5},
    ],
    "steps": [
        {"type": "vision/image_blur@v1", "name": "soft", "image": "$inputs.image", "kernel_size": "$inputs.size"},
        {"type": "vision/convert_grayscale@v1", "name": "grey", "image": "$steps.soft.image"},
    ],
    "outputs": [
        {"type": "JsonField", "name": "picture", "selector": "$steps.grey.image"},
        {"type": "JsonField", "name": "same", "selector": "$inputs.image"},
    ],
}


def inner(name: str, definition: dict[str, Any] = INNER, **bindings: Any) -> dict[str, Any]:
    return {"type": "engine/inner_workflow@v1", "name": name, "workflow_definition": definition, "parameter_bindings": bindings}


def outer(*steps: dict[str, Any], **outputs: str) -> dict[str, Any]:
    return {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "photo"}],
        "steps": list(steps),
        "outputs": [{"type": "JsonField", "name": name, "selector": selector} for name, selector in outputs.items()],
    }


def flat(image: str, size: int, name: str) -> list[dict[str, Any]]:
    return [
        {"type": "vision/image_blur@v1", "name": f"{name}_soft", "image": image, "kernel_size": size},
        {"type": "vision/convert_grayscale@v1", "name": name, "image": f"$steps.{name}_soft.image"},
    ]


def pictures(definition: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    rows = compile(definition).run(photo=[PIXELS, PIXELS[::-1].copy()], on_error="raise").outputs
    return [row[name].array for row in rows for name in row]


def test_an_inner_workflow_gives_what_its_steps_give_in_its_place() -> None:
    nested = outer(inner("first", image="$inputs.photo"), inner("then", image="$steps.first.picture", size=9),
                   a="$steps.first.picture", b="$steps.then.picture", c="$steps.then.same")  # fmt: skip
    plain = outer(*flat("$inputs.photo", 5, "x"), *flat("$steps.x.image", 9, "y"),
                  a="$steps.x.image", b="$steps.y.image", c="$steps.x.image")  # fmt: skip
    assert all(np.array_equal(one, other) for one, other in zip(pictures(nested), pictures(plain), strict=True))
    assert [step.name for step in compile(nested).plan.steps] == ["first__soft", "first__grey", "then__soft", "then__grey"]


def test_inner_workflows_stand_within_inner_workflows_and_names_stay_apart() -> None:
    middle = {**INNER, "steps": [inner("in", image="$inputs.image", size="$inputs.size")],
              "outputs": [{"name": "picture", "selector": "$steps.in.picture"}]}  # fmt: skip
    taken = {"type": "vision/convert_grayscale@v1", "name": "out__in__grey", "image": "$inputs.photo"}
    nested = outer(taken, inner("out", middle, image="$inputs.photo", size=3), a="$steps.out.picture")
    assert np.array_equal(pictures(nested)[0], pictures(outer(*flat("$inputs.photo", 3, "x"), a="$steps.x.image"))[0])
    assert {step.name for step in compile(nested).plan.steps} == {"out__in__grey", "out__in__soft", "out__in__grey__2"}


def test_a_batch_runs_through_an_inner_workflow_crop_by_crop() -> None:
    slices = {"type": "vision/image_slicer@v1", "name": "cut", "image": "$inputs.photo", "slice_width": 40, "slice_height": 40}
    definition = outer(slices, inner("in", image="$steps.cut.slices"), a="$steps.in.picture")
    row = compile(definition).run(photo=PIXELS, on_error="raise").outputs[0]["a"]
    assert len(row) > 1 and all(isinstance(part, Image) and part.array.ndim == 2 for part in row)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_gate_before_an_inner_workflow_is_before_all_of_its_steps(goes_on: bool) -> None:
    two = copy.deepcopy(INNER)
    two["steps"].append({"type": "vision/convert_grayscale@v1", "name": "other", "image": "$inputs.image"})
    two["outputs"].append({"name": "other", "selector": "$steps.other.image"})
    gate = {
        "type": "vision/continue_if@v1", "name": "gate", "next_steps": ["$steps.in"], "evaluation_parameters": {},
        "condition_statement": {"type": "StatementGroup", "operator": "and", "statements": [
            {"type": "BinaryStatement", "left_operand": {"type": "StaticOperand", "value": goes_on},
             "comparator": {"type": "=="}, "right_operand": {"type": "StaticOperand", "value": True}, "negate": False}]},
    }  # fmt: skip
    definition = outer(gate, inner("in", two, image="$inputs.photo"), a="$steps.in.picture", b="$steps.in.other")
    row = compile(definition).run(photo=PIXELS, on_error="raise").outputs[0]
    assert [value is not None for value in row.values()] == [goes_on, goes_on]


def _problems(change: Callable[[dict[str, Any]], Any]) -> list[str]:
    definition = outer(copy.deepcopy(inner("in", image="$inputs.photo")),
                       {"type": "vision/image_blur@v1", "name": "last", "image": "$steps.in.picture"},
                       o="$steps.last.image")  # fmt: skip
    change(definition)
    with pytest.raises(WorkflowDefinitionError) as error:
        compile(definition)
    return [str(problem) for problem in error.value.problems]


def _inside(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definition["steps"][0]["workflow_definition"]
    return found


WITHIN = "steps[0].workflow_definition"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["steps"][0]["parameter_bindings"].clear(),
         ["steps[0].parameter_bindings: the input `image` of the inner workflow is not bound; a reference would fit"]),
        (lambda d: d["steps"][0]["parameter_bindings"].update(sise=3),
         ["steps[0].parameter_bindings.sise: the inner workflow has no such input (did you mean `size`?)"]),
        (lambda d: _inside(d)["steps"][0].update(kernel_size=-1),
         [f"{WITHIN}.steps[0].kernel_size: input should be greater than 0; got -1"]),
        (lambda d: _inside(d)["steps"][1].update(image="$inputs.photo"),
         [f"{WITHIN}.steps[1].image: no input `photo` (`$inputs.photo`) of the inner workflow (inputs: `image`, `size`)"]),
        (lambda d: _inside(d).pop("version"), [f'{WITHIN}.version: missing; "1.0" would fit']),
        (lambda d: d["steps"][1].update(image="$steps.in.pictur"),
         ["steps[1].image: the inner workflow `in` has no output `pictur` (did you mean `picture`?)"]),
        (lambda d: d["steps"][0].pop("workflow_definition"),
         ["steps[0].workflow_definition: required and missing; object would fit"]),
        (lambda d: d["steps"][0].update(workflow_definition={}),
         ["steps[0].workflow_definition: a definition with at least one step is needed; got {}"]),
        (lambda d: d["steps"][0].update(execution_mode="remote_dispatch"),
         ["steps[0].execution_mode: input should be 'embedded'; got 'remote_dispatch'"]),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_their_place(change: Callable[[dict[str, Any]], Any], told: list[str]) -> None:
    assert _problems(change) == told


def test_a_step_of_the_outer_workflow_is_not_seen_from_within() -> None:
    (told,) = _problems(lambda d: _inside(d)["steps"][1].update(image="$steps.last.image"))
    assert told.startswith(f"{WITHIN}.steps[1].image: no step `in__last`")


def test_depth_and_number_are_bounded() -> None:
    deep = INNER
    for _ in range(MOST_DEEP + 1):
        deep = {**INNER, "steps": [inner("in", deep, image="$inputs.image")], "outputs": []}
    with pytest.raises(WorkflowDefinitionError, match=f"{MOST_DEEP} deep would fit"):
        compile(deep)
    with pytest.raises(WorkflowDefinitionError, match=f"{MOST} in all would fit"):
        compile(outer(*(inner(f"n{number}", image="$inputs.photo") for number in range(MOST + 1))))
