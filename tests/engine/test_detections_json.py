"""Detections as JSON: what is written is read back equal, and what other programs write is read or told with its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_engine import compile
from workflow_engine.data import Origin
from workflow_engine.detections import ORIGIN, object_array
from workflow_engine.detections_json import deserialise, serialise
from workflow_engine.errors import WorkflowInputError

BOX = {"x": 10.0, "y": 20.0, "width": 8.0, "height": 6.0}
CORNERS = [[6.0, 17.0, 14.0, 23.0]]
NAN = float("nan")


def only(**fields: Any) -> Any:
    """One detection of a row with these fields."""
    return deserialise({"image": {"width": 40, "height": 30}, "predictions": [{**BOX, **fields}]})


def back(found: Any) -> Any:
    """Detections after a way through JSON text that knows neither NaN nor anything but JSON."""
    return deserialise(json.loads(json.dumps(serialise(found), allow_nan=False)))


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal: arrays, lists of arrays, numbers of which NaN is one."""
    if one is None or other is None:
        return one is other
    if isinstance(one, (list, tuple)) or (isinstance(one, np.ndarray) and one.dtype == object):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, np.ndarray):
        return np.shape(one) == np.shape(other) and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def assert_equal(one: Any, other: Any) -> None:
    for field in ("xyxy", "mask", "confidence", "class_id", "tracker_id"):
        assert equal(getattr(one, field), getattr(other, field)), field
    assert one.data.keys() == other.data.keys()
    for key, value in one.data.items():
        assert equal(value, other.data[key]), key
    assert one.metadata.get(ORIGIN) == other.metadata.get(ORIGIN)


# ------------------------------------------------------------------ there and back


@st.composite
def anything(draw: st.DrawFn) -> sv.Detections:
    """Detections with all that detections can have: masks of any shape, holes and parts among them, or of no pixel."""
    count, width, height = draw(st.integers(1, 4)), draw(st.integers(1, 12)), draw(st.integers(1, 12))
    numbers = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    corners = numbers.random((count, 2, 2), dtype=np.float32) * [width, height]
    found = sv.Detections(xyxy=np.hstack([corners.min(axis=1), corners.max(axis=1)]).astype(float))
    data: dict[str, Any] = {}
    if draw(st.booleans()):
        dense = draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
        found.mask = numbers.random((count, height, width)) < dense
    if draw(st.booleans()):
        found.confidence = numbers.random(count)
    if draw(st.booleans()):
        found.class_id = numbers.integers(-1, 1 << 62, count)
    if draw(st.booleans()):
        found.tracker_id = numbers.integers(-1, 100, count)
    if draw(st.booleans()):
        data["class_name"] = object_array([draw(st.text(max_size=5)) for _ in range(count)])
    if draw(st.booleans()):
        data["quads"] = numbers.random((count, 4, 2)) * 100
    if draw(st.booleans()):
        outlines = [[numbers.random((size, 2)) * 10 for size in numbers.integers(1, 6, parts)]
                    for parts in numbers.integers(0, 3, count)]  # fmt: skip
        data["polygons"] = object_array(outlines)
    if draw(st.booleans()):
        data |= {"keypoints_xy": numbers.random((count, 2, 2)), "keypoints_confidence": numbers.random((count, 2)),
                 "keypoints_class_id": numbers.integers(0, 9, (count, 2)),
                 "keypoints_class_name": np.full((count, 2), "eye", object)}  # fmt: skip
    more: dict[str, Any] = {
        "text": object_array(["a", 'b"', "", "é"][:count]), "time_in_zone": numbers.random(count), "area_px": np.arange(count),
        "text_confidence": np.array([0.5, NAN, 1.0, NAN][:count]), "seen": np.arange(count) % 2 == 0,
        "rect": numbers.random((count, 4, 2)), "width": numbers.random(count), "score": numbers.random(count),
        "label": object_array(["x"] * count), "codes": object_array([list(range(size)) for size in range(count)]),
    }  # fmt: skip
    data |= {key: more[key] for key in draw(st.sets(st.sampled_from(sorted(more))))}
    found.data = data
    if found.mask is not None:
        found.metadata[ORIGIN] = Origin.of_root(width, height)
    return found


@settings(max_examples=150, deadline=None)
@given(anything())
def test_what_is_written_is_read_back_equal(found: sv.Detections) -> None:
    assert_equal(found, back(found))


