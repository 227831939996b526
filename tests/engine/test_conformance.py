"""The shared cases of the language: what the engine must answer, word by word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

import workflow_engine
from workflow_engine import WorkflowDefinitionError, WorkflowInputError

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "engine_cases.json"


def cases() -> list[Any]:
    if not CASES.exists():
        return []
    return [pytest.param(case, id=case["case"]) for case in json.loads(CASES.read_text())["cases"]]


def as_inputs(given: dict[str, Any]) -> dict[str, Any]:
    """Sizes as blank images, lists of boxes as detections, everything else as it is."""
    inputs = dict(given)
    if "image" in inputs:
        inputs["image"] = [np.zeros((height, width, 3), np.uint8) for width, height in inputs["image"]]
    if "d" in inputs:
        inputs["d"] = [sv.Detections(xyxy=np.array(boxes, float).reshape(-1, 4)) for boxes in inputs["d"]]
    return inputs


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside this checkout")
@pytest.mark.parametrize("case", cases())
def test_shared_cases(case: dict[str, Any]) -> None:
    expected = case["expected"]
    if isinstance(expected, list):
        assert workflow_engine.compile(case["definition"]).run(as_inputs(case["inputs"])).outputs == expected
    elif expected["error"] == "compile":
        with pytest.raises(WorkflowDefinitionError) as error:
            workflow_engine.compile(case["definition"])
        assert all(word in str(error.value) for word in expected["mentions"]), str(error.value)
    else:
        workflow = workflow_engine.compile(case["definition"])
        with pytest.raises(WorkflowInputError) as wrong:
            workflow.run(as_inputs(case["inputs"]))
        assert all(word in str(wrong.value) for word in expected["mentions"]), str(wrong.value)
