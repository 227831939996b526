"""Slices and the way back, detections put together, and switches, through workflows as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.combine import DetectionsStitch
from florence_blocks.vision.detection import select
from florence_blocks.vision.together import cleared, together
from tests.vision.test_blocks import PIXELS, found, run, step

SLICER = {"name": "cut", "image": "$inputs.image", "slice_width": 40, "slice_height": 40}


def boxes(*rows: tuple[float, ...], names: str = "", scores: Any = None, **data: Any) -> sv.Detections:
    named = {"class_name": np.array(names.split(), object)} if names else {}
    return sv.Detections(
        xyxy=np.array(rows, float).reshape(-1, 4), confidence=None if scores is None else np.array(scores, float),
        class_id=np.array([sorted(set(names.split())).index(name) for name in names.split()]) if names else None,
        data={**named, **data},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("vision/image_slicer@v1", [(40, 40)] * 6),
        ("roboflow_core/image_slicer@v2", [(40, 40)] * 6),
        ("roboflow_core/image_slicer@v1", [(40, 40), (40, 40), (36, 40), (4, 40), (40, 28), (40, 28), (36, 28), (4, 28)]),
    ],
)
def test_slices_cover_the_image_and_each_version_has_its_edges(kind: str, sizes: list[tuple[int, int]]) -> None:
    slices = run([{"type": kind, **SLICER}], "$steps.cut.slices")
    assert [part.size for part in slices] == sizes
    seen = np.zeros(PIXELS.shape[:2], bool)
    for part in slices:
        x, y = int(part.origin.x), int(part.origin.y)
        assert np.array_equal(part.array, PIXELS[y : y + part.height, x : x + part.width])
        seen[y : y + part.height, x : x + part.width] = True
    assert seen.all()


def test_what_is_found_on_slices_comes_back_to_the_image_once() -> None:
    """A box around everything on every slice: the slices tile the image, and none is lost or doubled."""
    steps = [
        {"type": "vision/image_slicer@v1", **SLICER},
        {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$steps.cut.slices", "predictions": "$inputs.d"},
        {
            "type": "vision/detections_stitch@v1",
            "name": "all",
            "reference_image": "$steps.cut.slices",
            "predictions": "$steps.crop.predictions",
        },
    ]
    masks = np.zeros((1, 40, 40), bool)
    masks[0, 5:20, 10:30] = True
    one = sv.Detections(xyxy=np.array([[10, 5, 30, 20]], float), mask=masks, data={"class_name": np.array(["star"], object)})
    stitched = run(steps, "$steps.all.predictions", d=one, coordinates="own")
    assert len(stitched) == 6
    for back in stitched:
        assert back.xyxy.tolist() == one.xyxy.tolist() and np.array_equal(back.mask, masks)


def test_parts_with_different_data_lose_nothing() -> None:
    both = together([found(mask=True), boxes((1, 2, 9, 8), names="star", scores=[0.5], text=np.array(["HI"], object))])
    assert both.data["class_name"].tolist() == ["star", "circle", "star"]
    assert both.data["text"].tolist() == ["", "", "HI"] and both.class_id.tolist() == [0, 1, 0]
    assert both.confidence is None and both.mask.sum(axis=(1, 2)).tolist()[2] == 48


def test_classes_of_sources_that_number_them_differently_get_new_ids() -> None:
    one, other = boxes((0, 0, 9, 9), names="star"), boxes((20, 0, 29, 9), names="circle")
    assert one.class_id.tolist() == other.class_id.tolist() == [0]
    assert together([one, other]).class_id.tolist() == [0, 1]


PAIR = boxes((0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60), names="star star star", scores=[0.6, 0.9, 0.5])


@pytest.mark.parametrize(
    ("overlap", "wanted"),
    [
        ("none", [[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]]),
        ("nms", [[2, 0, 12, 10], [50, 50, 60, 60]]),
        ("nmm", [[0, 0, 12, 10], [50, 50, 60, 60]]),
        ("wbf", [[1.2, 0, 11.2, 10], [50, 50, 60, 60]]),
    ],
)
@pytest.mark.parametrize("scored", [True, False])
def test_things_found_twice_are_joined_as_asked(overlap: Any, wanted: list[list[float]], scored: bool) -> None:
    given = PAIR if scored else boxes(*map(tuple, PAIR.xyxy), names="star star star")
    kept = cleared(given, overlap, 0.5)
    assert (kept.confidence is not None) == scored
    if scored:
        assert np.allclose(sorted(kept.xyxy.tolist()), sorted(wanted))
    assert len(kept) == len(wanted)


def test_fusion_doubts_what_one_of_two_sources_found() -> None:
    kept = cleared(PAIR, "wbf", 0.5, sources=2)
    assert sorted(kept.confidence.tolist()) == pytest.approx([0.25, 0.75])


def test_things_of_other_classes_are_other_things_unless_told_otherwise() -> None:
    given = boxes((0, 0, 10, 10), (1, 0, 11, 10), names="star circle", scores=[0.6, 0.9])
    for overlap in ("nms", "nmm", "wbf"):
        assert len(cleared(given, overlap, 0.5)) == 2  # type: ignore[arg-type]
        assert len(cleared(given, overlap, 0.5, class_agnostic=True)) == 1  # type: ignore[arg-type]


def test_detections_of_two_steps_are_combined_in_either_spelling() -> None:
    one = run([step("detections_combine", predictions=["$inputs.d", "$inputs.d"], overlap="nms")], "$steps.s.predictions")
    two = run([step("detections_combine", prediction_one="$inputs.d", prediction_two="$inputs.d")], "$steps.s.predictions")
    assert len(one) == 2 and len(two) == 4


def test_a_frame_holds_everything_and_nothing_stays_nothing() -> None:
    frame = run([step("detections_merge", predictions="$inputs.d", class_name="all")], "$steps.s.predictions")
    assert frame.xyxy.tolist() == [[10, 10, 90, 55]] and frame.data["class_name"].tolist() == ["all"]
    empty = run([step("detections_merge", predictions="$inputs.d")], "$steps.s.predictions", d=sv.Detections.empty())
    assert len(empty) == 0


@pytest.mark.parametrize(("value", "insensitive", "goes"), [("a", False, "one"), ("B", True, "two"), ("B", False, "rest")])
def test_a_switch_lets_one_case_go_on(value: str, insensitive: bool, goes: str) -> None:
    names = ("one", "two", "rest")
    steps = [
        step("switch_case", value=value, cases={"a": "$steps.one", "b": "$steps.two"}, case_insensitive=insensitive,
             default_next_steps=["$steps.rest"]),
        *({"type": "vision/string_template@v1", "name": name, "template": name} for name in names),
        {"type": "vision/first_non_empty_or_default@v1", "name": "f", "data": [f"$steps.{name}.output" for name in names]},
    ]  # fmt: skip
    assert run(steps, "$steps.f.output") == goes


CUT = boxes((10, 10, 50, 50), (10, 30, 50, 50), (12, 10, 50, 28), (70, 70, 90, 90), names="star star star star",
            scores=[0.6, 0.9, 0.8, 0.7])  # fmt: skip


def test_the_parts_of_a_thing_are_joined_where_the_smaller_one_counts() -> None:
    assert len(cleared(CUT, "nmm", 0.6)) > 2
    joined = cleared(CUT, "nmm", 0.6, measure="ios")  # two parts that do not overlap, and the whole, less sure than they are
    assert joined.xyxy.tolist() == [[10, 10, 50, 50], [70, 70, 90, 90]]


@pytest.mark.parametrize("overlap", ["nms", "wbf"])
def test_a_part_within_another_box_is_that_thing_by_every_strategy(overlap: Any) -> None:
    nested = select(CUT, [0, 2, 3])
    assert len(cleared(nested, overlap, 0.6)) == 3 and len(cleared(nested, overlap, 0.6, measure="ios")) == 2


def test_of_equally_sure_boxes_the_whole_is_kept_not_its_part() -> None:
    for order in ([0, 1, 2], [2, 1, 0]):
        boxes = np.array([[0, 0, 40, 20], [30, 0, 40, 20], [0, 0, 12, 20]], float)[order]
        found = sv.Detections(xyxy=boxes, confidence=np.full(3, 0.9), class_id=np.zeros(3, int))
        assert cleared(found, "nms", 0.5, measure="ios").xyxy.tolist() == [[0, 0, 40, 20]]


def test_a_confidence_that_is_not_known_does_not_win() -> None:
    found = sv.Detections(
        xyxy=np.array([[0, 0, 10, 10], [0, 0, 10, 11], [50, 0, 60, 10]], float),
        confidence=np.array([np.nan, 0.2, np.nan]), class_id=np.zeros(3, int),
    )  # fmt: skip
    kept = cleared(found, "nms", 0.5)
    assert kept.xyxy.tolist() == [[0, 0, 10, 11], [50, 0, 60, 10]]
    assert kept.confidence[0] == 0.2 and np.isnan(kept.confidence[1])


@pytest.mark.parametrize(("kind", "wanted"), [("vision", ("nmm", "ios", 0.3)), ("roboflow_core", ("nms", "iou", 0.3))])
def test_stitching_joins_parts_unless_it_is_that_of_another_runtime(kind: str, wanted: tuple[Any, ...]) -> None:
    made = DetectionsStitch.Manifest.model_validate({
        "type": f"{kind}/detections_stitch@v1", "name": "s", "reference_image": "$inputs.i", "predictions": "$steps.f.p"
    })  # fmt: skip
    assert (made.overlap_filtering_strategy, made.overlap_metric, made.iou_threshold) == wanted


def test_classes_keep_the_ids_they_came_with() -> None:
    def named(names: list[str], ids: list[int] | None) -> sv.Detections:
        part = boxes(*[(place, 0, place + 9, 9) for place in range(len(names))], names=" ".join(names))
        part.class_id = None if ids is None else np.array(ids)
        return part

    listed = named(["star", "circle"], [3, 1])
    found = together([listed, named(["star"], [0]), named(["dog"], [1]), named(["word"], None)])
    assert found.class_id.tolist() == [3, 1, 3, 4, 5]


NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "mean", "score"),
    [([0, 0], 1, 0), ([NAN, NAN], 1, NAN), ([0.5, NAN], 0, 0.5), ([NAN, 0.5], 2, 0.5), ([0, 0.5], 2, 0.25), ([1, 1], 1, 1)],
)
def test_boxes_that_weigh_nothing_are_fused_as_well(scores: list[float], mean: float, score: float) -> None:
    twice = boxes((0, 0, 20, 20), (2, 2, 22, 22), names="a a", scores=scores)
    fused = cleared(twice, "wbf", 0.3)
    assert fused.xyxy[:, :2].tolist() == [[mean, mean]]
    assert np.array_equal(fused.confidence, [score], equal_nan=True)
    for overlap in ("nms", "nmm"):
        assert len(cleared(twice, overlap, 0.3)) == 1


def test_detections_whose_confidence_is_not_known_stay_and_come_last() -> None:
    three = boxes((0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9), names="a a a", scores=[NAN, 0.2, 0.8])

    def places(kind: str, **fields: Any) -> list[float]:
        return run([step(kind, **fields)], "$steps.s.predictions", d=three).xyxy[:, 0].tolist()

    assert places("per_class_confidence_filter", predictions="$inputs.d", class_thresholds={"a": 0.5}) == [0, 40]
    ranked = places("detections_transformation", predictions="$inputs.d", sort_by="confidence", descending=True)
    assert ranked == [40, 20, 0]
    assert len(places("detections_consensus", predictions_batches=["$inputs.d"], required_votes=1)) == 3
