"""Blocks that hold the detections of several sources against each other: agreement, change, overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from florence_blocks.names import ClassName, cleaned
from florence_blocks.vision.detection import Detection, rows, select
from florence_blocks.vision.fields import DETECTIONS_OUTPUT, Amount, Positive, Share
from florence_blocks.vision.together import masks_of, names_of, overlaps_of, together
from workflow_engine.block import Block, BlockManifest, DetectionsReference, Output, Value
from workflow_engine.kinds import BOOLEAN, DETECTIONS, DICTIONARY, INTEGER, LIST_OF_VALUES
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    nx = LazyModule("networkx")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Aggregation = Literal["average", "max", "min"]
MaskAggregation = Literal["union", "intersection", "max", "min"]

_OF_NUMBERS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"average": fmean, "max": max, "min": min}


# ------------------------------------------------------------------ agreement


class DetectionsConsensus(Block):
    """What enough detectors found alike, as one: a vote of several steps about the same image.

    A detection gets a vote from every source whose nearest detection of its class overlaps with it.
    `{"type": "vision/detections_consensus@v1", "name": "sure", "predictions_batches": ["$steps.detect.predictions",
    "$steps.ground.predictions"], "required_votes": 2}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_consensus@v1", "roboflow_core/detections_consensus@v1", "DetectionsConsensus"]
        predictions_batches: Annotated[list[DetectionsReference], Field(min_length=1, description="the sources")]
        required_votes: Value[Positive] = Field(description="how many sources must find a thing, its own one included")
        class_aware: Value[bool] = Field(True, description="whether things of different classes are different")
        iou_threshold: Value[Share] = Field(0.3, description="how much boxes overlap, more than this, to be the same thing")
        confidence: Value[Share] = Field(0.0, description="the least confidence of what is kept")
        classes_to_consider: Value[list[ClassName] | None] = Field(None, description="the classes that count; all by default")
        required_objects: Value[Positive | dict[ClassName, Positive] | None] = Field(
            None, description="how many must be there, in all or of each class, for `object_present`"
        )
        presence_confidence_aggregation: Aggregation = "max"
        detections_merge_confidence_aggregation: Aggregation = "average"
        detections_merge_coordinates_aggregation: Aggregation = Field("average", description="max is the largest box")
        detections_merge_mask_aggregation: MaskAggregation = "union"

    outputs = {**DETECTIONS_OUTPUT, "object_present": Output(BOOLEAN), "presence_confidence": Output(DICTIONARY)}

    def run(
        self,
        predictions_batches: list[sv.Detections],
        required_votes: int,
        class_aware: bool,
        iou_threshold: float,
        confidence: float,
        classes_to_consider: list[str] | None,
        required_objects: int | dict[str, int] | None,
        presence_confidence_aggregation: Aggregation,
        detections_merge_confidence_aggregation: Aggregation,
        detections_merge_coordinates_aggregation: Aggregation,
        detections_merge_mask_aggregation: MaskAggregation,
    ) -> dict[str, Any]:
        """The consensus about one image."""
        sources = [_of_classes(found, classes_to_consider) for found in predictions_batches]
        agreed = [
            _merged(
                group, detections_merge_confidence_aggregation, detections_merge_coordinates_aggregation,
                detections_merge_mask_aggregation,
            )
            for group in _votes(sources, required_votes, iou_threshold, class_aware=class_aware, confidence=confidence,
                                confidence_of=_OF_NUMBERS[detections_merge_confidence_aggregation])
        ]  # fmt: skip
        found = together(agreed) if agreed else select(sources[0], [])
        there = len(agreed) > 0 and _enough(Counter(map(cleaned, names_of(found))), required_objects, class_aware=class_aware)
        names = names_of(found) if class_aware else ["any_object"] * len(found)
        scores: dict[str, list[float]] = {}
        if found.confidence is not None:
            for name, score in zip(names, found.confidence.tolist(), strict=True):
                scores.setdefault(name, []).append(score)
        summary = _OF_NUMBERS[presence_confidence_aggregation]
        presence = {name: summary(values) for name, values in scores.items()}
        return {"predictions": found, "object_present": there, "presence_confidence": presence if there else {}}


def _of_classes(found: sv.Detections, classes: Sequence[str] | None) -> sv.Detections:
    if not classes:
        return found
    return select(found, [place for place, name in enumerate(names_of(found)) if cleaned(name) in classes])


def _votes(
    sources: Sequence[sv.Detections],
    votes: int,
    iou: float,
    *,
    class_aware: bool,
    confidence: float,
    confidence_of: Callable[[Sequence[float]], float],
) -> list[sv.Detections]:
    """The groups of detections that enough sources agree on, each detection in one group at most."""
    used: set[tuple[int, int]] = set()
    names = [names_of(found) for found in sources]
    groups = []
    for source, found in enumerate(sources):
        overlaps = [overlaps_of(found, other) for other in sources]
        for place in range(len(found)):
            if (source, place) in used:
                continue
            members = [(source, place)]
            for number, other in enumerate(sources):
                near = [
                    (float(overlaps[number][place, index]), -index)
                    for index in range(len(other))
                    if number != source and (number, index) not in used and overlaps[number][place, index] > iou
                    and (not class_aware or names[source][place] == names[number][index])
                ]  # fmt: skip
                if near:
                    members.append((number, -max(near)[1]))
            if len(members) < votes:
                continue
            group = together([select(sources[number], [index]) for number, index in members])
            if group.confidence is None or not confidence_of(group.confidence.tolist()) < confidence:
                groups.append(group)
                used.update(members)
    return groups


def _merged(group: sv.Detections, confidences: Aggregation, coordinates: Aggregation, masks: MaskAggregation) -> sv.Detections:
    """One detection of a group that is the same thing."""
    names = names_of(group)
    if confidences == "average" or group.confidence is None:
        model = names.index(Counter(names).most_common(1)[0][0])
    else:
        model = int(group.confidence.argmax() if confidences == "max" else group.confidence.argmin())
    one = select(group, [model])
    for shape in ("quads", "polygons"):  # those of one source; the box or mask of all of them counts
        one.data.pop(shape, None)
    if group.confidence is not None:
        one.confidence = np.array([_OF_NUMBERS[confidences](group.confidence.tolist())])
    if group.mask is not None:
        joined = _mask(np.asarray(group.mask, bool), masks)[None]
        one.mask, one.xyxy = joined, sv.mask_to_xyxy(joined).astype(float)
    elif coordinates == "average":
        one.xyxy = group.xyxy.mean(axis=0, keepdims=True)
    else:
        areas = (group.xyxy[:, 2:] - group.xyxy[:, :2]).prod(axis=1)
        one.xyxy = group.xyxy[[int(areas.argmax() if coordinates == "max" else areas.argmin())]]
    return one


def _mask(masks: NDArray[np.bool_], how: MaskAggregation) -> Any:
    if how == "union":
        return masks.any(axis=0)
    if how == "intersection":
        return masks.all(axis=0)
    areas = masks.sum(axis=(1, 2))
    return masks[int(areas.argmax() if how == "max" else areas.argmin())]


def _enough(counts: Counter[str], wanted: int | dict[str, int] | None, *, class_aware: bool) -> bool:
    if isinstance(wanted, dict) and class_aware:
        return all(counts[name] >= number for name, number in wanted.items())
    return counts.total() >= (sum(wanted.values()) if isinstance(wanted, dict) else wanted or 0)


# ------------------------------------------------------------------ change


class DetectionsDifference(Block):
    """What is gone, still there and new between two images of the same place.

    Pairs are made from the cheapest on; the cost of a pair is `spatial_weight` times 1 - IoU (for boxes that do not meet,
    1 + the distance of their centres over the diagonal of the box around both), plus a penalty for another class.

    `{"type": "vision/detections_difference@v1", "name": "change", "reference_predictions": "$steps.before.predictions",
    "candidate_predictions": "$steps.after.predictions"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/detections_difference@v1", "roboflow_core/detections_difference@v1", "DetectionsDifference"]
        reference_predictions: DetectionsReference = Field(description="what was there before")
        candidate_predictions: DetectionsReference = Field(description="what is there now")
        spatial_weight: Value[Share] = Field(0.4, description="weight of the places in the cost of a pair")
        class_mismatch_penalty: Value[Amount] = Field(0.15, description="added for another class")
        reject_cost: Value[Amount] = Field(0.75, description="the cost up to which two are a pair")
        class_strict: Value[bool] = Field(False, description="whether things of different classes are never a pair")
        min_removed_to_verify: Value[Positive] = Field(1, description="how many must be gone for `verified`")

    outputs = {
        "removed_detections": Output(*DETECTIONS),
        "persisted_detections": Output(*DETECTIONS),
        "new_detections": Output(*DETECTIONS),
        "removed_count": Output(INTEGER),
        "new_count": Output(INTEGER),
        "verified": Output(BOOLEAN),
    }

    def run(
        self,
        reference_predictions: sv.Detections,
        candidate_predictions: sv.Detections,
        spatial_weight: float,
        class_mismatch_penalty: float,
        reject_cost: float,
        class_strict: bool,
        min_removed_to_verify: int,
    ) -> dict[str, Any]:
        """The difference of one pair of images."""
        cost = spatial_weight * _distances(reference_predictions, candidate_predictions)
        other = np.array([[a != b for b in names_of(candidate_predictions)] for a in names_of(reference_predictions)], bool)
        cost += np.where(other.reshape(cost.shape), np.inf if class_strict else class_mismatch_penalty, 0.0)
        pairs = _cheapest(cost, reject_cost)
        gone = sorted(set(range(len(reference_predictions))) - {before for before, _ in pairs})
        fresh = sorted(set(range(len(candidate_predictions))) - {after for _, after in pairs})
        return {
            "removed_detections": select(reference_predictions, gone),
            "persisted_detections": select(candidate_predictions, sorted(after for _, after in pairs)),
            "new_detections": select(candidate_predictions, fresh),
            "removed_count": len(gone),
            "new_count": len(fresh),
            "verified": len(gone) >= min_removed_to_verify,
        }


def _distances(one: sv.Detections, other: sv.Detections) -> Any:
    """1 - IoU of every pair of boxes; of boxes that do not meet, 1 + how far apart they are, up to 2."""
    a, b = one.xyxy[:, None].astype(float), other.xyxy[None].astype(float)
    overlaps = overlaps_of(one, other)
    apart = np.linalg.norm((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2, axis=-1)
    around = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    diagonal = np.linalg.norm(around, axis=-1)
    share = np.divide(apart, diagonal, out=np.zeros_like(apart), where=diagonal > 0)
    return np.where(overlaps > 0, 1 - overlaps, 1 + share)


def _cheapest(cost: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Pairs from the cheapest on, each row and column once."""
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(cost, axis=None, kind="stable").tolist():
        row, column = divmod(place, cost.shape[1])
        if not cost[row, column] <= limit or not np.isfinite(cost[row, column]):
            break
        if all(row != before and column != after for before, after in pairs):
            pairs.append((row, column))
    return pairs


# ------------------------------------------------------------------ overlap


class OverlapAnalysis(Block):
    """Which things lie on which, and how much of them: every pair of two sets of detections that overlap.

    Areas are those of the masks where there are some, else those of the boxes.
    `{"type": "vision/overlap_analysis@v1", "name": "worn", "reference_predictions": "$steps.heads.predictions",
    "candidate_predictions": "$steps.helmets.predictions", "min_overlap": 0.3}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/overlap_analysis@v1", "roboflow_core/overlap_analysis@v1", "OverlapAnalysis"]
        reference_predictions: DetectionsReference = Field(description="the things that are covered")
        candidate_predictions: DetectionsReference = Field(description="the things that cover them")
        min_overlap: Value[Share] = Field(0.1, description="the least share of the reference's area that is covered")

    outputs = {"overlaps": Output(LIST_OF_VALUES)}

    def run(
        self, reference_predictions: sv.Detections, candidate_predictions: sv.Detections, min_overlap: float
    ) -> list[dict[str, Any]]:
        """The pairs of one image, with their classes, confidences and the share that is covered."""
        shares = _covered(reference_predictions, candidate_predictions)
        found = []
        for one in rows(reference_predictions):
            for other in rows(candidate_predictions):
                share = float(shares[one.index, other.index])
                if share > 0 and share >= min_overlap:
                    told = {**_told(one, "reference"), **_told(other, "candidate"), "overlap_ratio": share}
                    found.append(told)
        return found


def _told(one: Detection, role: str) -> dict[str, Any]:
    names, scores = one.found.data.get("class_name"), one.found.confidence
    told: dict[str, Any] = {
        f"{role}_class": None if names is None else str(names[one.index]),
        f"{role}_confidence": None if scores is None else float(scores[one.index]),
    }
    if "detection_id" in one.found.data:
        told[f"{role}_detection_id"] = str(one.found.data["detection_id"][one.index])
    return told


def _covered(one: sv.Detections, other: sv.Detections) -> Any:
    """The share of every thing of one that lies on every thing of the other, `[len(one), len(other)]`."""
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    masks = next((found.mask for found in (one, other) if found.mask is not None), None)
    if masks is None:
        a, b = one.xyxy[:, None].astype(float), other.xyxy[None].astype(float)
        sides = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
        shared, areas = sides.prod(axis=-1), (one.xyxy[:, 2:] - one.xyxy[:, :2]).prod(axis=1)
    else:
        mine, theirs = (masks_of(found, masks.shape[1:]).reshape(len(found), -1) for found in (one, other))
        shared = np.array([[np.count_nonzero(a & b) for b in theirs] for a in mine], float)
        areas = mine.sum(axis=1)
    areas = np.asarray(areas, float)[:, None]
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


# ------------------------------------------------------------------ crops
