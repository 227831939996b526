"""Florence-2 as nodes of ComfyUI: one node per typed block, and two that cut out and draw what was found.

    echo "from florence_blocks.adapters.comfyui import *" > ComfyUI/custom_nodes/florence_nodes.py

Every node takes whatever its sockets hold, batches and lists of them, and asks the one shared model of the process about all
of it at once. What comes out keeps that form:

- `BBOX`, `LABELS` and `CONFIDENCES`: beside every batch, a list with one list per image: boxes `[x1, y1, x2, y2]` as floats in
  pixels, texts, and numbers within 0 and 1, all in one order;
- `STRING` and `FLOAT`: one per image; what names several things has a line for each;
- `MASK`: `mask` beside every batch `[images, height, width]`, what was found in each image taken together; `masks` one
  `[1, height, width]` per object, in the order of the boxes.

A `STRING` with several entries, such as the captions of a batch, gives every image its own. Classes are separated by commas
or line ends. Where a number may be left to the checkpoint, the widget's lowest value does so. Where nothing is found, lists
with one entry per object have none, and ComfyUI leaves out what depends on them. The first element that fails fails its node.
"""

from __future__ import annotations

from collections.abc import Mapping

from florence_blocks.adapters.comfyui.nodes import CropNode, DrawNode, Node, node_of
from florence_blocks.blocks.typed import BLOCKS
from workflow_engine.block import block_types

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

_NODES: Mapping[str, type[Node]] = {
    **{block_types(block)[0][9:-3].replace("_", " "): node_of(block) for block in BLOCKS}, "crop": CropNode, "draw": DrawNode,
}  # fmt: skip

NODE_CLASS_MAPPINGS: dict[str, type] = {f"FlorenceBlocks{name.title().replace(' ', '')}": node for name, node in _NODES.items()}
"""Every node by the name that ComfyUI's workflows keep."""

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    key: f"Florence-2 {name}" for key, name in zip(NODE_CLASS_MAPPINGS, _NODES, strict=True)
}
"""What the nodes are called in ComfyUI."""
