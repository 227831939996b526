"""The Florence-2 task table: one frozen row per task, from which blocks, schemas, documentation and the Python API derive.

Prompts and grammars: the Florence-2 paper (arXiv 2311.06242), the public model cards and the processor of transformers'
native `florence2`. A row says what the task is called here, the task token other systems know it by, the sentence the
model is asked, what that sentence needs besides the image, and the grammar of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final


class Needs(str, Enum):
    """What a task's prompt holds besides fixed words."""

    NOTHING = "nothing"
    PHRASE = "phrase"
    CLASSES = "classes"
    REGION = "region"
    TEXT = "text"


class Grammar(str, Enum):
    """How an answer is written; `loc` is one location token `<loc_0>` to `<loc_999>`."""

    TEXT = "text"
    """Free text."""
    BOXES = "boxes"
    """(label (loc x4)+)+ : one label may own several boxes."""
    PROPOSALS = "proposals"
    """(loc x4)+ : boxes without labels."""
    QUADS = "quads"
    """(text loc x8)+ : four corners per text."""
    BOXES_OR_OUTLINES = "boxes_or_outlines"
    """BOXES, or (label (<poly> outlines </poly>)+)+."""
    OUTLINES = "outlines"
    """(loc loc)+ joined by <sep> within one instance."""
    REGION_TEXT = "region_text"
    """Text about one region, which may echo the region's locations."""


@dataclass(frozen=True)
class Task:
    """One Florence-2 task.

    `prompt` holds `{phrase}`, `{classes}`, `{region}` or `{text}` where `needs` says so.
    """

    name: str
    token: str
    prompt: str
    needs: Needs
    grammar: Grammar
    summary: str


_ROWS: Final = (
    Task("caption", "<CAPTION>", "What does the image describe?",
         Needs.NOTHING, Grammar.TEXT, "One sentence about the image."),
    Task("detailed_caption", "<DETAILED_CAPTION>", "Describe in detail what is shown in the image.",
         Needs.NOTHING, Grammar.TEXT, "A few sentences about the image."),
    Task("more_detailed_caption", "<MORE_DETAILED_CAPTION>", "Describe with a paragraph what is shown in the image.",
         Needs.NOTHING, Grammar.TEXT, "A paragraph about the image."),
    Task("object_detection", "<OD>", "Locate the objects with category name in the image.",
         Needs.NOTHING, Grammar.BOXES, "A box and a category for every object."),
    Task("dense_region_caption", "<DENSE_REGION_CAPTION>",
         "Locate the objects in the image, with their descriptions.",
         Needs.NOTHING, Grammar.BOXES, "A box and a short description for every object."),
    Task("region_proposal", "<REGION_PROPOSAL>", "Locate the region proposals in the image.",
         Needs.NOTHING, Grammar.PROPOSALS, "A box for every region of interest, without labels."),
    Task("ocr", "<OCR>", "What is the text in the image?",
         Needs.NOTHING, Grammar.TEXT, "The text in the image."),
    Task("ocr_with_regions", "<OCR_WITH_REGION>", "What is the text in the image, with regions?",
         Needs.NOTHING, Grammar.QUADS, "Every text with its four corners."),
    Task("phrase_grounding", "<CAPTION_TO_PHRASE_GROUNDING>", "Locate the phrases in the caption: {phrase}",
         Needs.PHRASE, Grammar.BOXES, "Boxes for every phrase of a caption."),
    Task("open_vocabulary_detection", "<OPEN_VOCABULARY_DETECTION>", "Locate {classes} in the image.",
         Needs.CLASSES, Grammar.BOXES_OR_OUTLINES, "Boxes for classes named in the prompt."),
    Task("phrase_segmentation", "<REFERRING_EXPRESSION_SEGMENTATION>", "Locate {phrase} in the image with mask",
         Needs.PHRASE, Grammar.OUTLINES, "The outline of what a phrase names."),
    Task("region_segmentation", "<REGION_TO_SEGMENTATION>", "What is the polygon mask of region {region}",
         Needs.REGION, Grammar.OUTLINES, "The outline of the object in a region."),
    Task("region_classification", "<REGION_TO_CATEGORY>", "What is the region {region}?",
         Needs.REGION, Grammar.REGION_TEXT, "The category of a region."),
    Task("region_caption", "<REGION_TO_DESCRIPTION>", "What does the region {region} describe?",
         Needs.REGION, Grammar.REGION_TEXT, "A short description of a region."),
    Task("region_ocr", "<REGION_TO_OCR>", "What text is in the region {region}?",
         Needs.REGION, Grammar.REGION_TEXT, "The text in a region."),
    Task("prompt", "", "{text}",
         Needs.TEXT, Grammar.TEXT, "Any prompt, sent as it is; for fine-tuned checkpoints."),
)  # fmt: skip

TASKS: Final[Mapping[str, Task]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every task by name, in the order of the documentation."""

TASKS_BY_TOKEN: Final[Mapping[str, Task]] = MappingProxyType({row.token: row for row in _ROWS if row.token})
"""The 15 published tasks by their task token."""
