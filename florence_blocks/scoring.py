"""Confidences from what the model gave its own tokens, and coordinates finer than the grid.

A name or text: the probability of its tokens. A name (a category, a phrase, a word) counts as a whole, so that its
probability is the product; of a sentence it is the geometric mean, which does not sink with the length.

A coordinate: neighbouring locations share the probability, so that the chosen one's own says little. What counts is the mass
within a tolerance around it, a share of the side of the thing. A box, quad or outline has the geometric mean of its
coordinates.

A thing: name times place. A checkpoint may bring a calibration per task, a logistic curve over the log odds of all this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from florence_blocks.answers import Answer, Instance
from florence_blocks.locations import BINS, Size
from florence_blocks.tasks import TASKS, Grammar
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

NEAR: Final = 64
"""How many bins on either side of a location are looked at."""
TOLERANCE: Final = 0.25
"""How far a coordinate may be off, as a share of the side of the thing."""
LEAST_TOLERANCE: Final = 2
REFINED: Final = 12
"""How many bins on either side a refined coordinate is the mean of."""

CALIBRATION: Final = "calibration.json"
"""The file of a checkpoint with slope and offset per task."""

Curve = tuple[float, float]
"""Slope and offset of a logistic curve."""

_SENTENCES: Final = frozenset({"dense_region_caption", "region_caption"})
_SMALLEST: Final = 1e-12


@dataclass(frozen=True)
class Evidence:
    """What the model gave one generated token.

    Attributes:
        probability: its own.
        near: of a location, those of the bins around it `[2 * NEAR + 1]`; None for any other token.
        silent: whether it is no part of the text (begin, padding).
        end: whether it ends the answer.
    """

    probability: float
    near: NDArray[np.float32] | None = None
    silent: bool = False
    end: bool = False


def refined(evidence: Sequence[Evidence]) -> list[float]:
    """How many bins each location is off its centre: the mean of the bins around it; 0 for other tokens."""
    return [0.0 if token.near is None else _offset(token.near) for token in evidence]


def _offset(near: NDArray[np.float32]) -> float:
    part = near[NEAR - REFINED : NEAR + REFINED + 1].astype(float)
    mass = float(part.sum())
    return float(part @ np.arange(-REFINED, REFINED + 1)) / mass if mass > 0 else 0.0


def calibrated(confidence: float, curve: Curve) -> float:
    """A confidence on the curve of its task."""
    clipped = min(max(confidence, _SMALLEST), 1 - 1e-6)
    return 1 / (1 + math.exp(-curve[0] * math.log(clipped / (1 - clipped)) - curve[1]))


def scored(
    answer: Answer, evidence: Sequence[Evidence], size: Size, calibration: Mapping[str, Curve] = MappingProxyType({})
) -> Answer:
    """The answer with its confidences.

    Args:
        answer: the parsed answer.
        evidence: of every generated token, in order.
        size: width and height of the image in pixels.
        calibration: the curves of the tasks that have one.
    """
    task = TASKS[answer.task]
    sentence = task.grammar is Grammar.TEXT or task.name in _SENTENCES
    curve = calibration.get(task.name)
    instances = tuple(_scored(instance, evidence, size, curve, sentence=sentence) for instance in answer.instances)
    probabilities = tuple(token.probability for token in evidence)
    confidence = None
    if task.grammar in (Grammar.TEXT, Grammar.REGION_TEXT):
        said = [token.probability for token in evidence if token.near is None and not token.silent
                and not (token.end and answer.truncated)]  # fmt: skip
        confidence = _on(curve, _together(said, sentence=sentence))
    return replace(answer, instances=instances, confidence=confidence, token_probabilities=probabilities)


def _scored(instance: Instance, evidence: Sequence[Evidence], size: Size, curve: Curve | None, *, sentence: bool) -> Instance:
    start, stop = instance.label_span
    label = _together([token.probability for token in evidence[start:stop]], sentence=sentence)
    place = _geometric_mean(_within(instance, evidence, size))
    return replace(instance, confidence=_on(curve, label * place), label_confidence=label, location_confidence=place)


def _on(curve: Curve | None, confidence: float) -> float:
    return confidence if curve is None else calibrated(confidence, curve)


def _within(instance: Instance, evidence: Sequence[Evidence], size: Size) -> list[float]:
    """For every coordinate of an instance, the probability that it is within the tolerance."""
    x1, y1, x2, y2 = instance.box
    sides = ((x2 - x1) * BINS / size[0], (y2 - y1) * BINS / size[1])
    tolerances = [min(max(round(TOLERANCE * side), LEAST_TOLERANCE), NEAR) for side in sides]
    masses, axis = [], 0
    for token in evidence[slice(*instance.location_span)]:
        if token.near is None:  # a separator: the next outline begins with x
            axis = 0
            continue
        reach = tolerances[axis]
        masses.append(min(1.0, float(token.near[NEAR - reach : NEAR + reach + 1].sum())))
        axis = 1 - axis
    return masses


def _together(probabilities: Sequence[float], *, sentence: bool) -> float:
    """The probability of a name (product) or sentence (geometric mean); of nothing, 1."""
    return _geometric_mean(probabilities) if sentence else math.prod(probabilities)


def _geometric_mean(probabilities: Sequence[float]) -> float:
    if not probabilities:
        return 1.0
    return math.exp(sum(math.log(max(value, _SMALLEST)) for value in probabilities) / len(probabilities))