def test_masks_keep_their_parts_and_holes_beside_the_largest_outline() -> None:
    ring = np.zeros((30, 40), bool)
    ring[2:20, 2:20] = True
    ring[6:12, 6:12] = False
    ring[25:28, 30:35] = True
    found = sv.Detections(xyxy=np.array([[2, 2, 35, 28.0]]), mask=ring[None])
    row = serialise(found)["predictions"][0]
    assert row["rle_mask"]["size"] == [30, 40] and isinstance(row["rle_mask"]["counts"], str)
    assert {"x": 2.0, "y": 2.0} in row["points"] and all(point["x"] < 20 for point in row["points"])
    assert np.array_equal(back(found).mask[0], ring)


def test_the_size_of_detections_on_a_crop_is_that_of_the_crop_and_their_masks_are_read_from_the_json_alone() -> None:
    origin = Origin(5, 4, 2, 2, root_width=100, root_height=80, width=9, height=8)
    mask = np.eye(8, 9, dtype=bool)[None]
    found = sv.Detections(xyxy=np.array([[0, 0, 8, 8.0]]), mask=mask, metadata={ORIGIN: origin})
    written = serialise(found)
    assert written["image"] == {"width": 9, "height": 8}
    assert np.array_equal(back(found).mask, mask) and back(found).metadata[ORIGIN] == origin


def test_no_detections_are_read_back_as_none() -> None:
    nothing = back(sv.Detections.empty())
    assert len(nothing) == 0 and list(nothing.data["class_name"]) == []
    assert serialise(sv.Detections.empty()) == {"image": {"width": None, "height": None}, "predictions": []}


def test_nan_and_infinity_are_null() -> None:
    found = sv.Detections(xyxy=np.array(CORNERS), confidence=np.array([NAN]), data={"area_px": np.array([np.inf])})
    found.xyxy[0, 2] = NAN
    row = serialise(found)["predictions"][0]
    assert row["confidence"] is None and row["width"] is None and row["area_px"] is None


# ------------------------------------------------------------------ of other programs


@pytest.mark.parametrize(
    "row",
    [
        BOX,
        {**BOX, "x": 10, "y": np.float32(20)},
        {**BOX, "width": -8.0},
        {"xyxy": [14, 17, 6, 23]},
        {"box": {"x1": 6, "y1": 17, "x2": 14, "y2": 23}, "name": "star", "class": 3},
        {"x1": 6, "y1": 17, "x2": 14, "y2": 23},
        {"xmin": 6, "ymin": 17, "xmax": 14, "ymax": 23},
        {"x_min": 14, "y_min": 23, "x_max": 6, "y_max": 17},
        {"bbox": [6, 17, 8, 6], "category_id": 3, "score": 0.5, "image_id": 7},
    ],
)
def test_boxes_are_read_in_the_spellings_of_the_field_and_their_corners_put_in_order(row: dict[str, Any]) -> None:
    for given_ in ([row], {"predictions": [row]}, {"image": {"width": None, "height": None}, "predictions": [row]}):
        assert deserialise(given_).xyxy.tolist() == CORNERS
    assert deserialise([{**row, "x": float(row["x"])} if "x" in row else row]).xyxy.tolist() == CORNERS


@pytest.mark.parametrize(
    "points",
    [
        [{"x": 6, "y": 17}, {"x": 14, "y": 17}, {"x": 14, "y": 23}],
        [[6, 17], [14, 17], [14, 23]],
        [(6, 17), (14, 17), (14, 23)],
        [6, 17, 14, 17, 14, 23],
        {"x": [6, 14, 14], "y": [17, 17, 23]},
    ],
)
def test_points_are_read_however_they_are_written(points: Any) -> None:
    for found in (only(points=points), only(segmentation=[points]), only(segments=points)):
        assert found.data["polygons"][0][0].tolist() == [[6, 17], [14, 17], [14, 23]]
        assert found.mask[0, 18, 12] and not found.mask[0, 22, 7]


def test_an_outline_that_encloses_nothing_is_no_outline() -> None:
    for points in ([], None):
        found = only(points=points)
        assert found.xyxy.tolist() == CORNERS and (found.mask is None or not found.mask.any())
        assert serialise(found)["predictions"][0].get("points") is None


def test_all_polygons_and_run_lengths_of_coco_are_read() -> None:
    both = only(segmentation=[[1, 1, 5, 1, 5, 5], [20, 20, 25, 20, 25, 25]])
    assert both.mask[0, 2, 4] and both.mask[0, 21, 24] and len(both.data["polygons"][0]) == 2
    counts = {"size": [30, 40], "counts": [31, 2, 30 * 40 - 33]}
    assert np.argwhere(only(segmentation=counts).mask[0]).tolist() == [[1, 1], [2, 1]]
    alone = deserialise([{**BOX, "rle_mask": counts}])
    assert alone.mask.shape == (1, 30, 40) and alone.metadata[ORIGIN] == Origin.of_root(40, 30)


