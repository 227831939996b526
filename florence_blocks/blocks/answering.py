"""From blocks to the model and back: elements become requests, all of them go to the model at once, answers become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from florence_blocks.answers import Answer
from florence_blocks.blocks.fields import as_detections, narrowed
from florence_blocks.detections import confidences, masks, to_detections
from florence_blocks.requests import Request, Settings
from florence_blocks.tasks import Grammar, Task
from workflow_engine.block import Block
from workflow_engine.current import Run, current_run
from workflow_engine.data import Image
from workflow_engine.detections import object_array, on_image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv

    from florence_blocks.runtime import fingerprint
else:
    fingerprint = LazyModule("florence_blocks.runtime.fingerprint")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Element = Mapping[str, Any]
"""The fields of one element of a Florence step, by name."""

TEXT_OUTPUTS: Mapping[str, str] = {
    "caption": "caption", "detailed_caption": "caption", "more_detailed_caption": "caption", "ocr": "text", "prompt": "answer",
}  # fmt: skip
"""What the text of a text task is called among the outputs of its block."""

_SETTINGS = ("max_new_tokens", "num_beams", "no_repeat_ngram_size", "constrained")


class Asking(Block):
    """A block that asks a Florence-2 about all elements at once."""

    batched = True

    @classmethod
    def depends_on(cls, fields: Mapping[str, Any]) -> str | None:
        """The weights that the model id stands for right now."""
        model_id = fields.get("model_id")
        return fingerprint.fingerprint(model_id) if isinstance(model_id, str) else None


def elements_of(fields: Mapping[str, Sequence[Any]]) -> list[Element]:
    """The columns of a batched call as one mapping per element."""
    return [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]


def settings_of(element: Element) -> Settings:
    """The generation settings of an element."""
    return Settings(**{name: element[name] for name in _SETTINGS})


def ask(asked: Sequence[tuple[str, Request]]) -> list[Answer | Exception]:
    """Answers to requests, each with the model it is for; all requests to one model go out together."""
    answers: list[Answer | Exception | None] = [None] * len(asked)
    before = 0
    for model_id in dict.fromkeys(model_id for model_id, _ in asked):
        places = [place for place, (wanted, _) in enumerate(asked) if wanted == model_id]
        try:
            given = _answers(model_id, [asked[place][1] for place in places], before, len(asked))
        except Exception as error:  # a model that cannot be loaded fails its own elements only
            given = [error] * len(places)
        for place, answer in zip(places, given, strict=True):
            answers[place] = answer
        before += len(places)
    return [answer for answer in answers if answer is not None]


def _answers(model_id: str, requests: Sequence[Request], before: int, total: int) -> list[Answer | Exception]:
    """The answers of a model; a run that ends early takes its requests back.

    Args:
        model_id: the model.
        requests: what it is asked.
        before: how many requests of the step other models have answered.
        total: how many requests the step has.
    """
    from florence_blocks.runtime import pending as waiting
    from florence_blocks.runtime import shared

    run = current_run() or Run()

    def told(encoded: int, answered: int) -> None:
        if run.progress is not None:
            run.progress(2 * before + encoded + answered, 2 * total)

    pending = shared.submitted(
        lambda: shared.shared_model(model_id), requests, customer=run, deadline=run.deadline, stopped=run.stopped
    )
    with run.on_stop(lambda: waiting.cancel(pending)):
        return waiting.outcomes(pending, stopped=run.stopped, progress=told)


def image_value(task: Task, answer: Answer, image: Image) -> Any:
    """What a block gives for an answer about a whole image: a text, or detections."""
    if task.grammar is Grammar.TEXT:
        return {TEXT_OUTPUTS[task.name]: answer.text, "confidence": answer.confidence}
    return on_image(to_detections(answer, image.size), image)


def region_requests(task: Task, element: Element) -> tuple[sv.Detections, list[Request]]:
    """The regions an element asks about, and a request for each."""
    regions = narrowed(as_detections(element["regions"]), element["regions_to_use"])
    names = tuple(element["classes"]) if element.get("classes") else None
    chosen: Any = {"settings": settings_of(element), "names": names, "coordinates": element.get("coordinates", "token")}
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in regions.xyxy.tolist()]
    width, height = element["images"].size
    for box in boxes:
        if not (box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0):
            raise ValueError(f"the region {list(box)} lies outside of the {width}x{height} image")
    return regions, [Request(task, element["images"], region=box, **chosen) for box in boxes]


def region_value(task: Task, regions: sv.Detections, answers: Sequence[Answer], image: Image) -> Any:
    """What a block gives for its regions: the regions with their new names, texts or masks, and the list of texts.

    Regions without a confidence take that of the answer.
    """
    if task.grammar is Grammar.OUTLINES:
        return on_image(_outlined(regions, answers, image), image)
    texts = [answer.text for answer in answers]
    sure = confidences([answer.confidence for answer in answers])
    data = {**regions.data, "text": object_array(texts)}
    if sure is not None:
        data["text_confidence"] = sure
    class_id, confidence = regions.class_id, regions.confidence
    if task.name == "region_classification" or confidence is None:
        confidence = sure
    if task.name != "region_ocr":
        order = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        data["class_name"] = object_array(texts)
        class_id = np.array([order[text] for text in texts], dtype=int)
    named = sv.Detections(xyxy=regions.xyxy.copy(), mask=regions.mask, confidence=confidence, class_id=class_id,
                          tracker_id=regions.tracker_id, data=data, metadata=dict(regions.metadata))  # fmt: skip
    value = {"predictions": on_image(named, image), "texts": texts}
    if task.name == "region_classification":
        value["classifications"] = [_classification(answer, image) for answer in answers]
    return value


def _classification(answer: Answer, image: Image) -> dict[str, Any]:
    """An answer as a classification: every class with its probability, the most probable first."""
    known = answer.name_probabilities or {answer.text: answer.confidence or 0.0}
    ranked = sorted(known.items(), key=lambda item: -item[1])
    order = {name: index for index, name in enumerate(known)}
    predictions = [{"class": name, "class_id": order[name], "confidence": value} for name, value in ranked]
    return {"image": {"width": image.width, "height": image.height}, "predictions": predictions, "top": answer.text,
            "confidence": answer.confidence}  # fmt: skip


def _outlined(regions: sv.Detections, answers: Sequence[Answer], image: Image) -> sv.Detections:
    """The regions with one mask each; a region whose answer holds no outline keeps its box and an empty mask."""
    found = [answer.instances[0] if answer.instances else None for answer in answers]
    filled = np.zeros((len(found), image.height, image.width), dtype=bool)
    there = [place for place, instance in enumerate(found) if instance is not None]
    instances = [instance for instance in found if instance is not None]
    if instances:
        filled[there] = masks(instances, image.size)
    boxes = regions.xyxy.astype(float)
    for place, instance in zip(there, instances, strict=True):
        boxes[place] = instance.box
    outlines = [[np.array(outline) for outline in instance.outlines] if instance else [] for instance in found]
    data = {**regions.data, "polygons": object_array(outlines)}
    sure = confidences([instance.confidence if instance else 0.0 for instance in found])
    confidence = sure if regions.confidence is None else regions.confidence
    return sv.Detections(xyxy=boxes, mask=filled, confidence=confidence, class_id=regions.class_id,
                         tracker_id=regions.tracker_id, data=data, metadata=dict(regions.metadata))  # fmt: skip
