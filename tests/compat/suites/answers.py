"""Text answers as predictions, and workflows within workflows."""

from __future__ import annotations

import json
from typing import Any

from tests.compat.writing import BLOCKS, FOUND, IMAGE, RAMP, THREE, case, detection, dynamic, keep, statement, step


def classified(name: str, answer: Any, version: int = 2) -> Any:
    """An answer as a classification."""
    return case(
        name, step(f"vlm_as_classifier@v{version}", image=IMAGE, vlm_output="$steps.say.output", classes=["cat", "dog"]),
        step("first_non_empty_or_default@v1", "say", data=["$inputs.answer"], default=""),
        out=("$steps.s.predictions", "$steps.s.error_status"), image=BLOCKS, answer=answer,
    )  # fmt: skip


def detected(name: str, task: str, answer: Any, version: int = 2, **fields: Any) -> Any:
    """Florence's answer as detections."""
    said, fields = answer if isinstance(answer, str) else json.dumps(answer), {"classes": [], **fields}
    return case(
        name, step(f"vlm_as_detector@v{version}", image=IMAGE, vlm_output="$steps.say.output", model_type="florence-2",
                   task_type=task, **fields),
        step("first_non_empty_or_default@v1", "say", data=["$inputs.answer"], default=""),
        out=("$steps.s.predictions", "$steps.s.error_status"), image=BLOCKS, answer=said,
    )  # fmt: skip


def boxed(name: str, model: str, answer: Any, version: int = 2, image: Any = BLOCKS, **fields: Any) -> Any:
    """The boxes of another model as detections."""
    said, fields = answer if isinstance(answer, str) else json.dumps(answer), {"classes": ["star", "circle"], **fields}
    return case(
        f"detector of {name}",
        step(f"vlm_as_detector@v{version}", image=IMAGE, vlm_output="$steps.say.output", model_type=model,
             task_type="object-detection", **fields),
        step("first_non_empty_or_default@v1", "say", data=["$inputs.answer"], default=""),
        out=("$steps.s.predictions", "$steps.s.error_status"), image=image, answer=said,
    )  # fmt: skip


def edges(x1: float, y1: float, x2: float, y2: float, name: str = "star", **more: Any) -> dict[str, Any]:
    """A detection whose edges have names."""
    return {"x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2, "class_name": name, **more}


def listed(*numbers: float, key: str = "box_2d", **more: Any) -> dict[str, Any]:
    """A detection whose corners are a list."""
    return {key: list(numbers), "label": "star", **more}


SHARES = {"detections": [edges(0.1, 0.2, 0.333, 0.45, confidence=0.8), edges(0.5, 0.5, 1.2, 0.9, "fox", confidence=1.7)]}
PANORAMA, TOWER = {"$picture": "blocks 3000x900"}, {"$picture": "blocks 1200x4100"}

BOXES = {"bboxes": [[10, 12, 40, 50], [60.5, 20, 90, 80.25]], "labels": ["star", "circle"]}
GREY = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "size", "default_value": 3}],
    "steps": [step("image_blur@v1", "soft", image="$inputs.image", blur_type="average", kernel_size="$inputs.size"),
              step("convert_grayscale@v1", "grey", image="$steps.soft.image")],
    "outputs": [{"type": "JsonField", "name": "picture", "selector": "$steps.grey.image"},
                {"type": "JsonField", "name": "soft", "selector": "$steps.soft.image"}],
}  # fmt: skip
TWICE = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowImage", "name": "image"}],
    "steps": [step("inner_workflow@v1", "in", workflow_definition=GREY, parameter_bindings={"image": "$inputs.image"})],
    "outputs": [{"type": "JsonField", "name": "deep", "selector": "$steps.in.picture"}],
}
SURE = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowBatchInput", "name": "found", "kind": ["object_detection_prediction"]}],
    "steps": [step("detections_filter@v1", "keep", predictions="$inputs.found", operations=keep(
        statement(dynamic("_", detection("confidence")), "(Number) >", 0.5)), operations_parameters={})],
    "outputs": [{"type": "JsonField", "name": "kept", "selector": "$steps.keep.predictions"}],
}  # fmt: skip