def test_what_one_row_does_not_say_is_unknown_for_it_alone() -> None:
    rows = [{**BOX, "class": "a", "confidence": 0.5, "class_id": 7, "tracker_id": 3}, {**BOX, "class": "b", "confidence": None},
            {**BOX, "class": "a", "class_id": None}, BOX]  # fmt: skip
    found = deserialise(rows)
    assert found.class_id.tolist() == [7, 0, 7, 1] and found.tracker_id.tolist() == [3, -1, -1, -1]
    assert found.confidence[0] == 0.5 and np.isnan(found.confidence[1:]).all()
    assert found.data["class_name"].tolist() == ["a", "b", "a", ""]


def test_ids_may_be_null_and_as_large_as_an_integer_of_64_bits() -> None:
    assert only(**{"class": "star", "class_id": None}).class_id is None
    assert only(**{"class": "star", "class_id": 2**63 - 1}).class_id.tolist() == [2**63 - 1]
    many = deserialise([{**BOX, "class": "a", "class_id": 2**63 - 1}, {**BOX, "class": "b"}])
    assert many.class_id.tolist() == [2**63 - 1, 0]


def test_text_is_read_as_the_json_it_is() -> None:
    found = sv.Detections(xyxy=np.array(CORNERS), data={"class_name": object_array(["star"])})
    assert_equal(deserialise(json.dumps(serialise(found))), found)
    assert deserialise(f"  [{json.dumps(BOX)}]\n").xyxy.tolist() == CORNERS


WRONG: list[tuple[Any, str]] = [
    (7, "is not detections"),
    ("no json", "no JSON of detections"),
    ("[" * 100_000, "no JSON of detections.*levels"),
    ({"image": None}, "is not detections"),
    ({"predictions": {"x": 1}}, "is not detections"),
    (["star"], r"predictions\[0\]: a text is no detection"),
    ([BOX, {"y": 1}], r"predictions\[1\] lacks the numbers x, width, height"),
    ([{**BOX, "x": "10"}], r"predictions\[0\]\.x: '10' is no number"),
    ([{**BOX, "x": True}], r"predictions\[0\]\.x: True is no number"),
    ([{**BOX, "x": NAN}], r"predictions\[0\]\.x: nan is no number"),
    ([{**BOX, "width": float("inf")}], r"predictions\[0\]\.width: inf"),
    ([{**BOX, "y": 10**400}], r"predictions\[0\]\.y: a number of more than 38 digits"),
    ([{**BOX, "height": None}], r"predictions\[0\]\.height: None is no number"),
    ([{**BOX, "confidence": "high"}], r"predictions\[0\]\.confidence: 'high'"),
    ([{**BOX, "class_id": 2**63}], r"predictions\[0\]\.class_id: 9223372036854775808 is no whole number"),
    ([{**BOX, "class_id": 1.5}], r"predictions\[0\]\.class_id: 1\.5"),
    ([{**BOX, "class_id": float("inf")}], r"predictions\[0\]\.class_id: inf"),
    ([{**BOX, "tracker_id": True}], r"predictions\[0\]\.tracker_id: True"),
    ([{**BOX, "class": ["star"]}], r"predictions\[0\]\.class: a list is no name"),
    ([{"bbox": [1, 2, 3, 4]}], r"predictions\[0\]\.bbox: corners, or a corner with a size\?"),
    ([{"xyxy": [1, 2, 3]}], r"predictions\[0\]\.xyxy: a list; a list of 4 numbers would fit"),
    ([{**BOX, "points": 3}], r"predictions\[0\]\.points"),
    ([{**BOX, "points": [1, 2, 3]}], r"predictions\[0\]\.points: 3 numbers"),
    ([{**BOX, "points": [{"x": 1, "y": 2}, {"x": 1}]}], r"predictions\[0\]\.points\[1\]\.y: None"),
    ([{**BOX, "points": [[1, 2], [3, "4"]]}], r"predictions\[0\]\.points\[1\]\[1\]: '4'"),
    ([{**BOX, "quads": [[1, 2]]}], r"predictions\[0\]\.quads: 1 points; four"),
    ([{**BOX, "rle_mask": "abc"}], r"predictions\[0\]\.rle_mask: no run lengths"),
    ([{**BOX, "rle_mask": {"size": [3, 4], "counts": "abc"}}], r"rle_mask\.counts: no run lengths of 4x3"),
    ([{**BOX, "rle_mask": {"size": [3, 4], "counts": [5, 6]}}], r"rle_mask\.counts: no run lengths of 4x3"),
    ([{**BOX, "rle_mask": {"size": [3, 4], "counts": [-1, 13]}}], r"rle_mask\.counts\[0\]: -1"),
    ([{**BOX, "rle_mask": {"size": [3, 4], "counts": "P" * 50}}], r"rle_mask\.counts: no run lengths"),
    ([{**BOX, "rle_mask": {"size": [10**6, 10**6], "counts": "0"}}], r"rle_mask\.size: 1000000x1000000 pixels"),
    ([{**BOX, "rle_mask": {"size": [0, 4], "counts": "0"}}], r"rle_mask\.size: 0"),
    ({"image": {"width": 10**6, "height": 10**6}, "predictions": []}, "image: 1000000x1000000 pixels"),
    ({"image": {"width": 10, "height": None}, "predictions": []}, r"image\.height: None"),
    ({"image": {"width": "10", "height": 10}, "predictions": []}, r"image\.width: '10'"),
    ({"image": [10, 10], "predictions": []}, "image: a list"),
    ({"image": {"width": 16000, "height": 16000}, "predictions": [{**BOX, "points": [[0, 0], [1, 1], [2, 0]]}] * 9},
     "9 masks of 16000x16000"),
    ({"image": {"width": 3, "height": 4}, "predictions": [{**BOX, "rle_mask": {"size": [3, 4], "counts": [12]}}]},
     r"rle_mask\.size: 4x3 pixels on an image of 3x4"),
    ({"origin": {"scale_x": 0}, "predictions": []}, r"origin\.scale_x: 0"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "told"), WRONG)
