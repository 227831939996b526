"""Inputs that two environments make alike: pictures of numpy alone, and detections as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np


def picture(name: str) -> Any:
    """A BGR `uint8` picture `[height, width, 3]` by its name and size: `blocks 160x120`, `noise 64x48`, `ramp 100x80`.

    `glass 40x40` is a ramp that is the more transparent the lower, `[height, width, 4]`.
    """
    kind, size = name.split()
    width, height = (int(part) for part in size.split("x"))
    if kind == "noise":
        return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * columns // max(width - 1, 1), 255 * rows // max(height - 1, 1), (columns + rows) % 256], axis=2)
    if kind == "glass":
        return np.dstack([ramp, 255 * rows // max(height - 1, 1)]).astype(np.uint8)
    if kind == "ramp":
        return ramp.astype(np.uint8)
    made = np.full((height, width, 3), 230, np.uint8)
    for place, colour in enumerate(((40, 40, 200), (60, 180, 60), (200, 90, 40))):
        left, top = (place * 2 + 1) * width // 8, (place + 1) * height // 6
        made[top : top + height // 4, left : left + width // 6] = colour
    return made


def box(
    x1: float, y1: float, x2: float, y2: float, name: str = "star", confidence: float = 0.9, class_id: int = 0, **more: Any
) -> dict[str, Any]:
    """One detection as the language writes it: centre and size."""
    return {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1, "confidence": confidence,
            "class": name, "class_id": class_id, "detection_id": f"{name}-{x1:g}-{y1:g}", **more}  # fmt: skip


def outlined(*corners: tuple[float, float], name: str = "star", confidence: float = 0.9, class_id: int = 0) -> dict[str, Any]:
    """One detection with its outline."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    found = box(min(xs), min(ys), max(xs), max(ys), name, confidence, class_id)
    return {**found, "points": [{"x": x, "y": y} for x, y in corners]}


def person(*points: tuple[float, float, int, str], **more: Any) -> dict[str, Any]:
    """One detection with keypoints (x, y, class id, class), around which its box lies."""
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    marks = [
        {"x": x, "y": y, "confidence": 0.5 + place / 10, "class_id": number, "class": name}
        for place, (x, y, number, name) in enumerate(points)
    ]
    return {**box(min(xs) - 5, min(ys) - 5, max(xs) + 5, max(ys) + 5, "person"), "keypoints": marks, **more}


def predictions(*found: dict[str, Any], width: int = 160, height: int = 120) -> dict[str, Any]:
    """The detections of one image."""
    return {"image": {"width": width, "height": height}, "predictions": list(found)}


def read(value: Any) -> Any:
    """An input of a case as both engines take it: `{"$picture": name}` becomes its pixels, at any depth of lists."""
    if isinstance(value, list):
        return [read(item) for item in value]
    if isinstance(value, dict) and "$picture" in value:
        return picture(value["$picture"])
    return value
