"""A diagram as SVG or PNG, drawn by matplotlib."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any, Literal

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from workflow_engine.views.diagram import Diagram, Edge, Node
from workflow_engine.views.layout import Layout, lay_out

Point = tuple[float, float]

_COLOURS = {"input": "#dbeafe", "step": "#f8fafc", "gate": "#fef3c7", "output": "#dcfce7"}
_EDGE, _INK, _GREY, _GATE = "#64748b", "#0f172a", "#475569", "#b45309"
_TITLE, _SMALL, _LABEL = 12.0, 9.5, 8.5
"""Font sizes in pixels."""
_LEADING = 1.35
_PADDING = (14.0, 9.0)
_GAP = (34.0, 52.0)
_MARGIN = 16.0
_DPI = 72.0
"""At this resolution a point is a pixel."""
_SCALE_OF_PNG = 2.0


def picture(graph: Diagram, form: Literal["svg", "png"], *, links: bool = False) -> bytes:
    """Draw a diagram.

    Args:
        graph: the boxes and arrows.
        form: what to draw.
        links: whether the boxes of an SVG link to `#` and their id.
    """
    sizes = {node.id: _size(node) for node in graph.nodes}
    layout = lay_out(graph, sizes, gap=_GAP, margin=_MARGIN)
    ways = [
        [_port(graph, layout, sizes, place, below=True), *layout.ways[place], _port(graph, layout, sizes, place, below=False)]
        for place in range(len(graph.edges))
    ]
    taken = [_box(layout.centres[node.id], sizes[node.id]) for node in graph.nodes]
    labels = [_room(way, _label_size(edge), taken) for edge, way in zip(graph.edges, ways, strict=True)]
    left = min([0.0, *(box[0] - _MARGIN / 2 for box in taken)])
    right = max([layout.size[0], *(box[2] + _MARGIN / 2 for box in taken)])
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "workflow", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=((right - left) / _DPI, layout.size[1] / _DPI), dpi=_DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(left, right)
        axes.set_ylim(layout.size[1], 0)
        axes.set_axis_off()
        for edge, way, place in zip(graph.edges, ways, labels, strict=True):
            _draw_edge(axes, edge, way, place)
        for node in graph.nodes:
            _draw_node(axes, node, layout.centres[node.id], sizes[node.id], link=links)
        made = io.BytesIO()
        told: dict[str, Any] = {"metadata": {"Date": None}} if form == "svg" else {"dpi": _DPI * _SCALE_OF_PNG}
        figure.savefig(made, format=form, facecolor="white", **told)
    return made.getvalue()


def _width(text: str, size: float, *, bold: bool = False) -> float:
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) if text else 0.0


def _lines(node: Node) -> list[tuple[str, float]]:
    return [(text, size) for text, size in ((node.title, _TITLE), (node.subtitle, _SMALL), (node.note, _SMALL)) if text]


def _size(node: Node) -> tuple[float, float]:
    """Width and height of a box."""
    lines = _lines(node)
    wide = max(_width(text, size, bold=size == _TITLE) for text, size in lines)
    return wide + 2 * _PADDING[0], sum(size * _LEADING for _, size in lines) + 2 * _PADDING[1]


def _draw_node(axes: Any, node: Node, centre: Point, size: tuple[float, float], *, link: bool) -> None:
    (x, y), (width, height) = centre, size
    radius = height / 2 if node.role in ("input", "output") else 6.0
    box = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle=f"round,pad=0,rounding_size={radius}",
        facecolor=_COLOURS[node.role], edgecolor=_GATE if node.role == "gate" else _EDGE, linewidth=1.0, zorder=3,
    )  # fmt: skip
    box.set_gid(node.id)
    if link:
        box.set_url(f"#{node.id}")
    axes.add_patch(box)
    top = y - height / 2 + _PADDING[1]
    for text, font_size in _lines(node):
        first = font_size == _TITLE
        axes.text(x, top + font_size * _LEADING / 2, text, ha="center", va="center", fontsize=font_size, zorder=4,
                  weight="bold" if first else "normal", color=_INK if first else _GREY, parse_math=False,
                  style="italic" if text == node.note else "normal")  # fmt: skip
        top += font_size * _LEADING


def _said(edge: Edge) -> str:
    return "gate" if edge.gate else edge.label


def _label_size(edge: Edge) -> tuple[float, float]:
    return _width(_said(edge), _LABEL) + 4, _LABEL * _LEADING


def _draw_edge(axes: Any, edge: Edge, way: list[Point], label: Point) -> None:
    axes.add_patch(FancyArrowPatch(
        path=_curve(way), arrowstyle="-|>", mutation_scale=9, color=_GATE if edge.gate else _EDGE, linewidth=1.1, zorder=1,
        shrinkA=0, shrinkB=0, linestyle=(0, (4, 3)) if edge.gate else "-",
    ))  # fmt: skip
    axes.text(*label, _said(edge), ha="center", va="center", fontsize=_LABEL, color=_GATE if edge.gate else _GREY, zorder=2,
              parse_math=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.9})  # fmt: skip


def _port(graph: Diagram, layout: Layout, sizes: dict[str, tuple[float, float]], place: int, *, below: bool) -> Point:
    """Where an arrow leaves a box below, or enters one above, in the order of the places the arrows lead to."""
    edge = graph.edges[place]
    box = edge.source if below else edge.target

    def other_end(number: int) -> float:
        way = layout.ways[number]
        if way:
            return way[0 if below else -1][0]
        return layout.centres[graph.edges[number].target if below else graph.edges[number].source][0]

    def meets(other: Edge) -> bool:
        return (other.source if below else other.target) == box

    ports = sorted((number for number, other in enumerate(graph.edges) if meets(other)), key=other_end)
    (x, y), (width, height) = layout.centres[box], sizes[box]
    room = 0.6 * width
    share = (ports.index(place) + 0.5) / len(ports) - 0.5
    return x + room * share, y + (height / 2 if below else -height / 2)


def _curve(way: list[Point]) -> Any:
    """A smooth path through points, upright at each."""
    code = Path
    points, codes = [way[0]], [code.MOVETO]
    for (x1, y1), (x2, y2) in pairwise(way):
        points += [(x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), (x2, y2)]
        codes += [code.CURVE4] * 3
    return Path(points, codes)


def _box(centre: Point, size: tuple[float, float]) -> tuple[float, float, float, float]:
    (x, y), (width, height) = centre, size
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _room(way: list[Point], size: tuple[float, float], taken: list[tuple[float, float, float, float]]) -> Point:
    """The middle of the place along a way where a label covers least of what is there already; it is taken then."""

    def covered(centre: Point) -> float:
        x1, y1, x2, y2 = _box(centre, size)
        return sum(max(0.0, min(x2, b[2]) - max(x1, b[0])) * max(0.0, min(y2, b[3]) - max(y1, b[1])) for b in taken)

    best = min(_along(way), key=covered)
    taken.append(_box(best, size))
    return best


def _along(way: list[Point]) -> list[Point]:
    """Points on a curve, those of its middle first."""
    shares = (0.5, 0.35, 0.65, 0.25, 0.75, 0.15, 0.85)
    spans = list(pairwise(way))
    spans.sort(key=lambda span: abs(sum(y for _, y in span) - way[0][1] - way[-1][1]))
    points = []
    for (x1, y1), (x2, y2) in spans:
        for t in shares:
            x = x1 + (x2 - x1) * (3 * t * t * (1 - t) + t**3)
            points.append((x, y1 * (1 - t) ** 3 + 1.5 * (y1 + y2) * t * (1 - t) + y2 * t**3))
    return points
