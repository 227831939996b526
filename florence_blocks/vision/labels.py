"""What is written beside detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from florence_blocks.vision.detection import select
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")

Labels = Literal[
    "Class", "Confidence", "Class and Confidence", "Index", "Dimensions", "Area", "Area (mask)", "Area (converted)",
    "Tracker Id", "Time In Zone", "Text",
]  # fmt: skip


def label_texts(found: sv.Detections, text: str) -> list[str]:
    """What is written beside each detection; where it is not known, the label says so.

    Args:
        found: the detections.
        text: one of `Labels`.
    """
    names = [str(name) for name in found.data.get("class_name", [""] * len(found))]
    if text == "Class":
        return names
    if text == "Class and Confidence":
        scores = _written(found.confidence, found, "{:.2f}", "")
        return [f"{name} {score}".strip() for name, score in zip(names, scores, strict=True)]
    if text == "Index":
        return [str(index) for index in range(len(found))]
    if text == "Dimensions":
        return [_dimensions(box) for box in found.xyxy.tolist()]
    if text == "Text":
        return [str(value) for value in found.data.get("text", names)]
    values, form, unknown = {
        "Confidence": (found.confidence, "{:.2f}", ""),
        "Area": (_areas(found), "{:.0f}", "Area: N/A"),
        "Area (mask)": (found.data.get("area"), "Area (mask): {:.2f}", "Area (mask): N/A"),
        "Area (converted)": (found.data.get("area_converted"), "Area (conv): {:.2f}", "Area (conv): N/A"),
        "Tracker Id": (found.tracker_id, "{}", "No Tracker ID"),
        "Time In Zone": (found.data.get("time_in_zone"), "In zone: {:.1f}s", "In zone: N/A"),
    }[text]
    return _written(values, found, form, unknown)


def _written(values: Any, found: sv.Detections, form: str, unknown: str) -> list[str]:
    if values is None:
        return [unknown] * len(found)
    return [unknown if value is None or value != value else form.format(value) for value in values]  # NaN is not known


def _dimensions(box: list[float]) -> str:
    """The middle of a box and its size, in whole pixels."""
    x1, y1, x2, y2 = box
    return f"{int((x1 + x2) / 2)}, {int((y1 + y2) / 2)} {int(x2 - x1)}x{int(y2 - y1)}"


def _areas(found: sv.Detections) -> list[int]:
    """Pixels of masks, or of boxes where there are none."""
    if found.mask is not None:
        return [int(np.count_nonzero(mask)) for mask in found.mask]
    return [int((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in found.xyxy.tolist()]


def legible(found: sv.Detections, labels: list[str]) -> tuple[sv.Detections, list[str]]:
    """The detections whose labels say something, with these: a label without a letter would be an empty box."""
    places = [place for place, label in enumerate(labels) if label.strip()]
    if len(places) == len(labels):
        return found, labels
    return select(found, places), [labels[place] for place in places]
