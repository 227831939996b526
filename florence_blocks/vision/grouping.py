"""Texts of a page as lines and words by the gaps between them: two ways that read single characters as well as words.

Boxes come turned, so that every direction reads in horizontal lines (see `reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")

_BINS = 50
_LEAST_GAP = 0.3
"""How much wider the gaps between words are than those within, at least, in mean widths of their neighbours."""


def by_gaps(boxes: NDArray[Any], factor: float, *, backwards: bool, upwards: bool) -> list[list[list[int]]]:
    """Lines of words of places: the gaps of all lines are told apart by Otsu's threshold (1979).

    Args:
        boxes: `[n, 4]`.
        factor: what the threshold is multiplied with.
        backwards: whether lines run from the right.
        upwards: whether the lowest line comes first.
    """
    lines = [_along(boxes, line, backwards=backwards) for line in _lines(boxes, upwards=upwards)]
    gaps = [_gaps(boxes, line) for line in lines]
    threshold = _otsu(np.concatenate(gaps))
    words: list[list[list[int]]] = []
    for line, wide in zip(lines, gaps, strict=True):
        words.append([[line[0]]])
        for place, gap in zip(line[1:], wide, strict=True):
            if threshold is not None and gap > threshold * factor:
                words[-1].append([])
            words[-1][-1].append(place)
    return words


def _lines(boxes: NDArray[Any], *, upwards: bool) -> list[list[int]]:
    """Places whose middles are within half a text height of those of their line so far."""
    middles, reach = (boxes[:, 1] + boxes[:, 3]) / 2, float(np.median(boxes[:, 3] - boxes[:, 1])) / 2
    lines: list[list[int]] = []
    for place in np.argsort(middles).tolist():
        if not lines or abs(middles[place] - middles[lines[-1]].mean()) > reach:
            lines.append([])
        lines[-1].append(place)
    return lines[::-1] if upwards else lines


def _along(boxes: NDArray[Any], line: list[int], *, backwards: bool) -> list[int]:
    return sorted(line, key=lambda place: float(boxes[place, 0] + boxes[place, 2]), reverse=backwards)


def _gaps(boxes: NDArray[Any], line: list[int]) -> Any:
    """The gap before every place of a line but the first, in mean widths of the two."""
    ends = boxes[line].astype(float)
    middles, widths = (ends[:, 0] + ends[:, 2]) / 2, ends[:, 2] - ends[:, 0]
    mean = (widths[1:] + widths[:-1]) / 2
    return np.divide(abs(np.diff(middles)) - mean, mean, out=np.zeros_like(mean), where=mean > 0)


def _otsu(gaps: NDArray[np.float64]) -> float | None:
    """The threshold between small and large gaps; None where all are of one sort."""
    if len(gaps) < 2:
        return None
    _, edges = np.histogram(gaps, bins=min(_BINS, len(gaps)))
    best: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    for middle in ((edges[:-1] + edges[1:]) / 2).tolist():
        below, above = gaps[gaps <= middle], gaps[gaps > middle]
        if len(below) and len(above):
            apart = len(below) * len(above) * (below.mean() - above.mean()) ** 2
            if apart > best[0]:
                best = (float(apart), middle, float(below.mean()), float(above.mean()))
    _, threshold, small, large = best
    return threshold if large > _LEAST_GAP and large - small > _LEAST_GAP else None


def by_neighbours(boxes: NDArray[Any], tolerance: int, *, backwards: bool, upwards: bool) -> list[list[int]]:
    """Lines of places, each the next one that lies beside the last of its line, so that lines may climb and fall.

    Args:
        boxes: `[n, 4]`.
        tolerance: pixels that two neighbours may lie apart, beyond half the height of the larger one.
        backwards: whether lines run from the right.
        upwards: whether the lowest line comes first.
    """
    middles, heights = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    rest = _along(boxes, list(range(len(boxes))), backwards=backwards)
    lines: list[list[int]] = []
    while rest:
        lines.append([rest.pop(0)])
        for place in list(rest):
            last = lines[-1][-1]
            if abs(middles[last] - middles[place]) < max(heights[last], heights[place]) / 2 + tolerance:
                lines[-1].append(place)
                rest.remove(place)
    return sorted(lines, key=lambda line: float(middles[line].mean()), reverse=upwards)


def joined(lines: Sequence[Sequence[str]], between: str, separator: str) -> str:
    """Texts of lines as one text."""
    return separator.join(between.join(line) for line in lines)
