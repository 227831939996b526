"""From blocks to the model and back: elements become requests, all of them go to the model at once, answers become values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from florence_blocks.answers import Answer
from florence_blocks.blocks.fields import as_detections, narrowed
from florence_blocks.detections import confidences, masks, to_detections
from florence_blocks.names import ClassList
from florence_blocks.requests import Request, Settings
from florence_blocks.tasks import Grammar, Task
from workflow_engine.block import Block, Partly
from workflow_engine.current import Run, current_run
from workflow_engine.data import Image
from workflow_engine.detections import object_array, on_image
from workflow_engine.errors import UnavailableError
from workflow_engine.lazy import LazyModule
from workflow_engine.profile import loading

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv

    from florence_blocks.runtime import fingerprint
    from florence_blocks.runtime.model import FlorenceModel
    from florence_blocks.runtime.pending import Pending
else:
    fingerprint = LazyModule("florence_blocks.runtime.fingerprint")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

P = ParamSpec("P")
T = TypeVar("T")

Asked = tuple[str, Request]
"""A request, and the model it is for."""
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


def attempt(make: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | Exception:
    """What a function gives, or what it raises: what is wrong with one thing must not reach the others of its batch.

    Raises:
        UnavailableError: a model cannot be loaded, which is about all of them.
    """
    try:
        return make(*args, **options)
    except UnavailableError:
        raise
    except Exception as error:
        return error


def ask(asked: Sequence[Asked | Exception]) -> list[Answer | Exception]:
    """Answers to requests; all requests to one model go out together. What could not be asked stays what it is.

    A run that ends early takes its requests back.

    Raises:
        UnavailableError: a model cannot be loaded: no element could be answered, now or later in the run.
        Exception: of the run's `progress`, which cancels what is not answered yet.
    """
    try:
        with loading("the runtime"):
            from florence_blocks.runtime import pending as waiting
    except ImportError as error:  # a package is missing or does not fit, which the error names
        raise UnavailableError(str(error)) from error

    run = current_run() or Run()
    answers: list[Answer | Exception | None] = [item if isinstance(item, Exception) else None for item in asked]
    places: dict[str, list[int]] = {}
    for place, item in enumerate(asked):
        if not isinstance(item, Exception):
            places.setdefault(item[0], []).append(place)
    before = sum(isinstance(item, Exception) for item in asked)

    def told(encoded: int, answered: int) -> None:
        if run.progress is not None:
            run.progress(2 * before + encoded + answered, 2 * len(asked))

    for model_id, own in places.items():
        requests = [item[1] for item in (asked[place] for place in own) if isinstance(item, tuple)]
        pending = attempt(_submitted, run, model_id, requests)
        if isinstance(pending, Exception):  # one model's trouble is not another's
            pending = [pending] * len(own)
        with run.on_stop(partial(waiting.cancel, pending)):
            given = waiting.outcomes(pending, stopped=run.stopped, progress=told)
        for place, answer in zip(own, given, strict=True):
            answers[place] = answer
        before += len(own)
    return [answer for answer in answers if answer is not None]


def _submitted(run: Run, model_id: str, requests: Sequence[Request]) -> Sequence[Pending | Exception]:
    """Requests on their way to a model, which is loaded if need be."""
    from florence_blocks.runtime import shared
    from florence_blocks.runtime.forked import ForkedError

    def model() -> FlorenceModel:
        try:
            with loading(model_id):
                return shared.shared_model(model_id)
        except (ValueError, ForkedError) as error:  # of this device, precision or process
            raise UnavailableError(str(error)) from error

    return shared.submitted(model, requests, customer=run, deadline=run.deadline, stopped=run.stopped)


def image_value(request: Request, answer: Answer) -> Any:
    """What a block gives for an answer about a whole image: a text, or detections."""
    task, image = request.task, request.image
    if task.grammar is Grammar.TEXT:
        return {TEXT_OUTPUTS[task.name]: answer.text, "confidence": answer.confidence}
    return on_image(to_detections(answer, image.size, unnamed=request.phrase or ""), image)


@dataclass(frozen=True)
class RegionsAsked:
    """The regions that one element asks about.

    Attributes:
        regions: the regions; one that is no box is a point at the origin, so that no later step stumbles over it.
        requests: one for each.
        image: the image they lie on.
        listed: the only names they may be given.
    """

    regions: sv.Detections
    requests: Sequence[Request]
    image: Image
    listed: ClassList


def region_requests(task: Task, element: Element) -> RegionsAsked:
    """The regions an element asks about.

    Raises:
        Exception: something that concerns all of them is wrong.
    """
    regions, image = narrowed(as_detections(element["regions"]), element["regions_to_use"]), element["images"]
    listed = ClassList.of(element.get("classes") or ())
    chosen: Any = {"settings": settings_of(element), "names": element.get("classes") or None,
                   "coordinates": element.get("coordinates", "token")}  # fmt: skip
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in regions.xyxy.tolist()]
    requests = [Request(task, image, region=box, **chosen) for box in boxes]
    finite = np.isfinite(regions.xyxy).all(axis=1, keepdims=True)
    return RegionsAsked(replace(regions, xyxy=np.where(finite, regions.xyxy, 0.0)), requests, image, listed)


def region_value(task: Task, asked: RegionsAsked, answers: Sequence[Answer | Exception]) -> Any:
    """What a block gives for its regions: the regions with their new names, texts or masks, and the list of texts.

    Regions without a confidence take that of the answer. A region that failed keeps its box, with an empty name, an empty mask
    and no confidence (0); its text is None.

    Raises:
        Exception: of the first region, where all failed.
    """
    failed = {place: answer for place, answer in enumerate(answers) if isinstance(answer, Exception)}
    if failed and len(failed) == len(answers):
        raise failed[0]
    nothing = Answer(task.name, "", (), False, "", confidence=0.0, name_probabilities={})
    read = [nothing if isinstance(answer, Exception) else answer for answer in answers]
    value = _outlined(asked, read) if task.grammar is Grammar.OUTLINES else _named(task, asked, read, failed)
    return Partly(value, {f"regions[{place}]": error for place, error in failed.items()}) if failed else value


def _named(task: Task, asked: RegionsAsked, answers: Sequence[Answer], failed: Mapping[int, Exception]) -> dict[str, Any]:
    """The regions with their new names and texts."""
    regions, image = asked.regions, asked.image
    texts = [answer.text for answer in answers]
    sure = confidences([answer.confidence for answer in answers])
    data = {**regions.data, "text": object_array(texts)}
    if sure is not None:
        data["text_confidence"] = sure
    class_id, confidence = regions.class_id, regions.confidence
    if task.name == "region_classification" or confidence is None:
        confidence = sure
    if task.name != "region_ocr":
        data["class_name"] = object_array(texts)
        class_id = np.array(asked.listed.ids(texts), dtype=int)
    named = sv.Detections(xyxy=regions.xyxy.copy(), mask=regions.mask, confidence=confidence, class_id=class_id,
                          tracker_id=regions.tracker_id, data=data, metadata=dict(regions.metadata))  # fmt: skip
    given = [None if place in failed else text for place, text in enumerate(texts)]
    value = {"predictions": on_image(named, image), "texts": given}
    if task.name == "region_classification":
        value["classifications"] = [_classification(answer, asked) for answer in answers]
    return value


def _classification(answer: Answer, asked: RegionsAsked) -> dict[str, Any]:
    """An answer as a classification: every class with its probability, the most probable first."""
    known = answer.name_probabilities
    if known is None:
        known = {answer.text: answer.confidence or 0.0}
    numbers = dict(zip(known, asked.listed.ids(list(known)), strict=True))
    ranked = sorted(known.items(), key=lambda item: -item[1])
    predictions = [{"class": name, "class_id": numbers[name], "confidence": value} for name, value in ranked]
    return {"image": {"width": asked.image.width, "height": asked.image.height}, "predictions": predictions,
            "top": answer.text, "confidence": answer.confidence}  # fmt: skip


def _outlined(asked: RegionsAsked, answers: Sequence[Answer]) -> sv.Detections:
    """The regions with one mask each; a region whose answer holds no outline keeps its box and an empty mask.

    How sure the outlines are is in `data["mask_confidence"]`; it is the confidence as well where the regions have none.
    """
    regions, image = asked.regions, asked.image
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
    if sure is not None:
        data["mask_confidence"] = sure
    confidence = sure if regions.confidence is None else regions.confidence
    outlined = sv.Detections(xyxy=boxes, mask=filled, confidence=confidence, class_id=regions.class_id,
                             tracker_id=regions.tracker_id, data=data, metadata=dict(regions.metadata))  # fmt: skip
    return on_image(outlined, image)
