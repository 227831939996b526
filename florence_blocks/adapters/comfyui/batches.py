"""What the sockets of ComfyUI hold, as images and detections: batches of images, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from workflow_engine.data import Image
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


def mask_rows(batches: Batches, entries: Sequence[Any]) -> list[sv.Detections]:
    """The mask of every image as one detection; a mask of another size is stretched.

    `LoadImage` gives an empty mask of 64 x 64 pixels where a picture has no transparency: an empty one fits every image.

    Raises:
        ValueError: something is no mask, or of other proportions than its image.
    """
    planes = [plane for place, entry in enumerate(entries) for plane in _planes(entry, f"mask[{place}]")]
    masks = batches.spread("mask", planes)
    rows = []
    for place, (image, mask) in enumerate(zip(batches.images, masks, strict=True)):
        fitted = _fitted(mask, image, f"mask[{place}]")
        rows.append(sv.Detections(np.array([[0.0, 0.0, *image.size]]), fitted[None], class_id=np.zeros(1, int)))
    return rows


def _planes(entry: Any, place: str) -> torch.Tensor:
    """The masks of an entry, `[masks, height, width]` in 0..1; one mask may come alone, or with a channel."""
    try:
        given = torch.as_tensor(entry).detach().cpu().float()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{place} is {type(entry).__name__}; a tensor [images, height, width] would fit") from None
    if given.ndim == 2:
        return given[None]
    if given.ndim == 4 and 1 in (given.shape[1], given.shape[3]):
        return given.squeeze(1) if given.shape[1] == 1 else given.squeeze(3)
    if given.ndim != 3:
        raise ValueError(f"{place} is {list(given.shape)}; [images, height, width] would fit")
    return given


def _fitted(mask: torch.Tensor, image: Image, place: str) -> Any:
    """A mask as booleans `[height, width]` of its image."""
    height, width = mask.shape
    if not (mask > 0.5).any():
        return np.zeros((image.height, image.width), dtype=bool)
    if abs(width * image.height - height * image.width) > max(width, height, image.width, image.height):
        raise ValueError(
            f"{place} has {width}x{height} pixels for an image of {image.width}x{image.height}; the same proportions would fit"
        )
    size = (image.height, image.width)
    stretched = torch.nn.functional.interpolate(mask[None, None], size=size, mode="bilinear") if mask.shape != size else mask
    return (stretched.reshape(size) > 0.5).numpy()
