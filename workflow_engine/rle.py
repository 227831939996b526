"""Masks as run lengths of COCO: `{"size": [height, width], "counts": "52203"}`, every part and every hole of them.

The form is that of the language's `rle_instance_segmentation_prediction`; `pycocotools.mask.decode` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.checked import whole
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

MAX_PIXELS: Final = 1 << 28
"""How many pixels a mask may have, or an image that is only told of."""
MAX_MASK_PIXELS: Final = 1 << 31
"""How many pixels all masks of some detections may have together: a byte each."""


def encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask `[h, w]` as run lengths."""
    height, width = mask.shape
    by_column = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).view(bool).T  # as the runs go; OpenCV is faster
    return {"size": [height, width], "counts": sv.mask_to_rle(by_column, compressed=True)}


def size_of(runs: Any, where: str) -> tuple[int, int]:
    """The width and height of a mask that is given as run lengths.

    Raises:
        ValueError: the value is no such mask.
    """
    if not isinstance(runs, Mapping) or not isinstance(runs.get("counts"), (str, bytes, list)):
        raise ValueError(f'{where}: no run lengths; {{"size": [height, width], "counts": "..."}} would fit')
    size = runs.get("size")
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ValueError(f"{where}.size: {size!r}; [height, width] would fit")
    height, width = (whole(side, f"{where}.size", least=1, most=MAX_PIXELS) for side in size)
    if width * height > MAX_PIXELS:
        raise ValueError(f"{where}.size: {width}x{height} pixels; at most {MAX_PIXELS} would fit")
    return width, height


def decoded(runs: Mapping[str, Any], where: str) -> NDArray[np.bool_]:
    """The mask `[h, w]` of run lengths, whose counts are a compressed text or a list of numbers.

    Raises:
        ValueError: they are of no form of COCO, or do not make up the size.
    """
    width, height = size_of(runs, where)
    counts = runs["counts"]
    if isinstance(counts, list):
        counts = [whole(count, f"{where}.counts[{place}]", least=0, most=MAX_PIXELS) for place, count in enumerate(counts)]
    try:
        mask: NDArray[np.bool_] = sv.rle_to_mask(counts, (width, height))
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(f"{where}.counts: no run lengths of {width}x{height} pixels ({error})") from None
    return mask
