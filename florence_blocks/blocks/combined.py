"""All tasks in one block, with the fields and answers of the best-known runtime.

Definitions for it run as they are. Its answers are JSON in the form of the published processors:
`{"bboxes": [...], "labels": [...]}`, with `confidences` besides.
The typed blocks give more: detections, and every region instead of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from florence_blocks.answers import Answer, Instance
from florence_blocks.blocks.answering import Asked, Asking, ask, attempt, elements_of
from florence_blocks.blocks.fields import EDGE_SCHEMA, OnlyClasses, RegionsToUse, Text, as_box, as_detections, narrowed
from florence_blocks.requests import Request
from florence_blocks.tasks import TASKS, Grammar, Needs, Task
from workflow_engine.block import Accepts, BlockManifest, ImageReference, Output, Value
from workflow_engine.detections import is_detections
from workflow_engine.kinds import DETECTIONS, DICTIONARY, LANGUAGE_MODEL_OUTPUT, LIST_OF_VALUES, STRING

TaskType = Literal[
    "open-vocabulary-object-detection", "ocr", "ocr-with-text-detection", "caption", "detailed-caption",
    "more-detailed-caption", "object-detection-and-caption", "object-detection", "phrase-grounded-object-detection",
    "phrase-grounded-instance-segmentation", "detection-grounded-instance-segmentation", "detection-grounded-classification",
    "detection-grounded-caption", "detection-grounded-ocr", "region-proposal", "custom",
]  # fmt: skip
_TASKS: Mapping[str, str] = {
    "open-vocabulary-object-detection": "open_vocabulary_detection",
    "ocr": "ocr",
    "ocr-with-text-detection": "ocr_with_regions",
    "caption": "caption",
    "detailed-caption": "detailed_caption",
    "more-detailed-caption": "more_detailed_caption",
    "object-detection-and-caption": "dense_region_caption",
    "object-detection": "object_detection",
    "phrase-grounded-object-detection": "phrase_grounding",
    "phrase-grounded-instance-segmentation": "phrase_segmentation",
    "detection-grounded-instance-segmentation": "region_segmentation",
    "detection-grounded-classification": "region_classification",
    "detection-grounded-caption": "region_caption",
    "detection-grounded-ocr": "region_ocr",
    "region-proposal": "region_proposal",
    "custom": "prompt",
}
_NAMED = ("open-vocabulary-object-detection", "object-detection", "object-detection-and-caption",
          "phrase-grounded-object-detection")  # fmt: skip
"""The tasks whose labels become the output `classes`."""
_NEEDED: Mapping[Needs, str] = {
    Needs.PHRASE: "prompt",
    Needs.TEXT: "prompt",
    Needs.CLASSES: "classes",
    Needs.REGION: "grounding_detection",
}


def _grounding(value: Any) -> Any:
    """Detections as they are; a literal box as four numbers."""
    if value is None or is_detections(value):
        return value
    box = as_box(value)
    if box is None:
        raise ValueError("a region is detections, or one box [x1, y1, x2, y2] in pixels")
    return box


_Box = Annotated[Any, BeforeValidator(_grounding), WithJsonSchema({"type": "array", "items": EDGE_SCHEMA})]
_Selection = Literal["first", "last", "biggest", "smallest", "most-confident", "least-confident"]


class AnyTask(Asking):
    """Florence-2 with any of its tasks, as the best-known runtime has it: JSON answers, one region per image.

    `{"type": "florence/any_task@v1", "name": "ask", "images": "$inputs.image", "task_type": "object-detection"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["florence/any_task@v1", "roboflow_core/florence_2@v2", "roboflow_core/florence_2@v1"]
        images: ImageReference = Field(validation_alias=AliasChoices("images", "image"))
        model_id: Value[str] = Field(
            "florence-2-base", validation_alias=AliasChoices("model_id", "model_version"), description="as in the typed blocks"
        )
        task_type: TaskType = Field("open-vocabulary-object-detection", description="what is asked")
        prompt: Text | None = Field(None, description="the phrase, or the text of a custom prompt")
        classes: OnlyClasses = Field(None, description="the names to look for")
        grounding_detection: Annotated[Value[_Box], Accepts(*DETECTIONS, LIST_OF_VALUES)] = Field(
            None, description="the region: detections of a step before, or a box [x1, y1, x2, y2] in pixels"
        )
        grounding_selection_mode: _Selection = Field("first", description="which of several detections is the region")

        @model_validator(mode="after")
        def _has_what_its_task_needs(self) -> Self:
            needed = _NEEDED.get(TASKS[_TASKS[self.task_type]].needs)
            if needed is not None and getattr(self, needed) is None:
                said = f'task_type "{self.task_type}" needs it'
                raise PydanticCustomError("needed", "{said}", {"said": said, "inside": f".{needed}"})
            return self

    outputs = {
        "raw_output": Output(STRING, LANGUAGE_MODEL_OUTPUT),
        "parsed_output": Output(DICTIONARY),
        "classes": Output(LIST_OF_VALUES),
    }

    def run(self, **fields: Any) -> list[Any]:
        """Ask about all images at once; one without a region gets no answer."""
        elements = elements_of(fields)
        prepared = [attempt(_prepared, element) for element in elements]
        answers = iter(ask([item for item in prepared if item is not None]))
        values: list[Any] = []
        for element, item in zip(elements, prepared, strict=True):
            answer = None if item is None else next(answers)
            if answer is None:
                values.append(dict.fromkeys(self.outputs))
            else:
                values.append(answer if isinstance(answer, Exception) else attempt(_value, element, answer))
        return values


def _prepared(element: Mapping[str, Any]) -> Asked | None:
    """The request of one element; None where there is no region to ask about."""
    task, image = TASKS[_TASKS[element["task_type"]]], element["images"]
    if task.needs is not Needs.REGION:
        given = {Needs.PHRASE: {"phrase": element["prompt"]}, Needs.TEXT: {"text": element["prompt"]},
                 Needs.CLASSES: {"classes": element["classes"] or ()}}  # fmt: skip
        return element["model_id"], Request(task, image, **given.get(task.needs, {}))
    region = element["grounding_detection"]
    regions = as_detections(region if is_detections(region) else [region])
    which: RegionsToUse = element["grounding_selection_mode"].replace("-", "_")
    boxes = narrowed(regions, which).xyxy.tolist()
    return (element["model_id"], Request(task, image, region=tuple(boxes[0]))) if boxes else None


def _value(element: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    task = TASKS[_TASKS[element["task_type"]]]
    parsed = _FORMS[task.grammar](task, answer)
    labels = parsed.get("labels", parsed.get("bboxes_labels", [])) if isinstance(parsed, dict) else []
    return {
        "raw_output": json.dumps(parsed),
        "parsed_output": parsed if isinstance(parsed, dict) else None,
        "classes": labels if element["task_type"] in _NAMED else list(element["classes"] or []),
    }


def _text(task: Task, answer: Answer) -> str:
    return answer.text


def _boxes(task: Task, answer: Answer) -> dict[str, Any]:
    found = answer.instances
    if task.grammar is not Grammar.BOXES_OR_OUTLINES:
        return {"bboxes": [list(one.box) for one in found], "labels": [one.label for one in found], **_sure(found)}
    plain, outlined = ([one for one in found if bool(one.outlines) is wanted] for wanted in (False, True))
    return {
        "bboxes": [list(one.box) for one in plain], "bboxes_labels": [one.label for one in plain],
        "polygons": [_flat(one.outlines) for one in outlined], "polygons_labels": [one.label for one in outlined],
        **_sure(plain),
    }  # fmt: skip


def _quads(task: Task, answer: Answer) -> dict[str, Any]:
    found = [one for one in answer.instances if one.quad is not None]
    quads = [[edge for corner in one.quad or () for edge in corner] for one in found]
    return {"quad_boxes": quads, "labels": [one.label for one in found], **_sure(found)}


def _sure(found: Sequence[Instance]) -> dict[str, list[float]]:
    """The confidences of boxes or quads, which the published processors leave out; nothing where one has none."""
    scores = [one.confidence for one in found]
    return {} if None in scores else {"confidences": [score for score in scores if score is not None]}


def _outlines(task: Task, answer: Answer) -> dict[str, Any]:
    return {"polygons": [_flat(one.outlines) for one in answer.instances], "labels": [one.label for one in answer.instances]}


def _flat(outlines: tuple[tuple[tuple[float, float], ...], ...]) -> list[list[float]]:
    return [[edge for corner in outline for edge in corner] for outline in outlines]


_FORMS: Mapping[Grammar, Callable[[Task, Answer], Any]] = {
    Grammar.TEXT: _text,
    Grammar.REGION_TEXT: _text,
    Grammar.BOXES: _boxes,
    Grammar.PROPOSALS: _boxes,
    Grammar.BOXES_OR_OUTLINES: _boxes,
    Grammar.QUADS: _quads,
    Grammar.OUTLINES: _outlines,
}
