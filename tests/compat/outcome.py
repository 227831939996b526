"""Outputs of either engine as JSON that can be compared."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np

DIGITS = 3
FAILED = "$error"
"""What stands, with its words, for the outputs of a run that failed."""
IDENTIFIERS = ("inference_id", "parent_id")
"""What is another one in every run."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def plain(value: Any) -> Any:
    """A value as JSON: numbers rounded, images as size and digest, detections as sorted-by-place rows."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return TIME.sub("<time>", value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), DIGITS) if np.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if key not in IDENTIFIERS}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    pixels = getattr(value, "numpy_image", None)
    pixels = getattr(value, "array", None) if pixels is None else pixels
    if pixels is not None:
        shape = pixels.shape[:2] if pixels.shape[2:] == (1,) else pixels.shape  # one channel may have a dimension or none
        return {"$image": [int(side) for side in shape], "digest": digest(pixels)}
    if hasattr(value, "xyxy"):
        return {"$detections": [row(value, place) for place in range(len(value))]}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return str(value)


def digest(pixels: Any) -> str:
    """A digest of pixels."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).hexdigest()


def row(found: Any, place: int) -> dict[str, Any]:
    """One detection: box, name, confidence, class number, track, keypoints, and how many pixels its mask has."""
    names = found.data.get("class_name")
    made = {
        "box": [round(float(edge), DIGITS) for edge in found.xyxy[place]],
        "class": None if names is None else str(names[place]),
        "confidence": None if found.confidence is None else round(float(found.confidence[place]), DIGITS),
        "class_id": None if found.class_id is None else int(found.class_id[place]),
    }
    if found.mask is not None:
        made["mask"] = int(np.asarray(found.mask[place]).sum())
    if found.tracker_id is not None:
        made["track"] = int(found.tracker_id[place])
    if "keypoints_xy" in found.data:
        columns = (found.data[f"keypoints_{name}"][place] for name in ("xy", "confidence", "class_id", "class_name"))
        made["keypoints"] = [plain(point) for point in zip(*columns, strict=True) if point[-1]]
    return made
