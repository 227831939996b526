"""Answers as `supervision.Detections`, the type that annotators, metrics and trackers of the field take.

`data["class_name"]` holds the labels. `class_id` is the place of a label in the list of names that was given; labels outside
of it, and all where none was given, are numbered as they come. Texts with regions add `data["quads"]` `[n, 4, 2]` and
`data["text"]`; segmentations add one boolean mask per instance and `data["polygons"]`, a list of `[k, 2]` outlines each. An
empty answer has the same keys with nothing in them, so that no step after it stumbles. `confidence` is what the model gave
name and place (see `scoring`), None where that is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from florence_blocks.answers import Answer, Instance
from florence_blocks.locations import Size
from florence_blocks.tasks import TASKS, Grammar
from workflow_engine.detections import object_array
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


def to_detections(answer: Answer, size: Size, *, unnamed: str = "") -> sv.Detections:
    """The instances of an answer as detections on an image.

    Args:
        answer: the answer.
        size: width and height of the image.
        unnamed: the name of what the answer does not name: the phrase, where the outline of a phrase was asked for.
    """
    grammar, found = TASKS[answer.task].grammar, answer.instances
    labels = [instance.label or unnamed for instance in found]
    data: dict[str, Any] = {"class_name": object_array(labels)}
    mask = None
    if grammar is Grammar.QUADS:
        data["quads"] = np.array([instance.quad for instance in found], dtype=float).reshape(-1, 4, 2)
        data["text"] = object_array(labels)
    if grammar is Grammar.OUTLINES or any(instance.outlines for instance in found):
        mask = masks(found, size)
        data["polygons"] = object_array([[np.array(o) for o in instance.outlines] for instance in found])
    return sv.Detections(
        xyxy=np.array([instance.box for instance in found], dtype=float).reshape(-1, 4),
        mask=mask,
        confidence=confidences([instance.confidence for instance in found]),
        class_id=np.array(answer.listed.ids(labels), dtype=int),
        data=data,
    )


def confidences(values: Sequence[float | None]) -> NDArray[np.float64] | None:
    """Confidences as an array `[n]`; None if one of them is not known."""
    known = [value for value in values if value is not None]
    return np.array(known, dtype=float) if len(known) == len(values) else None


def masks(instances: Sequence[Instance], size: Size) -> NDArray[np.bool_]:
    """One mask per instance, `[n, height, width]`: all its outlines filled, whatever is inside two of them a hole.

    An instance without outlines has its box as its mask.
    """
    width, height = size
    filled = np.zeros((len(instances), height, width), np.uint8)
    for canvas, instance in zip(filled, instances, strict=True):
        x1, y1, x2, y2 = instance.box
        outlines = instance.outlines or (((x1, y1), (x2, y1), (x2, y2), (x1, y2)),)
        # OpenCV's (0, 0) is the centre of the first pixel, ours its corner; 4 bits keep a sixteenth of a pixel
        polygons = [np.round((np.array(outline) - 0.5) * 16).astype(np.int32) for outline in outlines]
        cv2.fillPoly(canvas, polygons, 1, shift=4)
    return filled.astype(bool)
