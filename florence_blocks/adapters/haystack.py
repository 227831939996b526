"""Florence-2 as a component of Haystack pipelines: `pipeline.add_component("read", AskFlorence(task="ocr"))`.

Haystack reads pipelines from files where `HAYSTACK_DESERIALIZATION_ALLOWLIST=florence_blocks.adapters.haystack` lets it.
"""

from __future__ import annotations

from typing import Any

from haystack import component
from haystack.dataclasses import ByteStream, ImageContent

from florence_blocks.adapters.ray import AskFlorence as AskRows
from workflow_engine.data import Image


@component
class AskFlorence:
    """Ask one task about images, all of them at once.

    Args:
        task: the name of a block without its version: `caption`, `ocr`, `object_detection`, `region_caption`...
        fields: the fields of the block besides its images.

    Raises:
        ValueError: there is no such task, or a field does not fit.
    """

    def __init__(self, task: str = "caption", fields: dict[str, Any] | None = None) -> None:
        self.task, self.fields = task, fields
        self._ask = AskRows(task, **(fields or {}))

    @component.output_types(texts=list[str], answers=list[dict[str, Any]])
    def run(self, images: list[Any]) -> dict[str, list[Any]]:
        """Answers to the task; the first image that fails raises its own error.

        Args:
            images: `ImageContent`, `ByteStream`, paths, or anything else that `Image.load` takes.

        Returns:
            `texts`, one per image with a line for each detection, and `answers`, the outputs of the block as JSON.
        """
        columns = self._ask({"image": [_image(image) for image in images]})
        names = [name for name in columns if name != "image"]
        answers = [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True)]
        return {"texts": [_text(answer) for answer in answers], "answers": answers}


def _text(answer: dict[str, Any]) -> str:
    if "predictions" not in answer:
        return str(next(iter(answer.values())))
    found = answer["predictions"]["predictions"]
    return "\n".join(text or "" for text in answer.get("texts", [one["class"] for one in found]))


def _image(value: Any) -> Image:
    if isinstance(value, ImageContent):
        return Image.load({"type": "base64", "value": value.base64_image})
    return Image.load(value.data if isinstance(value, ByteStream) else value)
