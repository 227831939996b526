"""Where the boxes of a diagram stand: in rows from top to bottom, arrows pointing down (Sugiyama's method).

Rows follow from the longest way to a box. Arrows over several rows get a place in each. The order within a row comes from the
places of neighbours (barycentres); the places themselves are the nearest to those of their neighbours that keep the order and
the gaps, in the sense of least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from workflow_engine.views.diagram import Diagram

_SWEEPS = 12
_WIRE = 14.0
"""The width that an arrow takes in a row it passes."""


@dataclass(frozen=True)
class Layout:
    """Places in pixels.

    Attributes:
        size: width and height of it all.
        centres: the middle (x, y) of every box.
        ways: the points (x, y) that every arrow passes, by the place of the edge in the diagram; its ends not among them.
    """

    size: tuple[float, float]
    centres: Mapping[str, tuple[float, float]]
    ways: tuple[tuple[tuple[float, float], ...], ...]


def lay_out(graph: Diagram, sizes: Mapping[str, tuple[float, float]], *, gap: tuple[float, float], margin: float) -> Layout:
    """Places for boxes of given sizes.

    Args:
        graph: the boxes and arrows.
        sizes: width and height of every box.
        gap: the room between boxes of a row, and between rows.
        margin: the room around it all.
    """
    ranks = _ranks(graph)
    rows, links, wires = _rows(graph, ranks)
    _order(rows, links)
    widths = {item: sizes[item][0] if item in sizes else _WIRE for row in rows for item in row}
    across = _across(rows, links, widths, gap[0])
    heights = [max((sizes[item][1] for item in row if item in sizes), default=0.0) for row in rows]
    tops = [margin + sum(heights[:place]) + place * gap[1] for place in range(len(rows))]
    middle = {item: tops[place] + heights[place] / 2 for place, row in enumerate(rows) for item in row}
    left = min((across[item] - widths[item] / 2 for item in across), default=0.0)
    right = max((across[item] + widths[item] / 2 for item in across), default=0.0)
    points = {item: (across[item] - left + margin, middle[item]) for item in across}
    size = (right - left + 2 * margin, (tops[-1] + heights[-1] if rows else margin) + margin)
    return Layout(size, {node.id: points[node.id] for node in graph.nodes},
                  tuple(tuple(points[wire] for wire in passed) for passed in wires))  # fmt: skip


def _ranks(graph: Diagram) -> dict[str, int]:
    """The row of every box; inputs stand right above what takes them."""
    ranks = {node.id: 0 for node in graph.nodes}
    for node in graph.nodes:  # arrows point forward in this order
        ranks[node.id] = max((ranks[edge.source] + 1 for edge in graph.edges if edge.target == node.id), default=0)
    for node in graph.nodes:
        if node.role == "input":
            ranks[node.id] = min((ranks[edge.target] - 1 for edge in graph.edges if edge.source == node.id), default=0)
    return ranks


def _rows(graph: Diagram, ranks: Mapping[str, int]) -> tuple[list[list[str]], list[tuple[str, str]], list[list[str]]]:
    """What stands in each row, links between neighbouring rows, and the wires of every arrow that passes rows."""
    rows: list[list[str]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for node in graph.nodes:
        rows[ranks[node.id]].append(node.id)
    links, wires = [], []
    for place, edge in enumerate(graph.edges):
        passed = [f"{place}:{rank}" for rank in range(ranks[edge.source] + 1, ranks[edge.target])]
        for rank, wire in enumerate(passed, ranks[edge.source] + 1):
            rows[rank].append(wire)
        chain = [edge.source, *passed, edge.target]
        links += list(pairwise(chain))
        wires.append(passed)
    return rows, links, wires


def _neighbours(links: list[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def _order(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    """Sort every row by the mean place of its neighbours above, then below, again and again."""
    above, below = _neighbours(links)
    for sweep in range(_SWEEPS):
        place = {item: number / max(len(row) - 1, 1) for row in rows for number, item in enumerate(row)}
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            mean = {item: _mean([place[other] for other in near.get(item, [])], place[item]) for item in row}
            row.sort(key=mean.__getitem__)
            place.update({item: number / max(len(row) - 1, 1) for number, item in enumerate(row)})


def _across(rows: list[list[str]], links: list[tuple[str, str]], widths: Mapping[str, float], gap: float) -> dict[str, float]:
    """The horizontal places, row by row near their neighbours."""
    above, below = _neighbours(links)
    across: dict[str, float] = {}
    for row in rows:
        across.update(zip(row, _spread([0.0] * len(row), [widths[item] for item in row], gap), strict=True))
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([across[other] for other in near.get(item, [])], across[item]) for item in row]
            across.update(zip(row, _spread(wanted, [widths[item] for item in row], gap), strict=True))
    return across


def _spread(wanted: list[float], widths: list[float], gap: float) -> list[float]:
    """The places nearest to the wanted ones that keep order and gaps (isotonic regression: neighbours too close are pooled)."""
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        pools.append((want - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, many), (first, few) = pools.pop(), pools.pop()
            pools.append(((first * few + second * many) / (few + many), few + many))
    shifts = [shift for shift, count in pools for _ in range(count)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=False)]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
