"""Detections into detections, through workflows as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.adjust import DetectionsClassesReplacement
from tests.vision.test_blocks import PIXELS, found, run, step
from tests.vision.test_combine import boxes
from workflow_engine.data import Image

THREE = boxes((0, 0, 10, 10), (20, 0, 50, 30), (60, 0, 80, 20), names="a b a", scores=[0.2, 0.9, 0.5])


def changed(kind: str, given: sv.Detections = THREE, **fields: Any) -> Any:
    return run([step(kind, predictions="$inputs.d", **fields)], "$steps.s.predictions", d=given)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"sort_by": "area"}, [0, 60, 20]),
        ({"sort_by": "confidence", "descending": True, "top": 2}, [20, 60]),
        ({"top": 0}, []),
        ({"operations": [{"type": "SortDetections", "mode": "x_min", "ascending": False}]}, [60, 20, 0]),
    ],
)
def test_detections_are_sorted_and_cut_short(fields: dict[str, Any], left: list[float]) -> None:
    assert changed("detections_transformation", **fields).xyxy[:, 0].tolist() == left


def test_boxes_grow_and_shrink_around_their_middle() -> None:
    assert changed("detections_transformation", grow=2).xyxy[1].tolist() == [18, -2, 52, 32]
    assert changed("detections_transformation", scale=2).xyxy[1].tolist() == [5, -15, 65, 45]
    assert changed("detections_transformation", grow=-50).xyxy[0].tolist() == [5, 5, 5, 5]


def test_offsets_are_of_both_sides_and_stay_within_the_image() -> None:
    known = sv.Detections(xyxy=THREE.xyxy, metadata={"origin": Image(PIXELS).origin})
    assert changed("detection_offset", known, offset_width=20, offset_height=10).xyxy[1].tolist() == [10, 0, 60, 35]
    wide = changed("detection_offset", known, offset_width=100, offset_height=100, units="Percent (%)")
    assert wide.xyxy[1].tolist() == [5, 0, 65, 45]


def test_every_class_has_its_own_least_confidence() -> None:
    kept = changed("per_class_confidence_filter", class_thresholds={"a": 0.4}, default_threshold=0.95)
    assert kept.xyxy[:, 0].tolist() == [60]
    assert len(changed("per_class_confidence_filter", found(), class_thresholds={})) == 2  # nothing is known of these


def test_a_zone_keeps_what_has_its_anchor_inside() -> None:
    zone = [[0, 0], [30, 0], [30, 30], [0, 30]]
    assert changed("detections_filter", zone=zone).xyxy[:, 0].tolist() == [0]
    assert changed("detections_filter", zone=zone, zone_anchor="TOP_LEFT").xyxy[:, 0].tolist() == [0, 20]
    with pytest.raises(Exception, match="at least 3 items"):
        changed("detections_filter", zone=zone[:2])


RENAME = [
    {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image", "predictions": "$inputs.d"},
    {"type": "vision/property_definition@v1", "name": "says", "data": "$steps.crop.crops",
     "operations": [{"type": "ExtractImageProperty", "property_name": "width"}, {"type": "ToString"}]},
]  # fmt: skip


def test_detections_are_renamed_by_what_was_read_on_their_crops() -> None:
    new = step("detections_classes_replacement", object_detection_predictions="$inputs.d",
               classification_predictions="$steps.says.output")  # fmt: skip
    renamed = run([*RENAME, new], "$steps.s.predictions", d=THREE)
    assert renamed.data["class_name"].tolist() == ["10", "30", "20"] and renamed.class_id.tolist() == [0, 1, 2]
    assert renamed.confidence is None


def test_detections_whose_crops_were_held_back_get_the_fallback() -> None:
    wide = {"type": "StatementGroup", "statements": [{
        "type": "BinaryStatement", "left_operand": {"type": "DynamicOperand", "operand_name": "w"},
        "comparator": {"type": "(Number) >"}, "right_operand": {"type": "StaticOperand", "value": 15}}]}  # fmt: skip
    size = {"type": "vision/property_definition@v1", "name": "size", "data": "$steps.crop.crops",
            "operations": [{"type": "ExtractImageProperty", "property_name": "width"}]}  # fmt: skip
    gate = {"type": "vision/continue_if@v1", "name": "gate", "condition_statement": wide,
            "evaluation_parameters": {"w": "$steps.size.output"}, "next_steps": ["$steps.says"]}  # fmt: skip
    new = step("detections_classes_replacement", object_detection_predictions="$inputs.d",
               classification_predictions="$steps.says.output", fallback_class_name="small")  # fmt: skip
    renamed = run([*RENAME, size, gate, new], "$steps.s.predictions", d=THREE)
    assert renamed.data["class_name"].tolist() == ["small", "30", "20"]


@pytest.mark.parametrize(("fallback", "names"), [(None, ["star", "TEXT"]), ("nothing", ["star", "nothing", "TEXT"])])
def test_detections_without_an_answer_get_the_fallback_or_go(fallback: str | None, names: list[str]) -> None:
    answers = [{"top": "star", "confidence": 0.8}, {"top": "", "predictions": []}, ["TEXT", "more"]]
    renamed = DetectionsClassesReplacement().run(THREE, answers, fallback, 7)
    assert renamed.data["class_name"].tolist() == names
    if fallback:
        assert renamed.class_id.tolist() == [0, 7, 2]
    with pytest.raises(ValueError, match="3 detections and 1 answers"):
        DetectionsClassesReplacement().run(THREE, answers[:1], None, None)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"task_type": "resize", "width": 50, "height": 20}, (50, 20)),
        ({"task_type": "resize", "width": 50, "height": None}, (50, 30)),
        ({"task_type": "resize", "width": None, "height": 30}, (50, 30)),
        ({"task_type": "rotate"}, (60, 100)),
        ({"task_type": "flip", "flip_type": "both"}, (100, 60)),
    ],
)
def test_images_are_resized_rotated_and_mirrored(fields: dict[str, Any], size: tuple[int, int]) -> None:
    assert run([step("image_preprocessing", image="$inputs.image", **fields)], "$steps.s.image").size == size


def test_mirrored_pixels_are_mirrored() -> None:
    flip = step("image_preprocessing", image="$inputs.image", task_type="flip", flip_type="horizontal")
    assert np.array_equal(run([flip], "$steps.s.image").array, PIXELS[:, ::-1])


@pytest.mark.parametrize("kind", ["binary", "binary_inv", "adaptive_mean", "adaptive_gaussian", "otsu"])
def test_a_threshold_leaves_two_values(kind: str) -> None:
    for image in (PIXELS, PIXELS[:, :, 0].copy()):
        drawn = run([step("threshold", image="$inputs.image", threshold_type=kind)], "$steps.s.image", image=image)
        assert set(np.unique(drawn.array)) == {0, 255}


def test_detections_on_a_smaller_image_lead_back_to_the_root() -> None:
    steps = [
        step("image_preprocessing", image="$inputs.image", task_type="resize", width=50, height=30),
        {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$steps.s.image", "predictions": "$inputs.d"},
        {"type": "vision/detections_stitch@v1", "name": "back", "reference_image": "$inputs.image",
         "predictions": "$steps.crop.predictions"},
    ]  # fmt: skip
    assert run(steps, "$steps.back.predictions", d=boxes((5, 5, 15, 20), names="a")).xyxy.tolist() == [[10, 10, 30, 40]]
