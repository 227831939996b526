"""The graph of a workflow's steps: who needs whom, in which order they can run, and where they bite their tail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import networkx as nx
else:
    nx = LazyModule("networkx")


def step_graph(names: Iterable[str], needs: Mapping[str, Iterable[str]]) -> nx.DiGraph[str]:
    """A graph with an edge from every needed step to the step that needs it; names keep their order."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((needed, name) for name, all_needed in needs.items() for needed in all_needed)
    return graph


def cycles(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Every knot of steps that wait for each other, as one closed walk in order: `[a, b, a]`."""
    knots = [part for part in nx.strongly_connected_components(graph) if len(part) > 1 or graph.has_edge(*[min(part)] * 2)]
    position = {name: index for index, name in enumerate(graph)}
    walks = []
    for knot in sorted(knots, key=lambda part: min(position[name] for name in part)):
        start = min(knot, key=position.__getitem__)
        edges = nx.find_cycle(graph.subgraph(knot), start)
        walks.append([edge[0] for edge in edges] + [edges[0][0]])
    return walks


def run_order(graph: nx.DiGraph[str]) -> list[str]:
    """The steps so that each comes after all it needs; in the order of the definition where that leaves a choice."""
    position = {name: index for index, name in enumerate(graph)}
    return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))
