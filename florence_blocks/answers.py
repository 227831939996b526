"""The typed answer of Florence-2: a text, and the things it found, each with the tokens it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from florence_blocks.locations import Box
from florence_blocks.names import ClassList

Point = tuple[float, float]
Span = tuple[int, int]
"""First token and one past the last token, as indexes into the tokens of the answer."""


@dataclass(frozen=True)
class Instance:
    """One thing an answer names. Coordinates are floats in pixels of the asked image, at bin centres.

    Attributes:
        label: its name, text or phrase; empty where the grammar has none.
        box: (x1, y1, x2, y2), x1 <= x2 and y1 <= y2; the hull of its quad or outlines.
        quad: four corners in reading order, for texts with regions.
        outlines: one or more polygons of at least three points, for segmentations.
        label_span: the tokens of its label.
        location_span: the tokens of its locations.
        confidence: the probability of label and locations together, see `scoring`; None where nothing is known.
        label_confidence: of the label alone.
        location_confidence: of the locations alone.
    """

    label: str
    box: Box
    quad: tuple[Point, ...] | None
    outlines: tuple[tuple[Point, ...], ...]
    label_span: Span
    location_span: Span
    confidence: float | None = field(default=None, compare=False)
    label_confidence: float | None = field(default=None, compare=False)
    location_confidence: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Answer:
    """What the model answered to one request.

    Attributes:
        task: the name of the task.
        text: the answer as clean text: no special tokens and no locations.
        instances: the things it found; empty for plain text.
        truncated: whether the answer broke off: the token limit was reached before the model ended it, or the last group is
            not whole. What is whole is kept.
        raw: the text as generated, with special tokens.
        confidence: the probability of the text, for answers that are a text; that it ends there is part of it.
        token_probabilities: of every generated token.
        name_probabilities: of every name that could have been given, where a list of names was asked about.
        listed: the names that were asked about, with their class ids.
    """

    task: str
    text: str
    instances: tuple[Instance, ...]
    truncated: bool
    raw: str
    confidence: float | None = field(default=None, compare=False)
    token_probabilities: tuple[float, ...] = field(default=(), compare=False)
    name_probabilities: Mapping[str, float] | None = field(default=None, compare=False)
    listed: ClassList = field(default_factory=ClassList, compare=False, repr=False)


def joined(answers: Sequence[Answer]) -> Answer:
    """The answers to parts of a request, which asked for some of its names each, as one."""
    instances: list[Instance] = []
    probabilities: list[float] = []
    for answer in answers:
        instances += [_shifted(instance, len(probabilities)) for instance in answer.instances]
        probabilities += answer.token_probabilities
    return replace(
        answers[0],
        text=", ".join(answer.text for answer in answers if answer.text),
        instances=tuple(instances),
        truncated=any(answer.truncated for answer in answers),
        raw="".join(answer.raw for answer in answers),
        token_probabilities=tuple(probabilities),
    )


def _shifted(instance: Instance, count: int) -> Instance:
    """An instance whose tokens have so many others before them."""
    label, location = instance.label_span, instance.location_span
    return replace(
        instance,
        label_span=(label[0] + count, label[1] + count),
        location_span=(location[0] + count, location[1] + count),
    )
