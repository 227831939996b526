"""Confidences from what the model gave its own tokens.

A name or text: the probability of its tokens. A name (a category, a phrase, a word) counts as a whole, so that its
probability is the product; of a sentence it is the geometric mean, which does not sink with the length. That an answer which
is a text ends where it does counts as a whole in either case: a text that was cut off is hardly ever right.

A coordinate: neighbouring locations share the probability, so that the chosen one's own says little. What counts is the mass
within a tolerance around it, a share of the side of the thing. A box or quad has the geometric mean of its coordinates.

An outline: the overlap to expect of it (see `overlap`); where a region was asked about, times the overlap of the region with
the hull of the outline.

A thing: name times place. A checkpoint may bring a calibration per task, a logistic curve over the log odds of all this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from florence_blocks.answers import Answer, Instance
from florence_blocks.evidence import NEAR, Evidence, within
from florence_blocks.locations import BINS, Box, Size, iou, ordered
from florence_blocks.overlap import Outline, expected_overlap
from florence_blocks.tasks import TASKS, Grammar
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

TOLERANCE: Final = 0.25
"""How far a coordinate of a box or quad may be off, as a share of the side of the thing."""
LEAST_TOLERANCE: Final = 2

CALIBRATION: Final = "calibration.json"
"""The file of a checkpoint with slope and offset per task."""

Curve = tuple[float, float]
"""Slope and offset of a logistic curve."""

_SENTENCES: Final = frozenset({"dense_region_caption", "region_caption"})
_SMALLEST: Final = 1e-12


def calibrated(confidence: float, curve: Curve) -> float:
    """A confidence on the curve of its task."""
    clipped = min(max(confidence, _SMALLEST), 1 - 1e-6)
    return 1 / (1 + math.exp(-curve[0] * math.log(clipped / (1 - clipped)) - curve[1]))


def scored(
    answer: Answer,
    evidence: Sequence[Evidence],
    size: Size,
    calibration: Mapping[str, Curve] = MappingProxyType({}),
    region: Box | None = None,
) -> Answer:
    """The answer with its confidences.

    Args:
        answer: the parsed answer.
        evidence: of every generated token, in order.
        size: width and height of the image in pixels.
        calibration: the curves of the tasks that have one.
        region: the box in pixels that was asked about, if one was.
    """
    task = TASKS[answer.task]
    scorer = _Scorer(
        evidence=evidence,
        size=size,
        curve=calibration.get(task.name),
        region=None if region is None else ordered(region),
        sentence=task.grammar is Grammar.TEXT or task.name in _SENTENCES,
    )
    return replace(
        answer,
        instances=tuple(scorer.instance(instance) for instance in answer.instances),
        confidence=scorer.text() if task.grammar in (Grammar.TEXT, Grammar.REGION_TEXT) else None,
        token_probabilities=tuple(token.probability for token in evidence),
    )


@dataclass(frozen=True)
class _Scorer:
    """The confidences of one answer."""

    evidence: Sequence[Evidence]
    size: Size
    curve: Curve | None
    region: Box | None
    sentence: bool

    def instance(self, instance: Instance) -> Instance:
        """The thing with its confidences."""
        start, stop = instance.label_span
        label = self._together([token.probability for token in self.evidence[start:stop]])
        place = self._outlined(instance) if instance.outlines else _geometric_mean(self._within(instance))
        return replace(instance, confidence=self._on_curve(label * place), label_confidence=label, location_confidence=place)

    def text(self) -> float:
        """The confidence of an answer that is a text."""
        said = [place for place, token in enumerate(self.evidence) if not token.silent and not token.end and token.near is None]
        behind = said[-1] + 1 if said else 0
        return self._on_curve(self._together([self.evidence[place].probability for place in said]) * self._closing(behind))

    def _closing(self, place: int) -> float:
        """The probability of what stands at a place or next behind it, which is no text; 0 where the answer broke off."""
        token = next((token for token in self.evidence[place:] if not token.silent), None)
        if token is None:
            return 0.0
        return token.probability if token.near is None else within(token.near, NEAR)

    def _outlined(self, instance: Instance) -> float:
        """How sure the outlines of a thing are."""
        place = expected_overlap(list(self._outlines(instance)))
        return place if self.region is None else place * iou(self.region, instance.box)

    def _outlines(self, instance: Instance) -> Iterator[Outline]:
        """The outlines of a thing with their evidence; runs of locations that are too short are none, as in `parsing`."""
        scale = np.array(self.size) / BINS
        polygons = iter(instance.outlines)
        for near, behind in self._runs(instance.location_span):
            count = len(near) // 2
            if count >= 3:
                corners = np.array(next(polygons)) / scale
                yield Outline(corners, np.stack(near[: 2 * count]).reshape(count, 2, -1), self._closing(behind))

    def _runs(self, span: tuple[int, int]) -> Iterator[tuple[list[NDArray[np.float32]], int]]:
        """What the model gave the locations of each run within a span, and the place behind the run."""
        run: list[NDArray[np.float32]] = []
        for place in range(*span):
            token = self.evidence[place]
            if token.near is not None:
                run.append(token.near)
            elif run and not token.silent:
                yield run, place
                run = []
        if run:
            yield run, span[1]

    def _within(self, instance: Instance) -> list[float]:
        """For every coordinate of a box or quad, the probability that it is within the tolerance."""
        x1, y1, x2, y2 = instance.box
        sides = ((x2 - x1) * BINS / self.size[0], (y2 - y1) * BINS / self.size[1])
        reaches = [min(max(round(TOLERANCE * side), LEAST_TOLERANCE), NEAR) for side in sides]
        found = [token.near for token in self.evidence[slice(*instance.location_span)] if token.near is not None]
        return [within(near, reaches[place % 2]) for place, near in enumerate(found)]

    def _together(self, probabilities: Sequence[float]) -> float:
        """The probability of a name (product) or sentence (geometric mean); of nothing, 1."""
        return _geometric_mean(probabilities) if self.sentence else math.prod(probabilities)

    def _on_curve(self, confidence: float) -> float:
        return confidence if self.curve is None else calibrated(confidence, self.curve)


def _geometric_mean(probabilities: Sequence[float]) -> float:
    if not probabilities:
        return 1.0
    return math.exp(sum(math.log(max(value, _SMALLEST)) for value in probabilities) / len(probabilities))
