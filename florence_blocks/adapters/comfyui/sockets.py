"""What the nodes give: the outputs of blocks as sockets of ComfyUI."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from florence_blocks.adapters.comfyui.batches import Batches
from florence_blocks.blocks.typed import FlorenceBlock
from florence_blocks.tasks import Grammar
from workflow_engine.data import Image
from workflow_engine.kinds import INSTANCE_SEGMENTATION
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


@dataclass(frozen=True)
class Socket:
    """One output of a node.

    Attributes:
        name: what it is called.
        type: what it may be connected to.
        told: what it holds.
        read: what it holds of one image, of the answer of its block and the image.
        gathered: its list for all images, of the batches and what was read of every image.
    """

    name: str
    type: str
    told: str
    read: Callable[[Any, Image], Any]
    gathered: Callable[[Batches, list[Any]], list[Any]]


def _for_images(batches: Batches, values: list[Any]) -> list[Any]:
    return values


def _for_objects(batches: Batches, values: list[Any]) -> list[Any]:
    return or_nothing(list(chain.from_iterable(values)))


def or_nothing(values: list[Any]) -> list[Any]:
    """A list for ComfyUI, which stumbles over empty ones and has a value that leaves out what comes after."""
    if values:
        return values
    try:
        graph = importlib.import_module("comfy_execution.graph_utils")
    except ImportError:  # outside of ComfyUI
        return []
    return [graph.ExecutionBlocker(None)]


def stacked(batches: Batches, values: list[Any]) -> list[Any]:
    """The tensors of all images, `[1, ...]` each, as one per batch."""
    return [torch.cat(batch) for batch in batches.regrouped(values)]


def _boxes_of(value: Any, image: Image) -> list[list[float]]:
    return value["predictions"].xyxy.tolist()  # type: ignore[no-any-return]


def _texts_of(value: Any, image: Image) -> list[str]:
    texts = value.get("texts", value["predictions"].data["class_name"])
    return ["" if text is None else str(text) for text in texts]


def _confidences_of(value: Any, image: Image) -> list[float]:
    found = value["predictions"]
    sure = found.data.get("text_confidence", found.confidence)
    return [math.nan] * len(found) if sure is None else sure.tolist()


def _masks_of(value: Any, image: Image) -> list[torch.Tensor]:
    """One mask `[1, height, width]` per detection; what has no outline is the whole of its box."""
    found = value["predictions"]
    filled = found.mask
    if filled is None:
        filled = np.zeros((len(found), image.height, image.width), dtype=bool)
        for mask, (x1, y1, x2, y2) in zip(filled, np.rint(found.xyxy).astype(int).clip(0), strict=True):
            mask[y1:y2, x1:x2] = True
    return [torch.from_numpy(mask[None].astype(np.float32)) for mask in np.asarray(filled)]


def _together(value: Any, image: Image) -> torch.Tensor:
    """All that was found in an image as one mask `[1, height, width]`."""
    empty = torch.zeros(1, image.height, image.width)
    return torch.cat([empty, *_masks_of(value, image)]).amax(dim=0, keepdim=True)


_BBOXES = Socket("bboxes", "BBOX", "for every image its boxes [x1, y1, x2, y2] in pixels", _boxes_of, Batches.regrouped)
_NAMES = Socket("labels", "LABELS", "for every image one text per box", _texts_of, Batches.regrouped)
_SURE = Socket("confidences", "CONFIDENCES", "for every image one number per box", _confidences_of, Batches.regrouped)
_LINES = Socket("text", "STRING", "one text per image, with a line per box", lambda value, image: "\n".join(
    _texts_of(value, image)), _for_images)  # fmt: skip
_QUADS = Socket("quads", "QUADS", "for every image four corners [x, y] per text",
                 lambda value, image: value["predictions"].data["quads"].tolist(), Batches.regrouped)  # fmt: skip
_CLASSIFICATIONS = Socket("classifications", "JSON", "for every image and box every class with its probability",
                           lambda value, image: value["classifications"], Batches.regrouped)  # fmt: skip
_MASKS = (
    Socket("mask", "MASK", "for every image all that was found, taken together", _together, stacked),
    Socket("masks", "MASK", "one mask per box", _masks_of, _for_objects),
)


def sockets_of(block: type[FlorenceBlock]) -> tuple[Socket, ...]:
    """What the node of a block gives."""
    outputs = block.outputs
    if "predictions" not in outputs:
        types = {"confidence": "FLOAT"}
        return tuple(Socket(name, types.get(name, "STRING"), f"the {name} of every image", _named(name), _for_images)
                     for name in outputs)  # fmt: skip
    sockets = [_BBOXES, replace(_NAMES, name="texts") if "texts" in outputs else _NAMES, _SURE, _LINES]
    if block.task.grammar is Grammar.QUADS:
        sockets.append(_QUADS)
    if "classifications" in outputs:
        sockets.append(_CLASSIFICATIONS)
    if INSTANCE_SEGMENTATION in outputs["predictions"].kinds:
        sockets.extend(_MASKS)
    return tuple(sockets)


def _named(name: str) -> Callable[[Any, Image], Any]:
    return lambda value, image: value[name]
