"""How a case is written: its inputs, steps, conditions and queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def several(made: Case, runs: list[dict[str, Any]]) -> Case:
    """A case with other runs, one after the other."""
    return replace(made, runs=tuple(runs))


def declare(name: str, value: Any) -> dict[str, Any]:
    """The input that a value is for."""
    first = value
    while isinstance(first, list) and first:
        first = first[0]
    if isinstance(first, dict) and "$picture" in first:
        return {"type": "WorkflowImage", "name": name}
    if isinstance(first, dict) and {"predictions", "image"} <= first.keys():
        rows = [found for one in (value if isinstance(value, list) else [value]) for found in one["predictions"]]
        kinds = {"points": "instance_segmentation_prediction", "keypoints": "keypoint_detection_prediction"}
        kind = next((kind for key, kind in kinds.items() if any(key in row for row in rows)), "object_detection_prediction")
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
    always = statement({"type": "StaticOperand", "value": 1}, "==", 1)
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
