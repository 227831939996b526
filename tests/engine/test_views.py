"""Workflows to look at: diagrams, their layout, and the pictures of both."""

from __future__ import annotations

import io
import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from workflow_engine import compile
from workflow_engine.views.diagram import Diagram, Edge, Node, diagram, mermaid
from workflow_engine.views.layout import lay_out
from workflow_engine.views.picture import picture

EXAMPLES = sorted((Path(__file__).parents[2] / "example_workflows").glob("*.json"))
GATED: dict[str, Any] = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "least", "kind": ["integer"]}],
    "steps": [
        {"type": "florence/object_detection@v1", "name": "find", "images": "$inputs.image"},
        {"type": "vision/continue_if@v1", "name": "any", "condition_statement": {"type": "StatementGroup", "statements": [
            {"type": "BinaryStatement", "left_operand": {"type": "DynamicOperand", "operand_name": "n"},
             "comparator": {"type": "(Number) >="}, "right_operand": {"type": "StaticOperand", "value": 1}}]},
         "evaluation_parameters": {"n": "$inputs.least"}, "next_steps": ["$steps.crop"]},
        {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image", "predictions": "$steps.find.predictions"},
        {"type": "florence/caption@v1", "name": "say", "images": "$steps.crop.crops"},
    ],
    "outputs": [{"type": "JsonField", "name": "said", "selector": "$steps.say.caption"}],
}  # fmt: skip


def test_a_diagram_says_what_flows_how_deep_and_what_holds_it_back() -> None:
    drawn = diagram(compile(GATED).plan)
    assert [(node.role, node.title) for node in drawn.nodes] == [
        ("input", "image"), ("input", "least"), ("step", "find"), ("gate", "any"), ("step", "crop"), ("step", "say"),
        ("output", "said"),
    ]  # fmt: skip
    assert next(node for node in drawn.nodes if node.title == "crop").note == "opens a dimension"
    assert {(edge.source, edge.target): (edge.label, edge.gate) for edge in drawn.edges} == {
        ("inputs.image", "steps.find"): ("image []", False),
        ("inputs.least", "steps.any"): ("integer", False),
        ("inputs.image", "steps.crop"): ("image []", False),
        ("steps.find", "steps.crop"): ("object_detection_prediction []", False),
        ("steps.crop", "steps.say"): ("image [][]", False),
        ("steps.say", "outputs.said"): ("string | language_model_output [][]", False),
        ("steps.any", "steps.crop"): ("", True),
    }


def test_mermaid_text() -> None:
    nodes = (Node("a", "input", "a", "image"), Node("b", "gate", 'b "x" <i>'), Node("c", "step", "c", "t", "opens a dimension"))
    text = mermaid(Diagram(nodes, (Edge("a", "c", "image []"), Edge("b", "c", gate=True))))
    assert text == (
        "flowchart TD\n"
        '  n0(["<b>a</b><br>image"])\n'
        '  n1{{"<b>b &quot;x&quot; &lt;i&gt;</b>"}}\n'
        '  n2["<b>c</b><br>t<br>opens a dimension"]\n'
        '  n0 -->|"image []"| n2\n'
        "  n1 -. gate .-> n2\n"
    )


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Diagram, dict[str, tuple[float, float]]]:
    count = draw(st.integers(0, 14))
    names = [f"n{place}" for place in range(count)]
    roles = [draw(st.sampled_from(["input", "step", "gate", "output"])) for _ in names]
    pairs = [pair for pair in combinations(range(count), 2) if draw(st.integers(0, 3)) == 0]
    sides = st.floats(5, 300)
    nodes = tuple(Node(name, role, name) for name, role in zip(names, roles, strict=True))  # type: ignore[arg-type]
    # an input has no arrows to it
    edges = tuple(Edge(names[a], names[b], "x") for a, b in pairs if roles[b] != "input")
    return Diagram(nodes, edges), {name: (draw(sides), draw(sides)) for name in names}


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_no_boxes_meet_and_all_arrows_point_down(made: tuple[Diagram, dict[str, tuple[float, float]]]) -> None:
    graph, sizes = made
    layout = lay_out(graph, sizes, gap=(20, 30), margin=10)
    boxes = {}
    for name, (x, y) in layout.centres.items():
        width, height = sizes[name]
        boxes[name] = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        assert min(boxes[name][:2]) >= 10 - 1e-6
        assert boxes[name][2] <= layout.size[0] - 10 + 1e-6 and boxes[name][3] <= layout.size[1] - 10 + 1e-6
    for one, other in combinations(boxes.values(), 2):
        apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
        assert apart >= 20 - 1e-6
    for edge, way in zip(graph.edges, layout.ways, strict=True):
        down = [boxes[edge.source][3], *(y for _, y in way), boxes[edge.target][1]]
        assert all(above < below + 1e-6 for above, below in pairwise(down))
        for x, y in way:  # and go around the boxes between
            assert not any(x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in boxes.values())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_drawn_with_all_its_names(path: Path) -> None:
    graph = diagram(compile(path).plan)
    drawn = ElementTree.fromstring(picture(graph, "svg", links=True))
    space = {"svg": "http://www.w3.org/2000/svg"}
    texts = {"".join(text.itertext()).strip() for text in drawn.iterfind(".//svg:text", space)}
    assert {node.title for node in graph.nodes} <= texts and {edge.label for edge in graph.edges if edge.label} <= texts
    links = {link.get("{http://www.w3.org/1999/xlink}href") for link in drawn.iterfind(".//svg:a", space)}
    assert links == {f"#{node.id}" for node in graph.nodes}


def test_a_picture_in_pixels() -> None:
    graph = diagram(compile(GATED).plan)
    image = PilImage.open(io.BytesIO(picture(graph, "png")))
    pixels = np.asarray(image.convert("RGB"))
    assert image.format == "PNG" and min(image.size) > 300 and (pixels == 255).all(axis=2).mean() < 0.97
    assert picture(graph, "svg") == picture(graph, "svg")


def test_a_watched_workflow_also_gives_what_its_steps_gave() -> None:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [
            {"type": "vision/image_slicer@v1", "name": "cut", "image": "$inputs.image", "slice_width": 40, "slice_height": 40,
             "overlap_ratio_width": 0, "overlap_ratio_height": 0},
            {"type": "vision/convert_grayscale@v1", "name": "grey", "image": "$steps.cut.slices"},
        ],
        "outputs": [{"type": "JsonField", "name": "grey", "selector": "$steps.grey.image"}],
    }  # fmt: skip
    (row,) = compile(definition).watched().run(image=np.zeros((40, 80, 3), np.uint8)).outputs
    assert list(row) == ["grey", "$inputs.image", "$steps.cut", "$steps.grey"] and row["$inputs.image"].size == (80, 40)
    assert [piece["slices"].size for piece in row["$steps.cut"]] == [(40, 40)] * 2
    assert [piece["image"] for piece in row["$steps.grey"]] == row["grey"]
    assert json.dumps(compile(definition).run(image=np.zeros((40, 80, 3), np.uint8)).to_json()).count("$") == 0
