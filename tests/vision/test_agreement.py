"""Agreement, change, overlap and outlines, where the recorded comparisons do not reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.agreement import DetectionsConsensus, OverlapAnalysis
from florence_blocks.vision.outlines import BoundingRect, DynamicZone, outline
from florence_blocks.vision.rollup import DetectionsListRollup
from tests.vision.test_combine import boxes
from workflow_engine.data import Image
from workflow_engine.detections import ORIGIN, object_array, on_image


def consensus(*sources: sv.Detections, votes: int = 2, **fields: Any) -> dict[str, Any]:
    defaults = DetectionsConsensus.Manifest(
        type="vision/detections_consensus@v1", name="s", predictions_batches=["$inputs.found"], required_votes=votes, **fields
    ).model_dump(exclude={"type", "name", "predictions_batches"})
    return DetectionsConsensus().run(list(sources), **defaults)


def test_a_consensus_without_confidences_invents_none() -> None:
    agreed = consensus(boxes((0, 0, 10, 10), names="cat"), boxes((1, 0, 11, 10), names="cat", scores=[0.5]))
    assert agreed["predictions"].confidence is None
    assert agreed["predictions"].xyxy.tolist() == [[0.5, 0, 10.5, 10]]
    assert agreed["object_present"] is True and agreed["presence_confidence"] == {}


def test_the_outlines_of_one_source_are_not_those_of_the_consensus() -> None:
    corner = np.array([[[0, 0], [10, 0], [10, 10], [0, 10]]], float)
    agreed = consensus(boxes((0, 0, 10, 10), names="a", quads=corner), boxes((2, 0, 12, 10), names="a"))
    assert "quads" not in agreed["predictions"].data


def test_a_vote_is_of_a_source_not_of_a_box() -> None:
    twice = boxes((0, 0, 10, 10), (1, 0, 11, 10), names="a a", scores=[0.9, 0.8])
    assert len(consensus(twice, boxes(names=""))["predictions"]) == 0
    assert len(consensus(twice, boxes((0, 0, 10, 10), names="a", scores=[0.7]))["predictions"]) == 1


def rolled(parent: sv.Detections, *children: sv.Detections | None) -> sv.Detections:
    out = DetectionsListRollup().run(parent, list(children), "max", 0.0, 10.0)
    found: sv.Detections = out["rolled_up_detections"]
    return found


def test_rolled_up_detections_know_the_image_and_keep_masks_and_texts() -> None:
    image = Image(np.zeros((60, 80, 3), np.uint8))
    parent = on_image(boxes((10, 10, 30, 30), (50, 20, 70, 40), names="a b", scores=[1, 1]), image)
    crop = image.crop(50, 20, 70, 40)
    child = on_image(boxes((2, 3, 8, 9), names="word", scores=[0.5], text=object_array(["hello"])), crop)
    child.mask = np.zeros((1, 20, 20), bool)
    child.mask[0, 3:9, 2:8] = True
    found = rolled(parent, None, child)
    assert found.xyxy.tolist() == [[52, 23, 58, 29]]
    assert found.data["text"].tolist() == ["hello"]
    assert found.metadata[ORIGIN] == image.origin
    assert (
        found.mask is not None
        and found.mask.shape == (1, 60, 80)
        and np.argwhere(found.mask[0]).min(axis=0).tolist() == [23, 52]
    )


def test_rolled_up_crops_may_have_been_resized() -> None:
    image = Image(np.zeros((60, 80, 3), np.uint8))
    parent = on_image(boxes((20, 20, 40, 40), names="a", scores=[1]), image)
    crop = image.crop(20, 20, 40, 40)
    larger = crop.derive(np.zeros((40, 40, 3), np.uint8))
    found = rolled(parent, on_image(boxes((10, 10, 20, 20), names="b", scores=[1]), larger))
    assert found.xyxy.tolist() == [[25, 25, 30, 30]]


def test_each_crop_needs_its_list() -> None:
    with pytest.raises(ValueError, match="2 detections to cut at and 1 lists"):
        rolled(boxes((0, 0, 5, 5), (5, 5, 9, 9)), boxes())


def test_overlap_of_a_mask_with_a_box_counts_pixels() -> None:
    left = boxes((0, 0, 10, 10), names="a")
    left.mask = np.zeros((1, 20, 20), bool)
    left.mask[0, :10, :5] = True
    told = OverlapAnalysis().run(left, boxes((0, 0, 20, 5), names="b"), 0.1)
    assert told == [{"reference_class": "a", "reference_confidence": None, "candidate_class": "b",
                     "candidate_confidence": None, "overlap_ratio": 0.5}]  # fmt: skip


def turned(**data: Any) -> sv.Detections:
    return boxes((10, 10, 30, 30), names="a", **data)


DIAMOND = np.array([[20, 10], [30, 20], [20, 30], [10, 20]], float)


@pytest.mark.parametrize("found", [turned(quads=DIAMOND[None]), turned(polygons=object_array([[DIAMOND, DIAMOND[:3]]]))])
def test_outlines_come_from_polygons_and_quads_where_there_is_no_mask(found: sv.Detections) -> None:
    assert outline(found, 0).tolist() == DIAMOND.tolist()
    rect = BoundingRect().run(found)
    assert sorted(rect.data["quads"][0].tolist()) == sorted(DIAMOND.tolist())
    assert rect.xyxy.tolist() == [[10, 10, 30, 30]] and rect.data["width"][0] == pytest.approx(200**0.5)
    zones = DynamicZone().run(found, 4, 1, False, 1)
    assert sorted(zones["zones"][0]) == sorted(DIAMOND.tolist()) and zones["simplification_converged"]


def test_a_box_is_its_own_rectangle_and_nothing_has_none() -> None:
    assert BoundingRect().run(boxes((1, 2, 5, 9))).xyxy.tolist() == [[1, 2, 5, 9]]
    assert len(BoundingRect().run(boxes())) == 0
    assert DynamicZone().run(boxes(), 5, 1, True, 1)["zones"] == []


@pytest.mark.parametrize("clockwise", [True, False])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_fitted_edges_stand_upright_too(clockwise: bool, share: float) -> None:
    """Lines as y = ax + b, as others fit them, lose upright edges."""
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 10:40, 15:45] = True
    found = boxes((15, 10, 45, 40))
    if clockwise:
        found.mask = mask
    else:
        square = np.array([[15, 10], [44, 10], [44, 39], [15, 39]], float)
        found.data["polygons"] = object_array([[square[::-1]]])
    zone = DynamicZone().run(found, 4, 1, True, share)["zones"][0]
    assert sorted(zone) == [[15, 10], [15, 39], [44, 10], [44, 39]]
