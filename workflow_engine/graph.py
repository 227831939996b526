"""The graph of a workflow's steps: in which order they can run, and where they bite their tail.

The order comes from the standard library; networkx, whose import takes longer than most checks, is asked only about cycles.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import networkx as nx
else:
    nx = LazyModule("networkx")


def run_order(names: Iterable[str], needs: Mapping[str, Collection[str]]) -> list[str] | None:
    """The steps so that each comes after all it needs, in the order of the definition where that leaves a choice.

    None where steps wait for each other; `cycles` says which.
    """
    position = {name: index for index, name in enumerate(names)}
    sorter = TopologicalSorter({name: needs.get(name, ()) for name in position})
    try:
        sorter.prepare()
    except CycleError:
        return None
    order, ready = list[str](), [(position[name], name) for name in sorter.get_ready()]
    heapq.heapify(ready)
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        sorter.done(name)
        for follower in sorter.get_ready():
            heapq.heappush(ready, (position[follower], follower))
    return order


def cycles(names: Iterable[str], needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Every knot of steps that wait for each other, as one closed walk in order: `[a, b, a]`."""
    position = {name: index for index, name in enumerate(names)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(position)
    graph.add_edges_from((needed, name) for name, all_needed in needs.items() for needed in all_needed)
    knots = [part for part in nx.strongly_connected_components(graph) if len(part) > 1 or graph.has_edge(*[min(part)] * 2)]
    walks = []
    for knot in sorted(knots, key=lambda part: min(position[name] for name in part)):
        start = min(knot, key=position.__getitem__)
        edges = nx.find_cycle(graph.subgraph(knot), start)
        walks.append([edge[0] for edge in edges] + [edges[0][0]])
    return walks
