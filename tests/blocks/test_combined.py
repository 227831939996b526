"""The block that has all tasks: JSON answers in the form of the published processors."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pytest

from florence_blocks.blocks.combined import TaskType
from florence_blocks.demo import draw_scene
from workflow_engine import WorkflowDefinitionError, compile

SCENE = draw_scene(41, width=320, height=320, shapes=3, words=1)
REGION = {"grounding_detection": [float(edge) for edge in SCENE.shapes[0].box]}
PHRASE = {"prompt": SCENE.shapes[0].name}
NEEDED: dict[str, dict[str, Any]] = {
    "open-vocabulary-object-detection": {"classes": [SCENE.shapes[0].category, "car"]},
    "phrase-grounded-object-detection": PHRASE,
    "phrase-grounded-instance-segmentation": PHRASE,
    "detection-grounded-instance-segmentation": REGION,
    "detection-grounded-classification": REGION,
    "detection-grounded-caption": REGION,
    "detection-grounded-ocr": REGION,
    "custom": {"prompt": "What does the image describe?"},
}
FORMS: dict[str, set[str]] = {
    "open-vocabulary-object-detection": {"bboxes", "bboxes_labels", "polygons", "polygons_labels", "confidences"},
    "ocr-with-text-detection": {"quad_boxes", "labels", "confidences"},
    "phrase-grounded-instance-segmentation": {"polygons", "labels"},
    "detection-grounded-instance-segmentation": {"polygons", "labels"},
    "object-detection": {"bboxes", "labels", "confidences"},
    "object-detection-and-caption": {"bboxes", "labels", "confidences"},
    "phrase-grounded-object-detection": {"bboxes", "labels", "confidences"},
    "region-proposal": {"bboxes", "labels", "confidences"},
}


def ask(task: str, *more: dict[str, Any], block: str = "roboflow_core/florence_2@v2", **fields: Any) -> list[dict[str, Any]]:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [*more, {"type": block, "name": "ask", "images": "$inputs.image", "task_type": task, **fields}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.ask.*"}],
    }  # fmt: skip
    blank = np.full_like(SCENE.image, 128)
    return [row["o"] for row in compile(definition).run(image=[SCENE.image, blank], on_error="raise").outputs]


@pytest.mark.parametrize("task", get_args(TaskType))
def test_every_task_answers_in_its_form(task: str) -> None:
    for given in ask(task, model_id="florence-2-demo", **NEEDED.get(task, {})):
        parsed = json.loads(given["raw_output"])
        if task in FORMS:
            assert given["parsed_output"] == parsed and parsed.keys() == FORMS[task]
        else:
            assert isinstance(parsed, str) and given["parsed_output"] is None


def test_the_answers_are_those_of_the_typed_blocks() -> None:
    found, _ = ask("object-detection", model_id="florence-2-demo")
    assert found["classes"] == [shape.category for shape in SCENE.shapes]
    assert np.abs(np.array(found["parsed_output"]["bboxes"]) - [shape.box for shape in SCENE.shapes]).max() < 12
    named, _ = ask("detection-grounded-caption", model_id="florence-2-demo", **REGION)
    assert json.loads(named["raw_output"]) == SCENE.shapes[0].name
    read, _ = ask("ocr-with-text-detection", model_id="florence-2-demo")
    assert read["parsed_output"]["labels"] == [SCENE.words[0].text] and len(read["parsed_output"]["quad_boxes"][0]) == 8


def test_the_region_is_chosen_among_detections_and_no_region_gives_no_answer() -> None:
    detect = {"type": "florence/object_detection@v1", "name": "find", "images": "$inputs.image"}
    for mode, wanted in (("first", SCENE.shapes[0]), ("last", SCENE.shapes[-1])):
        given, none = ask("detection-grounded-caption", detect, block="roboflow_core/florence_2@v1",
                          model_version="florence-2-demo", grounding_detection="$steps.find.predictions",
                          grounding_selection_mode=mode)  # fmt: skip
        assert json.loads(given["raw_output"]) == wanted.name
        assert none == {"raw_output": None, "parsed_output": None, "classes": None}


@pytest.mark.parametrize(
    ("task", "field"),
    [("custom", "prompt"), ("open-vocabulary-object-detection", "classes"), ("detection-grounded-ocr", "grounding_detection")],
)
def test_what_a_task_needs_is_asked_for(task: str, field: str) -> None:
    with pytest.raises(WorkflowDefinitionError) as raised:
        ask(task)
    assert str(raised.value.problems[0]) == f'steps[0].{field}: task_type "{task}" needs it'


@pytest.mark.parametrize(
    ("task", "fields", "block"),
    [
        ("object-detection", {}, "object_detection"),
        ("open-vocabulary-object-detection", {"classes": ["circle", "star", "square"]}, "open_vocabulary_detection"),
        ("ocr-with-text-detection", {}, "ocr_with_regions"),
        ("region-proposal", {}, "region_proposal"),
    ],
)
def test_answers_become_detections_again_with_the_confidences_of_the_model(
    task: str, fields: dict[str, Any], block: str
) -> None:
    model = {"model_id": "florence-2-demo"}
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [
            {"type": "roboflow_core/florence_2@v2", "name": "ask", "images": "$inputs.image", "task_type": task,
             **model, **fields},
            {"type": "roboflow_core/vlm_as_detector@v2", "name": "read", "image": "$inputs.image", "model_type": "florence-2",
             "vlm_output": "$steps.ask.raw_output", "task_type": task, **fields},
            {"type": f"florence/{block}@v1", "name": "typed", "images": "$inputs.image", **model, **fields},
        ],
        "outputs": [{"type": "JsonField", "name": n, "selector": f"$steps.{n}.predictions"} for n in ("read", "typed")],
    }  # fmt: skip
    found = compile(definition).run(image=SCENE.image, on_error="raise").outputs[0]
    assert len(found["typed"]) > 0
    assert np.array_equal(found["read"].xyxy, found["typed"].xyxy.astype(float))
    assert np.allclose(found["read"].confidence, found["typed"].confidence, atol=1e-6)
    if task != "region-proposal":
        assert list(found["read"].data["class_name"]) == list(found["typed"].data["class_name"])
