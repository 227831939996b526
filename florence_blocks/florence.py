"""`Florence2`: the Python API, with the method names of the field, so that changing one import is enough.

    from florence_blocks import Florence2

    model = Florence2.from_pretrained("florence-2-base")
    model.caption_image(image)                      # "A dog on a sofa."
    model.detect_objects([one, two])                # [sv.Detections, sv.Detections]
    model.caption_image_region(image, xyxy=boxes)   # one text per box

Every method takes one image or a list, and gives one result or a list. Coordinates are floats in pixels of the image.
What does not fit is told before the model is asked anything. In a list that should not fail for one bad image or box,
`return_exceptions=True` puts the exception in the place of its own result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import supervision as sv
import torch

from florence_blocks.answers import Answer
from florence_blocks.detections import to_detections
from florence_blocks.locations import Box
from florence_blocks.names import listed
from florence_blocks.prompts import PromptError
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import shared
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.pending import Progress, Stopped, cancel, outcomes
from florence_blocks.runtime.shared import Address
from florence_blocks.tasks import TASKS
from workflow_engine.arrays import batch_of
from workflow_engine.data import Image
from workflow_engine.pictures import ImageError

R = TypeVar("R")
_TOLD = 10
"""How many images that cannot be read an error names."""

Granularity = Literal["normal", "detailed", "very_detailed"]

CAPTION_TASKS = {"normal": "caption", "detailed": "detailed_caption", "very_detailed": "more_detailed_caption"}
DETECTION_TASKS = {"classes": "object_detection", "rois": "region_proposal", "captions": "dense_region_caption"}


class Florence2:
    """A Florence-2 model for Python programs; instances of one checkpoint, device and precision share their weights.

    All methods take these, and raise `ValueError` for images, boxes and phrases that do not fit, with their places in the list;
    for images that cannot be read before anything is asked.

    Args:
        images: one image, or a list or batch of them, in any form that `Image.load` takes: paths, PIL, arrays of numpy (BGR),
            tensors (RGB), and others.
        max_new_tokens, num_beams, do_sample, no_repeat_ngram_size, seed, constrained: settings of the generation, see
            `Settings`; the checkpoint's own where they are None.
        return_exceptions: whether the exception of an image or box that fails comes in the place of its result, while the
            others have theirs; else the first one is raised.
        coordinates: "token" for the centres of the model's bins, "refined" for finer ones.
        input_color_format: the order of the channels of arrays and tensors; "bgr" for numpy and "rgb" for tensors when None.
    """

    def __init__(self, model: FlorenceModel | Address) -> None:
        self._held = model

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str | Path = "florence-2-demo",
        *,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
    ) -> Florence2:
        """Load a model, or take the one this process has loaded already.

        Args:
            model_name_or_path: `florence-2-base`, `-large`, `-base-ft`, `-large-ft` (downloaded on first use), any hub id,
                a local folder, a PEFT adapter folder, or `florence-2-demo`, the small embedded model.
            device: by default CUDA where there is one, else the CPU.
            dtype: by default float32, whose answers are exactly the reference's.
            revision: the revision of a hub repository.

        Raises:
            CheckpointError: the checkpoint cannot be loaded.
        """
        address = shared.address_of(str(model_name_or_path), device=device, dtype=dtype, revision=revision)
        shared.model_at(address)
        return cls(address)

    @property
    def model(self) -> FlorenceModel:
        """The model in memory; loaded again if it was closed."""
        return self._held if isinstance(self._held, FlorenceModel) else shared.model_at(self._held)

    def close(self) -> None:
        """Free the memory of the model; what it was asked before is answered first.

        It is free for all that share it. Whoever asks again, also through this object, loads it again. `with
        Florence2.from_pretrained(...) as model:` closes it at the end.
        """
        if isinstance(self._held, FlorenceModel):
            self._held.close(finish=True)
        else:
            shared.close(self._held)

    def __enter__(self) -> Florence2:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def answer(
        self, requests: Sequence[Request], *, stopped: Stopped | None = None, progress: Progress | None = None
    ) -> list[Answer]:
        """Answer requests of any tasks in shared batches.

        Args:
            requests: the requests.
            stopped: asked about ten times a second; once it says so, whatever is not answered yet is cancelled.
            progress: told as often how many requests have their image encoded, and how many are answered.

        Raises:
            ValueError: the first request that is wrong in itself.
            CancelledError: it was stopped (`concurrent.futures.CancelledError`).
        """
        places = [""] * len(requests)
        answers = self._answers(requests, places, raises=True, stopped=stopped, progress=progress)
        return [answer for answer in answers if isinstance(answer, Answer)]

    def stats(self) -> dict[str, float]:
        """What the model has done so far: requests, images encoded, cache hits, batches, steps, seconds of each stage."""
        return self.model.stats()

    # ------------------------------------------------------------------ whole images

    def caption_image(self, images: Any, granularity: Granularity = "normal", **settings: Any) -> Any:
        """Describe images; returns a text, or a list of texts."""
        task = _choice(CAPTION_TASKS, "granularity", granularity)
        return self._ask(images, task, lambda answer, image: answer.text, settings)

    def detect_objects(
        self,
        images: Any,
        labels_mode: Literal["classes", "rois", "captions"] = "classes",
        classes: Iterable[str] | None = None,
        **settings: Any,
    ) -> Any:
        """Detect objects; returns `sv.Detections`, or a list of them.

        Args:
            images: one image or a list.
            labels_mode: what the boxes are named: `classes` (categories), `rois` (no names), `captions` (descriptions).
            classes: the only names to look for (open vocabulary), whose places in the list are the class ids; blanks around
                names do not count, and each comes once. `labels_mode` must then be `classes`.
            **settings: see the class.
        """
        task = _choice(DETECTION_TASKS, "labels_mode", labels_mode)
        if classes is None:
            return self._ask(images, task, _detections, settings)
        if labels_mode != "classes":
            raise ValueError(f'classes fit labels_mode="classes", not {labels_mode!r}')
        return self._ask(images, "open_vocabulary_detection", _detections, settings, classes=listed(classes))

    def ocr_image(self, images: Any, **settings: Any) -> Any:
        """Read the text of images; returns a text, or a list of texts."""
        return self._ask(images, "ocr", lambda answer, image: answer.text, settings)

    def parse_document(self, images: Any, **settings: Any) -> Any:
        """Read texts with their places; `sv.Detections` with `data["quads"]` `[n, 4, 2]` and `data["text"]`, or a list."""
        return self._ask(images, "ocr_with_regions", _detections, settings)

    def ground_phrase(self, images: Any, phrase: str, **settings: Any) -> Any:
        """Find what a phrase, or every phrase of a caption, names; returns `sv.Detections`, or a list."""
        return self._ask(images, "phrase_grounding", _detections, settings, phrase=phrase)

    def segment_phrase(self, images: Any, phrase: str, **settings: Any) -> Any:
        """Outline what a phrase names; `sv.Detections` with masks and `data["polygons"]`, named by the phrase, or a list."""

        def named(answer: Answer, image: Image) -> sv.Detections:
            return to_detections(answer, image.size, unnamed=phrase)

        return self._ask(images, "phrase_segmentation", named, settings, phrase=phrase)

    def prompt(self, images: Any, text: str, **settings: Any) -> Any:
        """Send any prompt as it is (for fine-tuned models); returns the raw text of the answer, or a list."""
        return self._ask(images, "prompt", lambda answer, image: answer.text, settings, text=text)

    # ------------------------------------------------------------------ regions

    def segment_region(self, images: Any, xyxy: Any, **settings: Any) -> Any:
        """Outline the object in each region; `sv.Detections`, in the form of `xyxy` (see `classify_image_region`)."""
        return self._ask_regions(images, xyxy, "region_segmentation", _detections, settings)

    def classify_image_region(self, images: Any, xyxy: Any, classes: Iterable[str] | None = None, **settings: Any) -> Any:
        """Name the category of each region.

        Args:
            images: one image or a list.
            xyxy: for one image a box `[4]` (returns one result) or boxes `[k, 4]` or `sv.Detections` (returns a list of k).
                For a list of images a list with one of these per image (returns a list with one of those per image); one box
                for all images fits too.
            classes: the only categories to choose from; the most probable one is given.
            **settings: see the class.
        """
        names = None if classes is None else listed(classes)
        return self._ask_regions(images, xyxy, "region_classification", _text, settings, names=names)

    def caption_image_region(self, images: Any, xyxy: Any, **settings: Any) -> Any:
        """Describe each region; texts, in the form of `xyxy` (see `classify_image_region`)."""
        return self._ask_regions(images, xyxy, "region_caption", _text, settings)

    def ocr_image_region(self, images: Any, xyxy: Any, **settings: Any) -> Any:
        """Read the text of each region; texts, in the form of `xyxy` (see `classify_image_region`)."""
        return self._ask_regions(images, xyxy, "region_ocr", _text, settings)

    # ------------------------------------------------------------------ asking

    def _answers(
        self,
        requests: Sequence[Request],
        places: Sequence[str],
        *,
        raises: bool,
        stopped: Stopped | None = None,
        progress: Progress | None = None,
    ) -> list[Answer | Exception]:
        """An answer per request; the exception of one that failed in its place, or raised, with its place in the message."""
        pending = shared.submitted(lambda: self.model, requests, stopped=stopped)
        wrong = [place for place, item in enumerate(pending) if isinstance(item, Exception)]
        if raises and wrong:
            cancel(pending)
            _raise(pending[wrong[0]], places[wrong[0]])
        answers = outcomes(pending, stopped=stopped, progress=progress)
        if raises:
            for answer, place in zip(answers, places, strict=True):
                _raise(answer, place)
        return answers

    def _ask(self, images: Any, task: str, give: Callable[[Answer, Image], R], settings: dict[str, Any], **inputs: Any) -> Any:
        raises = not settings.pop("return_exceptions", False)
        loaded, many = _images(images, settings, raises=raises)
        inputs |= _reading(settings)
        chosen = Settings(**settings)
        places = [f"images[{place}]" if many else "" for place in range(len(loaded))]
        requests = [Request(TASKS[task], image, settings=chosen, **inputs) for image in loaded]
        answers = self._answers(requests, places, raises=raises)
        results = [_given(give, answer, image) for answer, image in zip(answers, loaded, strict=True)]
        return results if many else results[0]

    def _ask_regions(
        self, images: Any, xyxy: Any, task: str, give: Callable[[Answer, Image], R], settings: dict[str, Any], **inputs: Any
    ) -> Any:
        raises = not settings.pop("return_exceptions", False)
        loaded, many = _images(images, settings, raises=raises)
        inputs |= _reading(settings)
        per_image = [_boxes(item) for item in _regions_of_images(xyxy, len(loaded))] if many else [_boxes(xyxy)]
        chosen = Settings(**settings)
        requests, places = list[Request](), list[str]()
        for number, (image, (boxes, several)) in enumerate(zip(loaded, per_image, strict=True)):
            for index, box in enumerate(boxes):
                requests.append(Request(TASKS[task], image, region=box, settings=chosen, **inputs))
                where = (f"[{number}]" if many else "") + (f"[{index}]" if several else "")
                places.append(f"xyxy{where}" if where else "")
        answers = iter(self._answers(requests, places, raises=raises))
        results: list[Any] = []
        for image, (boxes, several) in zip(loaded, per_image, strict=True):
            given = [_given(give, next(answers), image) for _ in boxes]
            results.append(given if several else given[0])
        return results if many else results[0]


def _given(give: Callable[[Answer, Image], R], answer: Answer | Exception, image: Image) -> R | Exception:
    return answer if isinstance(answer, Exception) else give(answer, image)


def _raise(answer: object, place: str) -> None:
    """Raise the exception of a request that failed; one that is wrong in itself says where it was."""
    if isinstance(answer, ValueError) and place:
        raise PromptError(f"{place}: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer


def _reading(settings: dict[str, Any]) -> dict[str, Any]:
    """How answers are read, taken out of the settings."""
    coordinates = settings.pop("coordinates", "token")
    if coordinates not in ("token", "refined"):
        raise ValueError(f'coordinates={coordinates!r}; "token" or "refined" would fit')
    return {"coordinates": coordinates}


def _choice(options: dict[str, str], name: str, value: str) -> str:
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}={value!r}; {' or '.join(options)} would fit")
    return options[value]


def _text(answer: Answer, image: Image) -> str:
    return answer.text


def _detections(answer: Answer, image: Image) -> sv.Detections:
    return to_detections(answer, image.size)


# ------------------------------------------------------------------ what callers have


def _images(images: Any, settings: dict[str, Any], *, raises: bool) -> tuple[list[Image], bool]:
    """The images of a call, and whether there were several; takes the channel order out of the settings.

    Raises:
        ImageError: some cannot be read, and it shall be raised: nothing is asked about a list with one of these.
    """
    order = settings.pop("input_color_format", None)
    if order not in (None, "bgr", "rgb"):
        raise ValueError(f'input_color_format={order!r}; "bgr" or "rgb" would fit')
    several = list(images) if isinstance(images, (list, tuple)) else batch_of(images)
    loaded, wrong = list[Image](), list[str]()
    for place, image in enumerate([images] if several is None else several):
        try:
            loaded.append(Image.load(image, order=order))
            _ = loaded[-1].array
        except ImageError as error:
            loaded[place:] = [Image.unreadable(error)]
            wrong.append(str(error) if several is None else f"images[{place}]: {error}")
    if wrong and raises:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise ImageError("; ".join(wrong[:_TOLD]) + more)
    return loaded, several is not None


def _regions_of_images(xyxy: Any, count: int) -> list[Any]:
    """One entry per image: a list of that length, or one box for all."""
    try:
        have = 1 if isinstance(xyxy, sv.Detections) else len(xyxy)
    except TypeError:
        raise ValueError(
            f"xyxy={repr(xyxy)[:80]} is no list; one box for all images or one entry per image would fit"
        ) from None
    if not isinstance(xyxy, sv.Detections) and all(np.isscalar(item) for item in xyxy) and have == 4:
        return [xyxy] * count
    if isinstance(xyxy, sv.Detections) or have != count:
        raise ValueError(f"xyxy has {have} entries for {count} images; one per image would fit")
    return list(xyxy)


def _boxes(xyxy: Any) -> tuple[list[Box], bool]:
    """The boxes of one image, and whether there were several."""
    try:
        given = xyxy.xyxy if isinstance(xyxy, sv.Detections) else np.asarray(xyxy, dtype=float)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"xyxy={repr(xyxy)[:80]} is no box or list of boxes; [4] or [k, 4] numbers would fit") from None
    if given.size == 0:
        return [], True
    if given.ndim not in (1, 2) or given.shape[-1] != 4:
        raise ValueError(f"xyxy of shape {list(given.shape)}; [4] or [k, 4] would fit")
    rows = given.reshape(-1, 4).tolist()
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in rows], given.ndim == 2
