"""What the sockets of ComfyUI hold, as images and detections: batches of images, boxes with what belongs to them, masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from workflow_engine.data import Image
from workflow_engine.detections import object_array
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_OVERSHOOT = 0.5
"""How far pixels may lie outside of 0..1: resampling overshoots a little, values of 0..255 a lot."""


class Batches:
    """The images of a call: the entries of an `IMAGE` socket, each a batch `[images, height, width, channels]`."""

    def __init__(self, entries: Sequence[Any]) -> None:
        loaded = [_images(tensor, f"images[{place}]") for place, tensor in enumerate(entries)]
        self.images = list(chain.from_iterable(loaded))
        self._sizes = [len(batch) for batch in loaded]

    def spread(self, name: str, values: Sequence[Any]) -> list[Any]:
        """One value per image, of values for all images, for every image or for every batch.

        Raises:
            ValueError: there are more or fewer.
        """
        count, batches = len(self.images), len(self._sizes)
        if len(values) == 1:
            return list(values) * count
        if len(values) == count:
            return list(values)
        if len(values) == batches:
            return [value for value, size in zip(values, self._sizes, strict=True) for _ in range(size)]
        raise ValueError(f"{name} has {len(values)} entries for {count} images in {batches} batches; 1 or {count} would fit")

    def regrouped(self, values: Sequence[Any]) -> list[list[Any]]:
        """Values of all images as one list per batch."""
        rest = iter(values)
        return [[next(rest) for _ in range(size)] for size in self._sizes]


def _images(tensor: Any, place: str) -> list[Image]:
    """The images of a batch in 0..1."""
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        what = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise ValueError(f"{place} is {what}; a float tensor [images, height, width, 3] in 0..1 would fit")
    if tensor.ndim != 4 or tensor.shape[3] not in (3, 4) or tensor.numel() == 0:
        raise ValueError(f"{place} is {list(tensor.shape)}; [images, height, width, 3] would fit, with at least one pixel")
    low, high = (float(edge) for edge in tensor.aminmax())
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):  # this way round, NaN does not fit either
        raise ValueError(f"{place} holds values from {low:g} to {high:g}; pixels within 0 and 1 would fit")
    red_green_blue = (tensor[..., :3].detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.load(pixels) for pixels in np.ascontiguousarray(red_green_blue.numpy()[..., ::-1])]


def as_tensor(image: Image) -> torch.Tensor:
    """An image as a batch of one, `[1, height, width, 3]` in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image.bgr[None, :, :, ::-1])).float() / 255


def boxes_found(batches: Batches, bboxes: Any, labels: Any = None, confidences: Any = None) -> list[sv.Detections]:
    """The boxes of every image as detections, with what is known about them."""
    boxes = _per_image("bboxes", batches, bboxes)
    for image, row in enumerate(boxes):
        for place, box in enumerate(row):
            if not _is_box(box):
                raise ValueError(f"bboxes[{image}][{place}]={box!r} is no box; [x1, y1, x2, y2] in pixels would fit")
    names = _beside("labels", batches, labels, boxes)
    sure = _beside("confidences", batches, confidences, boxes)
    order = {name: index for index, name in enumerate(dict.fromkeys(chain.from_iterable(names or ())))}
    return [
        sv.Detections(
            xyxy=np.array(row, dtype=float).reshape(-1, 4),
            confidence=np.array(sure[image], dtype=float) if sure else None,
            class_id=np.array([order[name] for name in names[image]], dtype=int) if names else None,
            data={"class_name": object_array(list(names[image]) if names else [""] * len(row))},
        )
        for image, row in enumerate(boxes)
    ]


def _is_box(box: Any) -> bool:
    return isinstance(box, (list, tuple)) and len(box) == 4 and all(_is_number(edge) for edge in box)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _per_image(name: str, batches: Batches, entries: Sequence[Any]) -> list[Any]:
    """The lists of every image, of entries with one list per image each."""
    for entry in entries:
        if not isinstance(entry, (list, tuple)) or not all(isinstance(row, (list, tuple)) for row in entry):
            raise ValueError(f"{name}={repr(entry)[:80]}; for every image a list would fit")
    return batches.spread(name, list(chain.from_iterable(entries)))


def _beside(name: str, batches: Batches, entries: Any, boxes: Sequence[Any]) -> list[Any] | None:
    """One value for every box of every image; None where the socket is not connected."""
    if entries is None:
        return None
    rows = _per_image(name, batches, entries)
    for image, (row, own) in enumerate(zip(rows, boxes, strict=True)):
        if len(row) != len(own):
            raise ValueError(f"{name}[{image}] has {len(row)} entries for {len(own)} boxes; one for each box would fit")
    return rows


def mask_rows(batches: Batches, entries: Sequence[Any]) -> list[sv.Detections]:
    """The mask of every image as one detection."""
    for place, entry in enumerate(entries):
        if not isinstance(entry, torch.Tensor) or entry.ndim != 3:
            what = list(entry.shape) if isinstance(entry, torch.Tensor) else type(entry).__name__
            raise ValueError(f"mask[{place}] is {what}; a tensor [images, height, width] would fit")
    masks = batches.spread("mask", [mask.cpu().numpy() > 0.5 for entry in entries for mask in entry])
    rows = zip(batches.images, masks, strict=True)
    return [sv.Detections(xyxy=np.array([[0.0, 0.0, *image.size]]), mask=mask[None], class_id=np.zeros(1, int))
            for image, mask in rows]  # fmt: skip
