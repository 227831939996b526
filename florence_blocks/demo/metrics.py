"""Measures of the evaluation, on plain boxes, masks and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from florence_blocks.locations import Box, Size, iou

HIT_IOU = 0.5


class Tally:
    """Hits out of tries."""

    def __init__(self) -> None:
        self.hits = 0.0
        self.tries = 0

    def add(self, hits: float, tries: int = 1) -> None:
        """Count so many hits in so many tries."""
        self.hits += hits
        self.tries += tries

    @property
    def share(self) -> float:
        """Hits per try; NaN before the first."""
        return self.hits / self.tries if self.tries else float("nan")


def outline_mask(outline: NDArray[np.float64], size: Size) -> NDArray[np.bool_]:
    """What an outline `[points, 2]` in pixels encloses, on an image of `size` (width, height): `[height, width]`."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(canvas, [np.round((outline - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return canvas.astype(bool)


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; two empty ones are equal."""
    union = int((one | other).sum())
    return float((one & other).sum()) / union if union else 1.0


def matches(found: Sequence[tuple[str, Box]], wanted: Sequence[tuple[str, Box]]) -> list[float]:
    """The IoU of every wanted thing that is found: same label, IoU at least 0.5, each found thing used once."""
    pairs = [
        (iou(box, other), index, place)
        for index, (label, box) in enumerate(wanted)
        for place, (name, other) in enumerate(found)
        if label == name
    ]
    used: set[int] = set()
    done: dict[int, float] = {}
    for overlap, index, place in sorted(pairs, reverse=True):
        if overlap >= HIT_IOU and index not in done and place not in used:
            used.add(place)
            done[index] = overlap
    return list(done.values())


# ------------------------------------------------------------------ confidences


class Judged(NamedTuple):
    """Something a model said: how sure it was, and whether it was right."""

    confidence: float
    right: bool


def auroc(judged: Sequence[Judged]) -> float:
    """The probability that something right has a higher confidence than something wrong; ties count half."""
    right = np.array([item.confidence for item in judged if item.right])
    wrong = np.array([item.confidence for item in judged if not item.right])
    if not len(right) or not len(wrong):
        return float("nan")
    return float((right[:, None] > wrong[None]).mean() + 0.5 * (right[:, None] == wrong[None]).mean())


def calibration_error(judged: Sequence[Judged], bins: int = 10) -> float:
    """Expected calibration error: the mean distance of confidence and share of right, over bins of confidence."""
    values = np.array([(item.confidence, item.right) for item in judged], float)
    places = np.minimum((values[:, 0] * bins).astype(int), bins - 1)
    parts = [values[places == place] for place in range(bins) if (places == place).any()]
    return float(sum(abs(part[:, 0].mean() - part[:, 1].mean()) * len(part) for part in parts) / len(values))


def average_precision(judged: Sequence[Judged]) -> float:
    """The mean precision at every right thing, the surest first; equal confidences are in the order they came."""
    ranked = np.array([item.right for item in sorted(judged, key=lambda item: -item.confidence)], float)
    precision = ranked.cumsum() / np.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / max(ranked.sum(), 1))


def fit_logistic(judged: Sequence[Judged], steps: int = 50) -> tuple[float, float]:
    """Slope and offset of the logistic curve from confidence (as log odds) to the share of right, by Newton's method.

    A slight pull towards "as it is" (slope 1, offset 0) keeps the curve finite where everything is right.
    """
    clipped = np.clip([item.confidence for item in judged], 1e-6, 1 - 1e-6)
    odds = np.stack([np.log(clipped / (1 - clipped)), np.ones(len(judged))], axis=1)
    right = np.array([item.right for item in judged], float)
    prior, pull = np.array([1.0, 0.0]), 0.5
    weights = prior.copy()
    for _ in range(steps):
        share = 1 / (1 + np.exp(-np.clip(odds @ weights, -30, 30)))
        gradient = odds.T @ (share - right) + pull * (weights - prior)
        curve = (odds * (share * (1 - share))[:, None]).T @ odds + pull * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        weights -= step / max(1.0, float(np.abs(step).max()))  # a full step overshoots where nearly everything is right
    return float(weights[0]), float(weights[1])