def test_what_is_no_detection_is_told_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        deserialise(value)


def test_a_run_tells_the_place_in_the_input() -> None:
    workflow = compile(
        {"version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]}],
         "steps": [], "outputs": [{"type": "JsonField", "name": "d", "selector": "$inputs.d"}]}
    )  # fmt: skip
    assert workflow.run(d={"image": {"width": None, "height": None}, "predictions": []}).outputs[0]["d"].xyxy.shape == (0, 4)
    with pytest.raises(WorkflowInputError, match=r"d\[0\]: predictions\[0\]\.class_id: "):
        workflow.run(d={"predictions": [{**BOX, "class_id": 10**30}]})
    unordered = sv.Detections(xyxy=np.array([[14, 23, 6, 17.0]]))
    assert workflow.run(d=unordered).outputs[0]["d"].xyxy.tolist() == CORNERS and unordered.xyxy[0, 0] == 14


def test_masks_as_run_lengths_are_read_in_inputs_of_their_kind() -> None:
    kinds = ["rle_instance_segmentation_prediction", "instance_segmentation_prediction"]
    workflow = compile(
        {"version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": "d", "kind": kinds}],
         "steps": [], "outputs": [{"type": "JsonField", "name": "d", "selector": "$inputs.d"}]}
    )  # fmt: skip
    row = {**BOX, "rle_mask": {"size": [30, 40], "counts": [31, 2, 30 * 40 - 33]}}
    assert workflow.run(d=[{"image": {"width": 40, "height": 30}, "predictions": [row]}]).outputs[0]["d"].mask.sum() == 2


@pytest.mark.parametrize("nothing", [[], [[]], [np.zeros((0, 2))]])
@pytest.mark.parametrize(
    "step",
    [
        {"type": "vision/bounding_rect@v1", "predictions": "$inputs.d"},
        {"type": "vision/dynamic_zone@v1", "predictions": "$inputs.d", "required_number_of_vertices": 4},
        {"type": "vision/dynamic_crop@v1", "predictions": "$inputs.d", "images": "$inputs.image"},
        {"type": "vision/json_formatter@v1", "data": {"d": "$inputs.d"}},
    ],
)
def test_an_outline_without_a_point_is_no_outline_to_any_step(step: dict[str, Any], nothing: Any) -> None:
    found = sv.Detections(xyxy=np.array(CORNERS), data={"polygons": object_array([nothing])})
    inputs = [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowBatchInput", "name": "d", "kind": ["*"]}]
    outputs = [{"type": "JsonField", "name": "o", "selector": "$steps.s.*"}]
    workflow = compile({"version": "1.0", "inputs": inputs, "steps": [{"name": "s", **step}], "outputs": outputs})
    assert workflow.run(image=np.zeros((30, 40, 3), np.uint8), d=found).report.ok
