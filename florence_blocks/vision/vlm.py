"""Text answers of vision-language models as predictions: classes, and boxes in the forms of each model.

The typed blocks of Florence-2 need none of this; definitions that were written for text answers do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import Field, model_validator
from typing_extensions import Self

from florence_blocks.names import ClassList, ClassName, cleaned
from florence_blocks.vision.fields import DETECTIONS_OUTPUT
from florence_blocks.vision.json_texts import objects, payload
from florence_blocks.vision.vlm_boxes import MODELS, boxes_of, is_detection, share
from workflow_engine.block import Accepts, Block, BlockManifest, ImageReference, Output, Reference, Value
from workflow_engine.data import Image
from workflow_engine.detections import object_array, on_image
from workflow_engine.kinds import BOOLEAN, CLASSIFICATION, LANGUAGE_MODEL_OUTPUT, STRING
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

AnswerReference = Annotated[Reference, Accepts(LANGUAGE_MODEL_OUTPUT, STRING)]
_LABELS: Final = ("class", "class_name", "label")
_OTHER_SHAPE: Final = (ValueError, TypeError, KeyError, AttributeError, StopIteration)
"""What reading an answer of another shape raises; the status of the step says so."""
_STATUS: Final = {"error_status": Output(BOOLEAN), "inference_id": Output(STRING)}


class VlmAsClassifier(Block):
    """A classification of a text answer: one class, several with their confidences, or just the name of a class.

    Reads `{"class_name": "cat", "confidence": 0.9}`, `{"predicted_classes": [{"class": "cat", "confidence": 0.9}]}`, the list
    alone, and, as Florence-2 answers, `cat`; such an answer has no confidence. `error_status` tells of any other text.

    `{"type": "vision/vlm_as_classifier@v1", "name": "kind", "image": "$inputs.image", "vlm_output": "$steps.ask.text",
    "classes": ["cat", "dog"]}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/vlm_as_classifier@v1", "roboflow_core/vlm_as_classifier@v2", "roboflow_core/vlm_as_classifier@v1"]
        image: ImageReference = Field(description="the image that was asked about")
        vlm_output: AnswerReference = Field(description="the answer")
        classes: Value[list[ClassName]] = Field(description="the classes in the order of their numbers; others are number -1")

    outputs = {"predictions": Output(CLASSIFICATION), **_STATUS}
    light = True

    def run(self, image: Image, vlm_output: str, classes: list[str]) -> dict[str, Any]:
        """The classification of one answer."""
        identifier = str(uuid4())
        told: dict[str, Any] | None = None
        try:
            answer = payload(vlm_output)
        except ValueError:
            answer = vlm_output.strip().strip('"')
        with suppress(*_OTHER_SHAPE):
            told = _classified(answer, classes)
        if told is not None:
            told = {"image": {"width": image.width, "height": image.height}, **told, "inference_id": identifier}
        return {"predictions": told, "error_status": told is None, "inference_id": identifier}


def _classified(answer: Any, classes: list[str]) -> dict[str, Any] | None:
    if isinstance(answer, str):
        same = [name for name in classes if name.casefold() == answer.casefold()]
        return _one(same[0], None, classes) if same else None
    if isinstance(answer, list) and answer:
        answer = {"predicted_classes": [{"class": _label(row), "confidence": row.get("confidence", 1.0)} for row in answer]}
    if not isinstance(answer, dict):
        return None
    if "class_name" in answer and "confidence" in answer:
        return _one(cleaned(str(answer["class_name"])), share(answer["confidence"]), classes)
    if "predicted_classes" not in answer:
        return None
    scores: dict[str, float] = {}
    for row in answer["predicted_classes"]:
        name = cleaned(str(row["class"]))
        scores[name] = max(share(row["confidence"]), scores.get(name, 0.0))
    numbers = {**ClassList.of(classes).places, **{name: -1 for name in scores if name not in classes}}
    return {
        "predictions": {name: {"confidence": scores.get(name, 0.0), "class_id": number} for name, number in numbers.items()},
        "predicted_classes": list(scores),
    }


def _one(top: str, confidence: float | None, classes: list[str]) -> dict[str, Any]:
    numbers = {**({} if top in classes else {top: -1}), **ClassList.of(classes).places}
    predictions = [
        {"class": name, "class_id": number, "confidence": confidence if name == top or confidence is None else 0.0}
        for name, number in numbers.items()
    ]
    return {"predictions": predictions, "top": top, "confidence": confidence}


def _label(row: Mapping[str, Any]) -> str:
    return str(next(row[key] for key in _LABELS if row.get(key) is not None))


class VlmAsDetector(Block):
    """Detections of the JSON answer of a vision-language model, such as `raw_output` of `florence/any_task@v1`.

    Confidences are those of the answer. Florence-2's without `confidences`, as other runtimes write it, gives none; a
    detection of the other models without one has 1.0, as there. `error_status` tells of an answer of another shape.

    `{"type": "vision/vlm_as_detector@v1", "name": "boxes", "image": "$inputs.image", "vlm_output": "$steps.ask.raw_output",
    "model_type": "florence-2", "task_type": "object-detection"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/vlm_as_detector@v1", "roboflow_core/vlm_as_detector@v2", "roboflow_core/vlm_as_detector@v1"]
        image: ImageReference = Field(description="the image that was asked about")
        vlm_output: AnswerReference = Field(description="the answer")
        classes: Value[list[ClassName] | None] = Field(
            None, description="the names looked for, in the order of their numbers; others are number -1"
        )
        model_type: Literal["florence-2", "google-gemini", "anthropic-claude", "openai", "qwen", "zai", "zai-flash", "muse",
                            "spacexai"] = Field(description="whose answer it is")  # fmt: skip
        task_type: Literal["object-detection", "open-vocabulary-object-detection", "object-detection-and-caption",
                           "phrase-grounded-object-detection", "region-proposal", "ocr-with-text-detection"] = Field(
            description="what was asked; of other models than Florence-2, object-detection"
        )  # fmt: skip

        @model_validator(mode="after")
        def _asked_for_what_it_can(self) -> Self:
            if self.model_type == "florence-2":
                return self
            if self.task_type != "object-detection":
                raise ValueError(f"`{self.task_type}` is a task of florence-2; object-detection would fit {self.model_type}")
            if self.classes is None:
                raise ValueError(f"`classes` is missing; the names that {self.model_type} was asked for would fit")
            return self

    outputs = {**DETECTIONS_OUTPUT, **_STATUS}
    light = True

    def run(self, image: Image, vlm_output: str, classes: list[str] | None, model_type: str, task_type: str) -> dict[str, Any]:
        """The detections of one answer."""
        found: sv.Detections | None = None
        with suppress(*_OTHER_SHAPE):
            if model_type == "florence-2":
                found = _detected(payload(vlm_output), classes, task_type)
            else:
                model = MODELS[model_type]
                found = boxes_of(model, _answer(vlm_output, cut_off=model.cut_off), classes or [], image.size)
            on_image(found, image)
        return {"predictions": found, "error_status": found is None, "inference_id": str(uuid4())}


def _answer(text: str, *, cut_off: bool) -> Any:
    """The JSON of an answer; of one that was cut off, the whole detections.

    Raises:
        ValueError: there is none.
    """
    try:
        return payload(text)
    except ValueError:
        found = [row for row in objects(text) if is_detection(row)] if cut_off else []
        if not found:
            raise
        return found


def _detected(answer: Mapping[str, Any], classes: list[str] | None, task: str) -> sv.Detections:
    """Detections of an answer in the form of the published processors."""
    data: dict[str, Any] = {}
    if task == "ocr-with-text-detection":
        quads = np.array(answer["quad_boxes"], float).reshape(-1, 4, 2)
        boxes = np.hstack([quads.min(axis=1), quads.max(axis=1)])
        data["quads"] = quads
    else:
        edges = np.array(answer["bboxes"], float).reshape(-1, 2, 2)
        boxes = np.hstack([edges.min(axis=1), edges.max(axis=1)])
    labels = answer.get("bboxes_labels", answer.get("labels", []))
    names = ["roi"] * len(boxes) if task == "region-proposal" else [str(label) for label in labels]
    if len(names) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes and {len(names)} labels")
    if task == "ocr-with-text-detection":
        data["text"] = object_array(names)
    scores = answer.get("confidences")
    return sv.Detections(
        xyxy=boxes, confidence=None if scores is None else np.array(scores, float),
        class_id=np.array([_number(name, classes, task) for name in names], int),
        data={"class_name": object_array(names), **data},
    )  # fmt: skip


def _number(name: str, classes: list[str] | None, task: str) -> int:
    """The number of a class: its place among those that were looked for, or one that every answer gives its name."""
    if task == "open-vocabulary-object-detection":
        return ClassList.of(classes or []).places.get(cleaned(name), -1)
    if task in ("object-detection", "phrase-grounded-object-detection"):
        return int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:9], 16) % 10_000
    return 0
