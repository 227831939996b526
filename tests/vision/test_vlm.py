"""Text answers of language models: JSON wherever it stands in them, boxes in the forms of the models, classes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from florence_blocks.vision.documents import JsonParser
from florence_blocks.vision.json_texts import objects, payload
from florence_blocks.vision.vlm import VlmAsClassifier, VlmAsDetector
from florence_blocks.vision.vlm_boxes import seen_by_claude, shrunk
from workflow_engine import compile
from workflow_engine.data import Image
from workflow_engine.errors import WorkflowDefinitionError

IMAGE = Image(np.zeros((100, 200, 3), np.uint8))
ROW = {"box_2d": [100, 200, 500, 600], "label": "star"}


def detected(model: str, answer: Any, task: str = "object-detection") -> dict[str, Any]:
    said = answer if isinstance(answer, str) else json.dumps(answer)
    return VlmAsDetector().run(IMAGE, said, ["star", "circle"], model, task)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1]}',
        '```json\n{"a": [1]}\n```',
        '```JSON\n{"a": [1]}\n```',
        'Here it is:\n\n```Json5\r\n{"a": [1]}\r\n```\r\nAnything else?',
        '```{"a": [1]}```',
        '```json {"a": [1]} ```',
        '~~~json\n{"a": [1]}\n~~~',
        '````json\n{"a": [1]}\n````',
        '```json\n{"a": [1]}',
        '```python\nprint(1)\n```\nand\n```json\n{"a": [1]}\n```\n```json\n{"a": [2]}\n```',
        '```\nno json\n```\n```\n{"a": [1]}\n```',
        'It is {"a": [1]}, I think.',
        '\ufeff {"a": [1]}',
    ],
)
def test_json_is_found_wherever_it_stands_in_a_text(text: str) -> None:
    assert payload(text) == {"a": [1]}
    assert JsonParser().run(text, ["a"]) == {"error_status": False, "a": [1]}


def test_values_one_behind_the_other_are_a_list() -> None:
    for text in ('{"a": 1}\n{"a": 2}', '{"a": 1}, {"a": 2}', '[{"a": 1}]\n[{"a": 2}]', '{"a": 1}, {"a": 2}]'):
        assert payload(text) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "text", ["", "no json", "17", '"cat"', "{", "[" * 50_000, "[" * 500 + "]" * 500, "```" * 5000, "{" * 5000]
)
def test_what_holds_no_json_or_json_that_is_too_deep_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        payload(text)
    assert list(objects(text)) == []
    assert JsonParser().run(text, ["a"]) == {"error_status": True, "a": None}
    for model in ("florence-2", "google-gemini", "muse"):
        told = detected(model, text)
        assert told["error_status"] is True and told["predictions"] is None
    assert VlmAsClassifier().run(IMAGE, text, ["dog"])["error_status"] is True


@pytest.mark.parametrize(
    ("model", "row", "box"),
    [
        ("google-gemini", ROW, [40, 10, 120, 50]),
        ("google-gemini", {"x_min": 0.1, "y_min": 0.2, "x_max": 0.5, "y_max": 0.6, "class_name": "star"}, [20, 20, 100, 60]),
        ("openai", {"box_2d": [10, 20, 50, 60], "label": "star"}, [10, 20, 50, 60]),
        ("anthropic-claude", {"box_2d": [10, 20, 50, 60], "class": "star"}, [10, 20, 50, 60]),
        ("qwen", ROW, [20, 20, 100, 60]),
        ("zai-flash", {"bbox_2d": ROW["box_2d"], "description": "star"}, [20, 20, 100, 60]),
        ("muse", {"x_min": 100, "y_min": 200, "x_max": 500, "y_max": 600, "label": "star"}, [20, 20, 100, 60]),
        ("spacexai", {"box_2d": [10, 20, 50, 60], "label": "star"}, [20, 20, 100, 60]),
    ],
)
def test_the_boxes_of_every_model_are_read_in_its_own_numbers(model: str, row: dict[str, Any], box: list[float]) -> None:
    told = detected(model, f"I see it.\n```json\n{json.dumps([row])}\n```")
    found = told["predictions"]
    assert told["error_status"] is False and found.xyxy.tolist() == [box]
    assert found.class_id.tolist() == [0] and list(found.data["class_name"]) == ["star"] and found.confidence.tolist() == [1]


def test_corners_in_the_wrong_order_are_put_right() -> None:
    for model, numbers in (("google-gemini", [500, 600, 100, 200]), ("qwen", [600, 500, 200, 100])):
        assert detected(model, [{"box_2d": numbers, "label": "star"}])["predictions"].xyxy.tolist() == [[40, 10, 120, 50]]
    turned = detected("florence-2", {"bboxes": [[60, 50, 20, 10]], "labels": ["star"]})
    assert turned["predictions"].xyxy.tolist() == [[20, 10, 60, 50]]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e300, True, None, "1", [1]])
def test_numbers_that_are_none_make_an_error_or_are_left_out(wrong: Any) -> None:
    rows = [ROW, {"box_2d": [wrong, 200, 500, 600], "label": "star"}]
    for model in ("google-gemini", "openai", "spacexai"):
        assert detected(model, rows)["error_status"] is True
    assert len(detected("qwen", rows)["predictions"]) == 1
    assert detected("google-gemini", [{**ROW, "confidence": wrong}])["error_status"] is (wrong not in (True, "1"))


def test_the_sizes_that_models_see_are_those_of_their_documentation() -> None:
    assert shrunk((4000, 1000)) == (2048, 512) and shrunk((30, 8192)) == (8, 2048) and shrunk((2048, 2048)) == (2048, 2048)
    assert seen_by_claude((1092, 1092)) == (1092, 1092)
    wide = seen_by_claude((8000, 2000))
    assert max(wide) <= 2576 and seen_by_claude((2000, 8000)) == wide[::-1] and wide[0] / wide[1] == pytest.approx(4, rel=0.01)


def test_what_a_model_cannot_be_asked_is_told_when_the_workflow_is_checked() -> None:
    def checked(**fields: Any) -> None:
        step = {"type": "roboflow_core/vlm_as_detector@v2", "name": "s", "image": "$inputs.image", "vlm_output": "$inputs.said",
                "task_type": "object-detection", "classes": ["star"], **fields}  # fmt: skip
        inputs = [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "said"}]
        compile({"version": "1.0", "inputs": inputs, "steps": [step], "outputs": []})

    checked(model_type="openai")
    with pytest.raises(WorkflowDefinitionError, match="`region-proposal` is a task of florence-2"):
        checked(model_type="qwen", task_type="region-proposal")
    with pytest.raises(WorkflowDefinitionError, match="`classes` is missing"):
        checked(model_type="google-gemini", classes=None)
    with pytest.raises(WorkflowDefinitionError, match="google-gemini"):
        checked(model_type="gemini")


def test_whole_detections_of_an_answer_that_was_cut_off_count_where_the_language_counts_them() -> None:
    row = {"x_min": 100, "y_min": 200, "x_max": 500, "y_max": 600, "label": "star"}
    cut = json.dumps([row, row])[:-30]
    assert len(detected("muse", cut)["predictions"]) == 1
    assert detected("google-gemini", cut)["error_status"] is True


@pytest.mark.parametrize("text", ["Dog", " dog\n", '"dog"', '{"class_name": "dog", "confidence": 0.5}'])
def test_classes_are_read_as_names_and_as_json(text: str) -> None:
    assert VlmAsClassifier().run(IMAGE, text, ["cat", "dog"])["predictions"]["top"] == "dog"


def test_names_of_answers_count_without_blanks_and_classes_have_their_first_place() -> None:
    said = json.dumps([{**ROW, "label": " star\n"}, {**ROW, "label": "circle "}, {**ROW, "label": " "}])
    found = VlmAsDetector().run(IMAGE, said, ["star", "circle", "star"], "google-gemini", "object-detection")["predictions"]
    assert found.data["class_name"].tolist() == ["star", "circle", "unknown"] and found.class_id.tolist() == [0, 1, -1]
    for answer in ({"class_name": " star ", "confidence": 0.9}, {"predicted_classes": [{"class": "star ", "confidence": 0.9}]}):
        told = VlmAsClassifier().run(IMAGE, json.dumps(answer), ["star", "circle", "star"])["predictions"]
        assert {name: number for name, (number, _) in _numbered(told).items()} == {"star": 0, "circle": 1}
        assert _numbered(told)["star"][1] == 0.9


def _numbered(told: dict[str, Any]) -> dict[str, tuple[int, float]]:
    """The id and the confidence of every class of a classification."""
    rows = told["predictions"]
    listed = [{"class": name, **row} for name, row in rows.items()] if isinstance(rows, dict) else rows
    return {row["class"]: (row["class_id"], row["confidence"]) for row in listed}
