"""One typed block per task, made from the rows of the task table.

The manifest follows from what the prompt needs, the outputs from the grammar of the answer. Every block is batched: the
requests of all elements of a step, whatever image or crop they belong to, go to the model at once. A request that is wrong
in itself fails its own element, a region its own part of one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, create_model

from florence_blocks.blocks.answering import (
    TEXT_OUTPUTS,
    Asked,
    Asking,
    RegionsAsked,
    ask,
    attempt,
    elements_of,
    image_value,
    region_requests,
    region_value,
    settings_of,
)
from florence_blocks.blocks.fields import Classes, Coordinates, FlorenceManifest, OnlyClasses, RegionManifest, Text
from florence_blocks.requests import Request
from florence_blocks.tasks import TASKS, Grammar, Needs, Task
from workflow_engine.block import BlockManifest, Output, Partly, Value, type_literal
from workflow_engine.kinds import (
    FLOAT_ZERO_TO_ONE,
    INSTANCE_SEGMENTATION,
    LANGUAGE_MODEL_OUTPUT,
    LIST_OF_VALUES,
    OBJECT_DETECTION,
    STRING,
)

log = logging.getLogger(__name__)

_FIELDS: Mapping[Needs, Mapping[str, Any]] = {
    Needs.NOTHING: {},
    Needs.PHRASE: {"phrase": (Text, Field(description="what to look for: a phrase, or a caption with several"))},
    Needs.CLASSES: {
        "classes": (
            Classes,
            Field(description="the names to look for"),
        )
    },
    Needs.REGION: {},
    Needs.TEXT: {"text": (Text, Field(description="the prompt, sent as it is"))},
}
_EXAMPLES: Mapping[Needs, Mapping[str, Any]] = {
    Needs.NOTHING: {},
    Needs.PHRASE: {"phrase": "the red car"},
    Needs.CLASSES: {"classes": ["car", "bus"]},
    Needs.REGION: {"regions": "$steps.detect.predictions"},
    Needs.TEXT: {"text": "What does the sign say?"},
}
_BOXES = {"predictions": Output(OBJECT_DETECTION)}
_MASKS = {"predictions": Output(INSTANCE_SEGMENTATION)}
_OUTPUTS: Mapping[Grammar, Mapping[str, Output]] = {
    Grammar.BOXES: _BOXES,
    Grammar.PROPOSALS: _BOXES,
    Grammar.QUADS: _BOXES,
    Grammar.BOXES_OR_OUTLINES: {"predictions": Output(OBJECT_DETECTION, INSTANCE_SEGMENTATION)},
    Grammar.OUTLINES: _MASKS,
    Grammar.REGION_TEXT: {**_BOXES, "texts": Output(LIST_OF_VALUES)},
}
_NAMES = {"classes": (OnlyClasses, Field(None, description="the only names that may be given; by default any name"))}
_PLACES = {
    "coordinates": (
        Coordinates,
        Field(
            "token",
            description="token: the centres of the chosen bins; refined: the mean of what the model gave the bins around them",
        ),
    )
}
_SURE = {"confidence": Output(FLOAT_ZERO_TO_ONE)}

CAPTION_TASKS: Mapping[str, str] = {
    "normal": "caption",
    "detailed": "detailed_caption",
    "very_detailed": "more_detailed_caption",
}


class FlorenceBlock(Asking):
    """A block that asks Florence-2 one task about every image."""

    task: ClassVar[Task]

    def run(self, **fields: Any) -> list[Any]:
        """Ask about all elements at once; an exception in place of an answer fails its element."""
        asked = [attempt(self._asked, element) for element in elements_of(fields)]
        values: list[Any] = []
        for item, answer in zip(asked, ask(asked), strict=True):
            if isinstance(item, Exception) or isinstance(answer, Exception):
                values.append(answer)
            else:
                values.append(attempt(image_value, item[1], answer))
        return values

    @classmethod
    def named(cls, value: Any) -> dict[str, Any]:
        """The outputs of one element by name, for runtimes that know no failed elements; failed parts are logged.

        Raises:
            Exception: the element failed.
        """
        if isinstance(value, Exception):
            raise value
        if isinstance(value, Partly):
            for part, error in value.failed.items():
                log.warning("%s, %s: %s", cls.task.name, part, error)
            value = value.value
        return value if isinstance(value, dict) else {next(iter(cls.outputs)): value}

    def _asked(self, element: Mapping[str, Any]) -> Asked:
        return element["model_id"], self.request(element)

    def request(self, element: Mapping[str, Any]) -> Request:
        """The request of one element."""
        inputs = {name: element[name] for name in ("phrase", "text", "coordinates") if name in element}
        if element.get("classes"):
            inputs["classes" if self.task.needs is Needs.CLASSES else "names"] = element["classes"]
        return Request(self.task, element["images"], settings=settings_of(element), **inputs)


class CaptionBlock(FlorenceBlock):
    """One sentence, a few sentences or a paragraph about every image.

    Florence-2's `<CAPTION>`, `<DETAILED_CAPTION>` and `<MORE_DETAILED_CAPTION>`.

    `{"type": "florence/caption@v1", "name": "describe", "images": "$inputs.image", "granularity": "detailed"}`
    """

    class Manifest(FlorenceManifest):
        """The fields of a caption step."""

        type: Literal["florence/caption@v1"]
        granularity: Value[Literal["normal", "detailed", "very_detailed"]] = Field("normal", description="how much to say")

    outputs = {"caption": Output(STRING, LANGUAGE_MODEL_OUTPUT), **_SURE}

    def request(self, element: Mapping[str, Any]) -> Request:
        """The request of one element: its task follows from the granularity."""
        return Request(TASKS[CAPTION_TASKS[element["granularity"]]], element["images"], settings=settings_of(element))


class RegionBlock(FlorenceBlock):
    """A block that asks Florence-2 one task about every region of every image; no regions give an empty answer.

    A region that fails (outside of its image, without area) has no answer, and the others of its image have theirs.
    """

    def run(self, **fields: Any) -> list[Any]:
        """Ask about all regions of all elements at once."""
        prepared: list[RegionsAsked | Exception] = []
        asked: list[Asked | Exception] = []
        for element in elements_of(fields):
            item = attempt(region_requests, self.task, element)
            prepared.append(item)
            if not isinstance(item, Exception):
                asked += [(element["model_id"], request) for request in item.requests]
        answers = iter(ask(asked))
        values: list[Any] = []
        for item in prepared:
            if isinstance(item, Exception):
                values.append(item)
            else:
                values.append(attempt(region_value, self.task, item, [next(answers) for _ in item.requests]))
        return values


def _block(task: Task) -> type[FlorenceBlock]:
    """The block class of a row of the task table."""
    base = RegionBlock if task.needs is Needs.REGION else FlorenceBlock
    title = "".join(part.capitalize() for part in task.name.split("_"))
    fields = {**_FIELDS[task.needs], **(_NAMES if task.name in ("object_detection", "region_classification") else {}),
              **({} if task.grammar in (Grammar.TEXT, Grammar.REGION_TEXT) else _PLACES)}  # fmt: skip
    manifest: type[BlockManifest] = create_model(
        f"{title}Manifest",
        __base__=RegionManifest if task.needs is Needs.REGION else FlorenceManifest,
        __doc__=f"The fields of a {task.name} step.",
        __module__=__name__,
        type=(type_literal(f"florence/{task.name}@v1"), ...),
        **fields,
    )
    manifest.__qualname__ = f"{title}Block.Manifest"
    if task.grammar is Grammar.TEXT:
        outputs: Mapping[str, Output] = {TEXT_OUTPUTS[task.name]: Output(STRING, LANGUAGE_MODEL_OUTPUT), **_SURE}
    else:
        outputs = _OUTPUTS[task.grammar]
    if task.name == "region_classification":
        outputs = {**outputs, "classifications": Output(LIST_OF_VALUES)}
    step = {"type": f"florence/{task.name}@v1", "name": "ask", "images": "$inputs.image", **_EXAMPLES[task.needs]}
    asked = f"Florence-2's `{task.token}`" if task.token else "A prompt of your own, for a fine-tune that knows it"
    doc = f"{task.summary}\n\n{asked}.\n\n`{json.dumps(step)}`"
    return type(f"{title}Block", (base,), {"__doc__": doc, "__module__": __name__, "task": task, "Manifest": manifest,
                                           "outputs": outputs})  # fmt: skip


BLOCKS: tuple[type[FlorenceBlock], ...] = (
    CaptionBlock,
    *(_block(task) for task in TASKS.values() if task.name not in CAPTION_TASKS.values()),
)
"""Every typed Florence block."""

globals().update({block.__name__: block for block in BLOCKS})  # where copies of them look for them
