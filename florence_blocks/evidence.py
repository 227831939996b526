"""What the model gave the tokens of an answer, and how far each location is likely to be off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

NEAR: Final = 150
"""How many bins on either side of a location are looked at."""
REFINED: Final = 12
"""How many bins on either side a refined coordinate is the mean of."""


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


def within(near: NDArray[np.float32], reach: int) -> float:
    """The probability that a location is right within so many bins (at most `NEAR`)."""
    return min(1.0, float(near[NEAR - reach : NEAR + reach + 1].sum()))


def deviations(near: NDArray[np.float32]) -> NDArray[np.float64]:
    """How many bins each location is expected to be off, without sign.

    What the model gave to none of the bins around counts as off by `NEAR`.

    Args:
        near: the bins around each location `[..., 2 * NEAR + 1]`.

    Returns:
        `[...]`, from 0 to `NEAR`.
    """
    known = near.astype(np.float64)
    elsewhere = np.clip(1.0 - known.sum(axis=-1), 0.0, 1.0)
    off: NDArray[np.float64] = known @ np.abs(np.arange(-NEAR, NEAR + 1)) + elsewhere * NEAR
    return off


def refined(evidence: Sequence[Evidence]) -> list[float]:
    """How many bins each location is off its centre: the mean of the bins around it; 0 for other tokens."""
    return [0.0 if token.near is None else _offset(token.near) for token in evidence]


def _offset(near: NDArray[np.float32]) -> float:
    part = near[NEAR - REFINED : NEAR + REFINED + 1].astype(float)
    mass = float(part.sum())
    return float(part @ np.arange(-REFINED, REFINED + 1)) / mass if mass > 0 else 0.0
