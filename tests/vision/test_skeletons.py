"""Keypoints: read and written, moved with their detections, and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.together import together
from tests.vision.test_blocks import PIXELS, crop, run, step
from workflow_engine.detections_json import deserialise, serialise
from workflow_engine.errors import StepError
from workflow_engine.keypoints import keypoints

BLACK = np.zeros_like(PIXELS)
NOSE = {"x": 20.0, "y": 15.0, "confidence": 0.9, "class_id": 0, "class": "nose"}
EYE = {"x": 30.0, "y": 15.0, "confidence": 0.8, "class_id": 1, "class": "left_eye"}
HIP = {"x": 60.0, "y": 50.0, "confidence": 0.7, "class_id": 11, "class": "left_hip"}


def people(*points: list[dict[str, Any]]) -> dict[str, Any]:
    box = {"x": 30.0, "y": 30.0, "width": 40.0, "height": 50.0, "confidence": 0.5, "class": "person", "class_id": 0}
    return {"image": {"width": 100, "height": 60}, "predictions": [{**box, "keypoints": several} for several in points]}


def drawn(given: Any, **fields: Any) -> Any:
    draw = step("keypoint_visualization", image="$inputs.image", predictions="$inputs.d", **fields)
    return run([draw], "$steps.s.image", image=BLACK, d=given).array


def lit(pixels: Any, x: float, y: float) -> bool:
    return bool(pixels[int(y), int(x)].any())


def test_keypoints_are_written_as_they_were_read() -> None:
    given = people([NOSE, EYE], [], [HIP])
    assert [row["keypoints"] for row in serialise(deserialise(given))["predictions"]] == [[NOSE, EYE], [], [HIP]]
    without = people()
    without["predictions"] = [{key: value for key, value in people([])["predictions"][0].items() if key != "keypoints"}]
    assert "keypoints" not in serialise(deserialise(without))["predictions"][0]


@pytest.mark.parametrize(
    "wrong",
    ["nose", [1], [{"x": 1, "y": 2}], [{**NOSE, "x": "left"}], [{**NOSE, "class_id": None}], [{**NOSE, "class_id": 2**80}]],
)
def test_what_are_no_keypoints_is_told_with_its_place(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"predictions\[1\]\.keypoints is no list"):
        deserialise(people([NOSE], wrong))


def test_keypoints_move_with_their_crop_and_back() -> None:
    found = deserialise(people([NOSE, HIP]))
    part = run([crop()], "$steps.crop.predictions", d=found, coordinates="own")[0]
    assert [(point["x"], point["y"]) for point in keypoints(part, 0)] == [(10.0, 10.0), (50.0, 45.0)]
    back = run([crop()], "$steps.crop.predictions", d=found)[0]
    assert keypoints(back, 0) == [NOSE, HIP]


def test_keypoints_of_several_sources_stay_with_their_detections() -> None:
    plain = sv.Detections(xyxy=np.array([[0, 0, 5, 5]], float))
    both = together([deserialise(people([NOSE])), plain, deserialise(people([EYE, HIP]))])
    assert [keypoints(both, index) for index in range(3)] == [[NOSE], [], [EYE, HIP]]
    alone = sv.Detections(xyxy=np.array([[0, 0, 50, 50]], float), data={"keypoints_xy": np.array([[[20, 15]]], float)})
    assert [len(keypoints(together([alone, plain]), index)) for index in range(2)] == [1, 0]


def test_detections_of_other_programs_may_have_the_places_of_keypoints_alone() -> None:
    plain = sv.Detections(
        xyxy=np.array([[0, 0, 50, 50]], float), data={"keypoints_xy": np.array([[[20, 15], [60, 50]]], float)}
    )
    assert [(point["x"], point["y"]) for point in keypoints(plain, 0)] == [(20.0, 15.0), (60.0, 50.0)]
    assert lit(drawn(plain, edges=[[1, 2]]), 40, 32)


def test_points_are_drawn_where_they_are() -> None:
    pixels = drawn(people([NOSE], [HIP]), annotator_type="vertex", radius=3, color="#ff0000")
    assert (pixels[15, 20] == [0, 0, 255]).all() and (pixels[50, 60] == [0, 0, 255]).all()
    assert not lit(pixels, 30, 15) and not pixels[:3, :3].any()


def test_numbers_are_written_where_the_points_are() -> None:
    pixels = drawn(people([HIP]), annotator_type="vertex_label", text_padding=2, text_scale=0.3, radius=0)
    assert lit(pixels, 60, 50) and not pixels[:30].any()


def test_the_skeleton_of_a_person_is_known_even_where_points_are_missing() -> None:
    assert lit(drawn(people([NOSE, EYE])), 25, 15)
    shuffled = drawn(people([HIP, EYE, NOSE]))
    assert np.array_equal(shuffled, drawn(people([NOSE, EYE, HIP])))


def test_points_of_other_skeletons_are_joined_as_asked_and_those_that_are_missing_are_not() -> None:
    tip, end = ({**NOSE, "class": "tip"}, {**HIP, "class": "end", "class_id": 2})
    edges = [[1, 3], [2, 3]]
    pixels = drawn(people([tip, end]), edges=edges)
    assert lit(pixels, 40, 32) and not pixels[:10].any()
    with pytest.raises(StepError, match=r"edges=\[\[3, 4\]\] lead beyond the 3 keypoints"):
        drawn(people([tip, end]), edges=[[1, 2], [3, 4]])


def test_ids_that_cannot_be_places_leave_the_order_as_it_is() -> None:
    far = [{**NOSE, "class_id": 10**9}, {**HIP, "class_id": -1}]
    assert lit(drawn(people(far), edges=[[1, 2]]), 40, 32)


@pytest.mark.parametrize("kind", ["edge", "vertex", "vertex_label"])
def test_detections_whose_keypoints_were_not_found_are_drawn_without(kind: str) -> None:
    nobody = people([], [])
    assert [row["keypoints"] for row in serialise(deserialise(nobody))["predictions"]] == [[], []]
    assert np.array_equal(drawn(nobody, annotator_type=kind), BLACK)


@pytest.mark.parametrize("kind", ["edge", "vertex", "vertex_label"])
def test_points_far_outside_of_the_image_do_no_harm(kind: str) -> None:
    far = {**EYE, "x": 1e30, "y": -1e12}
    assert drawn(people([NOSE, far]), annotator_type=kind).shape == BLACK.shape


def test_detections_without_keypoints_are_told() -> None:
    with pytest.raises(StepError, match="no keypoints"):
        drawn(sv.Detections(xyxy=np.array([[0, 0, 5, 5]], float)))