CASES = (
    classified("classifier of one class", '{"class_name": "dog", "confidence": 0.7}'),
    classified("classifier, version 1", '{"class_name": "dog", "confidence": 0.7}', 1),
    classified("classifier of another class", '{"class_name": "fox", "confidence": 1.7}'),
    classified("classifier of a block", 'Here:\n```json\n{"class_name": "cat", "confidence": "0.25"}\n```'),
    classified("classifier of a sentence around it", 'It is {"class_name": "cat", "confidence": 0.5}, I think.'),
    classified("classifier of several",
               '{"predicted_classes": [{"class": "cat", "confidence": 0.4}, {"class": "fox", "confidence": 0.9},'
               ' {"class": "cat", "confidence": 0.6}]}'),
    classified("classifier of a list", '[{"label": "dog", "confidence": 0.4}, {"class": "cat"}]'),
    classified("classifier of another shape", '{"kind": "cat"}'),
    classified("classifier of no JSON", "I cannot tell."),
    classified("classifier of a name", "Dog"),
    detected("detector", "object-detection", BOXES),
    detected("detector, version 1", "object-detection", BOXES, 1),
    detected("detector of phrases", "phrase-grounded-object-detection", BOXES),
    detected("detector of names", "open-vocabulary-object-detection",
             {"bboxes": BOXES["bboxes"], "bboxes_labels": ["circle", "fox"], "polygons": [], "polygons_labels": []},
             classes=["star", "circle"]),
    detected("detector of captions", "object-detection-and-caption", BOXES),
    detected("detector of proposals", "region-proposal", {"bboxes": BOXES["bboxes"], "labels": ["", ""]}),
    detected("detector of texts", "ocr-with-text-detection",
             {"quad_boxes": [[10, 10, 50, 12, 49, 30, 9, 28]], "labels": ["HELLO"]}),
    detected("detector of nothing", "object-detection", {"bboxes": [], "labels": []}),
    detected("detector of another shape", "object-detection", {"boxes": []}),
    detected("detector of no JSON", "object-detection", "two stars"),
    *(boxed(f"{model} in shares, version {version}", model, SHARES, version)
      for model, version in (("google-gemini", 1), ("google-gemini", 2), ("anthropic-claude", 1), ("anthropic-claude", 2),
                             ("openai", 2))),
    *(boxed(f"{model}, nothing", model, answer)
      for model, answer in (("google-gemini", []), ("anthropic-claude", []), ("openai", {"detections": []}), ("qwen", []),
                            ("muse", []), ("spacexai", {"detections": []}))),
    boxed("gemini in thousandths", "google-gemini",
          [listed(100, 200, 503, 611), listed(0, 0, 1000, 1000, confidence=0.25), {"box_2d": [1, 2, 30, 40]}]),
    boxed("gemini in a block", "google-gemini", "Sure:\n```JSON\n" + json.dumps([listed(100, 200, 503, 611)]) + "\n```\nDone."),
    boxed("gemini in a block of another kind", "google-gemini", "```\n" + json.dumps([listed(10, 20, 53, 61)]) + "\n```"),
    boxed("gemini line by line", "google-gemini", json.dumps(listed(1, 2, 503, 61)) + "\n" + json.dumps(listed(5, 6, 70, 80))),
    boxed("gemini without a box", "google-gemini", [listed(100, 200, 503, 611), {"label": "star"}]),
    boxed("gemini with three numbers", "google-gemini", [listed(100, 200, 503)]),
    boxed("gemini in words", "google-gemini", "There are two stars."),
    *(boxed(f"{model} in pixels{where}", model, answer, image=image)
      for model in ("openai", "anthropic-claude")
      for where, image, answer in (
          ("", BLOCKS, [listed(10, 20, 53.4, 61), listed(-4, 5, 900, 30, confidence=0.5), listed(1, 2, 9, 9, label="fox")]),
          (" of a panorama", PANORAMA, {"detections": [listed(10, 20, 1853, 561), listed(99, 8, 3000, 900)]}),
          (" of a tower", TOWER, [listed(10, 20, 533, 1961)]))),
    *(boxed(f"{model}", model, [listed(10, 20, 533, 611), listed(-5, 3, 1200, 999), listed(1, 2, 3), "star",
                                listed(9, 9, 99, 99, key="bbox_2d", label="circle"), {"box_2d": [5, 5, 50, 50]}])
      for model in ("qwen", "zai", "zai-flash")),
    boxed("qwen, corners in another order", "qwen", [listed(533, 611, 10, 20)]),
    boxed("qwen alone", "qwen", listed(10, 20, 533, 611)),
    boxed("qwen under detections", "qwen", {"detections": [listed(10, 20, 533, 611, confidence=0.3)]}),
    boxed("qwen of another shape", "qwen", {"boxes": [1]}),
    boxed("muse", "muse", [edges(10, 20, 533, 611, label="star"), edges(10, 20, 1533, 611, label=""), {"label": "star"}]),
    boxed("muse cut off", "muse", json.dumps([edges(1, 2, 300, 400, label="star")])[:-1] + ', {"x_min": 3, "y_'),
    boxed("spacexai", "spacexai", [listed(10, 20.5, 53.3, 61), listed(-4, 5, 190, 30, confidence=0.5)]),
    boxed("spacexai of another shape", "spacexai", {"stars": 2}),
    case("inner workflow", step("inner_workflow@v1", workflow_definition=GREY, parameter_bindings={"image": IMAGE}),
         out=("$steps.s.picture", "$steps.s.soft"), image=[BLOCKS, RAMP]),
    case("inner workflow with a parameter",
         step("inner_workflow@v1", workflow_definition=GREY, parameter_bindings={"image": IMAGE, "size": "$inputs.size"}),
         out="$steps.s.picture", image=BLOCKS, size=7),
    case("inner workflow within another", step("inner_workflow@v1", workflow_definition=TWICE,
                                               parameter_bindings={"image": IMAGE}),
         out="$steps.s.deep", image=BLOCKS),
    case("inner workflow after another", step("inner_workflow@v1", "a", workflow_definition=GREY,
                                              parameter_bindings={"image": IMAGE}),
         step("inner_workflow@v1", workflow_definition=GREY, parameter_bindings={"image": "$steps.a.soft"}),
         out=("$steps.s.picture", "$steps.a.picture"), image=BLOCKS),
    case("inner workflow for crops", step("dynamic_crop@v1", "crop", images=IMAGE, predictions=FOUND),
         step("inner_workflow@v1", workflow_definition=GREY, parameter_bindings={"image": "$steps.crop.crops"}),
         out="$steps.s.picture", image=BLOCKS, found=THREE),
    case("inner workflow of detections",
         step("inner_workflow@v1", workflow_definition=SURE, parameter_bindings={"found": FOUND}),
         out="$steps.s.kept", found=[THREE, THREE]),
)  # fmt: skip
