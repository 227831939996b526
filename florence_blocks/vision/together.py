"""Detections of several sources as one, and what to do where two of them are the same thing.

`fused` is weighted box fusion (Solovyev et al., 2021): boxes that overlap give one box, their mean weighted by confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from florence_blocks.vision.detection import select
from workflow_engine.detections import object_array
from workflow_engine.keypoints import KEYPOINTS, KEYPOINTS_XY, keypoint_data, keypoints
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Overlap = Literal["none", "nms", "nmm", "wbf"]
"""What becomes of things found twice: nothing, the surest stays, they are joined, or their weighted mean stays."""
OverlapMeasure = Literal["iou", "ios"]
"""What the overlap of two things is compared with: their union, or the smaller of them, so that a part is the thing."""


def together(parts: Sequence[sv.Detections]) -> sv.Detections:
    """All detections of parts that lie on the same image, in order.

    What only some parts have is filled for the others: a mask, quad or outline with the box, a text with "", keypoints with
    none. Confidences and tracks stay only where every part has them. Every name has one id, the first it came with; where
    another name has that already, one behind all others.
    """
    full = [part for part in parts if len(part)]
    if len(full) < 2:
        return full[0] if full else parts[0]
    keys = dict.fromkeys(key for part in full for key in part.data)
    shape = next((part.mask.shape[1:] for part in full if part.mask is not None), None)
    data: dict[str, Any] = {key: np.concatenate([_values(part, key) for part in full]) for key in keys if key not in KEYPOINTS}
    if KEYPOINTS_XY in keys:
        data.update(keypoint_data([keypoints(part, index) for part in full for index in range(len(part))]))
    return sv.Detections(
        xyxy=np.concatenate([part.xyxy for part in full]),
        mask=None if shape is None else np.concatenate([masks_of(part, shape) for part in full]),
        confidence=_of_all([part.confidence for part in full]),
        class_id=_class_ids(full, data.get("class_name")),
        tracker_id=_of_all([part.tracker_id for part in full]),
        data=data,
        metadata=dict(full[0].metadata),
    )


def _of_all(values: Sequence[Any]) -> Any:
    return None if any(value is None for value in values) else np.concatenate(values)


def _values(part: sv.Detections, key: str) -> NDArray[Any]:
    if key in part.data:
        value = part.data[key]
        return value if isinstance(value, np.ndarray) else object_array(list(value))
    if key == "quads":
        return _corners(part)
    if key == "polygons":
        return object_array([[corners] for corners in _corners(part)])
    return object_array(["" if key in ("class_name", "text") else None] * len(part))


def _corners(part: sv.Detections) -> NDArray[Any]:
    """The corners of boxes, `[n, 4, 2]`, clockwise from the first."""
    return part.xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def names_of(found: sv.Detections) -> list[str]:
    """The class name of every detection; "" where there are none."""
    return [str(name) for name in found.data.get("class_name", [""] * len(found))]


def overlaps_of(one: sv.Detections, other: sv.Detections) -> Any:
    """Intersection over union of every pair of boxes, `[len(one), len(other)]`; empty boxes overlap with nothing."""
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    with np.errstate(all="ignore"):  # boxes without area
        return np.nan_to_num(sv.box_iou_batch(one.xyxy, other.xyxy).astype(float))


def masks_of(part: sv.Detections, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The masks `[n, *shape]` of detections; where there are none, those of their boxes."""
    if part.mask is not None:
        return np.asarray(part.mask, dtype=bool)
    masks = np.zeros((len(part), *shape), dtype=bool)
    for mask, (x1, y1, x2, y2) in zip(masks, np.rint(part.xyxy).astype(int).clip(0), strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def _class_ids(parts: Sequence[sv.Detections], names: Any) -> Any:
    """One id per name, the first it came with unless another name has it; None where neither is known."""
    if names is None:
        return _of_all([part.class_id for part in parts])
    known = [number for part in parts for number in (part.class_id if part.class_id is not None else [None] * len(part))]
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name, number in zip(map(str, names), known, strict=True):
        if number is not None and name not in numbers and int(number) not in taken:
            numbers[name] = int(number)
            taken.add(int(number))
    behind = max(taken, default=-1) + 1
    for name in dict.fromkeys(map(str, names)):
        if name not in numbers:
            numbers[name] = behind
            behind += 1
    return np.array([numbers[str(name)] for name in names], dtype=int)


def cleared(
    found: sv.Detections,
    overlap: Overlap,
    least: float,
    *,
    measure: OverlapMeasure = "iou",
    class_agnostic: bool = False,
    sources: int = 1,
) -> sv.Detections:
    """Detections in which nothing comes twice.

    Args:
        found: the detections; without confidences, the earlier one counts as the surer one.
        overlap: what becomes of things found twice.
        least: how much two boxes (masks, where there are some) overlap at least to be the same thing.
        measure: what their overlap is compared with.
        class_agnostic: whether things of different classes can be the same.
        sources: how many detectors were asked; a thing that fewer found is less sure after `wbf`.
    """
    if overlap == "none" or len(found) < 2:
        return found
    if overlap == "wbf":
        return fused(found, least, measure=measure, class_agnostic=class_agnostic, sources=sources)
    agnostic, metric = class_agnostic or found.class_id is None, _metric(measure)
    if overlap == "nms":
        chosen = partial(sv.Detections.with_nms, threshold=least, class_agnostic=agnostic, overlap_metric=metric)
        return _chosen(found, chosen, whole=measure == "ios")
    kept = select(found, list(range(len(found))))
    if found.confidence is None:
        kept.confidence = np.linspace(1, 0.5, len(found))
    joined = partial(sv.Detections.with_nmm, threshold=least, class_agnostic=agnostic, overlap_metric=metric)
    kept = _joined(kept, joined, again=measure == "ios")
    if found.confidence is None:
        kept.confidence = None
    kept.metadata.update(found.metadata)
    return kept


def _chosen(found: sv.Detections, choose: Callable[..., sv.Detections], *, whole: bool) -> sv.Detections:
    """The surest of what overlaps, in the order they came; a confidence that is not known (NaN) is the least.

    Args:
        found: the detections.
        choose: non-maximum suppression.
        whole: whether of equally sure ones the largest is meant, not a part of it.
    """
    count = len(found)
    ranks = np.linspace(1, 0.5, count)
    scores = ranks if found.confidence is None else np.nan_to_num(np.asarray(found.confidence, float), nan=-1)
    sizes = np.asarray(found.box_area, float) if whole else np.zeros(count)
    order = np.lexsort((-np.arange(count), -sizes, -scores))
    ranked = select(found, order.tolist())
    ranked.confidence = ranks
    left = np.isin(ranks, np.asarray(choose(ranked).confidence))
    return select(found, np.sort(order[left]).tolist())


def _joined(found: sv.Detections, join: Callable[..., sv.Detections], *, again: bool) -> sv.Detections:
    """Overlapping detections as one each; again, until nothing is a part of what others were joined to."""
    fewer = join(found)
    return _joined(fewer, join, again=again) if again and len(fewer) < len(found) else fewer


def _metric(measure: OverlapMeasure) -> sv.OverlapMetric:
    return sv.OverlapMetric.IOS if measure == "ios" else sv.OverlapMetric.IOU


def fused(
    found: sv.Detections, least: float, *, measure: OverlapMeasure = "iou", class_agnostic: bool, sources: int
) -> sv.Detections:
    """Overlapping boxes as their mean, weighted by confidence; everything else is that of the surest of them.

    A confidence that is not known (NaN) weighs nothing; boxes that all weigh nothing count alike.
    """
    scores = np.ones(len(found)) if found.confidence is None else np.asarray(found.confidence, float)
    weights = np.nan_to_num(scores).clip(0)
    classes = np.zeros(len(found), int) if class_agnostic or found.class_id is None else found.class_id
    groups: list[list[int]] = []
    means: list[NDArray[Any]] = []
    for place in np.argsort(-weights, kind="stable").tolist():
        same = [number for number, group in enumerate(groups) if classes[group[0]] == classes[place]]
        others = np.array([means[number] for number in same])
        overlaps = sv.box_iou_batch(found.xyxy[[place]], others, _metric(measure))[0] if same else []
        best = max(range(len(same)), key=lambda number: overlaps[number], default=None)
        if best is None or overlaps[best] < least:
            groups.append([place])
            means.append(found.xyxy[place])
        else:
            group = groups[same[best]]
            group.append(place)
            counted = weights[group] if weights[group].any() else None
            means[same[best]] = np.average(found.xyxy[group], axis=0, weights=counted)
    kept = select(found, [group[0] for group in groups])
    kept.xyxy = np.array(means, dtype=float)
    if found.confidence is not None:
        kept.confidence = np.array([_mean(scores[group]) * min(len(group), sources) / sources for group in groups])
    return kept


def _mean(scores: NDArray[Any]) -> float:
    """The mean of the confidences that are known; NaN where none is."""
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else float("nan")
