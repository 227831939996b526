"""The callable for Ray Data, with the columns that Ray hands out."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from florence_blocks import Florence2
from florence_blocks.adapters.ray import AskFlorence
from florence_blocks.demo import draw_scene
from workflow_engine.detections import object_array

SCENES = [draw_scene(seed, width=320, height=320, shapes=3, words=1) for seed in (41, 42, 43)]
IMAGES = [scene.image for scene in SCENES]
RGB = np.stack([image[:, :, ::-1] for image in IMAGES])


def test_columns_of_images_become_columns_of_answers() -> None:
    model = Florence2.from_pretrained("florence-2-demo")
    given = AskFlorence()({"image": RGB, "id": np.arange(3)})
    assert list(given) == ["image", "id", "caption", "confidence"]
    assert list(given["caption"]) == model.caption_image(IMAGES)
    found = AskFlorence("object_detection")({"image": RGB})["predictions"]
    for row, expected in zip(found, model.detect_objects(IMAGES), strict=True):
        assert [one["class"] for one in row["predictions"]] == list(expected.data["class_name"])
        assert [one["width"] for one in row["predictions"]] == pytest.approx(
            (expected.xyxy[:, 2] - expected.xyxy[:, 0]).tolist()
        )


def test_images_may_be_of_several_sizes_or_files() -> None:
    import cv2

    mixed = object_array([RGB[0], RGB[1][:200], cv2.imencode(".png", IMAGES[2])[1].tobytes()])
    said = AskFlorence(images="$inputs.picture")({"picture": mixed})["caption"]
    assert [said[0], said[2]] == list(AskFlorence()({"image": RGB[[0, 2]]})["caption"])


def test_answers_of_one_task_are_the_fields_of_the_next() -> None:
    batch: dict[str, Any] = {"image": RGB}
    batch = AskFlorence("caption")(batch)
    batch = AskFlorence("phrase_grounding", phrase="$inputs.caption")(batch)
    batch = AskFlorence("region_caption", regions="$inputs.predictions")(batch)
    assert [len(row["predictions"]) for row in batch["predictions"]] == [len(texts) for texts in batch["texts"]]
    arrays = object_array([{**row, "predictions": object_array(row["predictions"])} for row in batch["predictions"]])
    again = AskFlorence("region_caption", regions="$inputs.found")({"image": RGB, "found": arrays})  # as Ray gives them back
    assert list(again["texts"]) == list(batch["texts"])
    boxes = object_array([np.array([[5.0, 5.0, 200.0, 200.0]]), np.zeros((0, 4)), np.array([[0, 0, 90, 90], [9, 9, 99, 99]])])
    texts = AskFlorence("region_ocr", regions="$inputs.boxes")({"image": RGB, "boxes": boxes})["texts"]
    assert [len(row) for row in texts] == [1, 0, 2]


def test_a_region_that_fails_has_no_text() -> None:
    box = [float(edge) for edge in SCENES[0].shapes[0].box]
    given = AskFlorence("region_caption", regions=[box, [900.0, 0.0, 901.0, 9.0]])({"image": RGB[:1]})
    assert list(given["texts"][0]) == [SCENES[0].shapes[0].name, None]


def test_nothing_found_is_an_empty_list() -> None:
    blank = np.full((2, 200, 260, 3), 128, np.uint8)
    found = AskFlorence("open_vocabulary_detection", classes=["star"])({"image": blank})["predictions"]
    assert [row["predictions"] for row in found] == [[], []]


def test_it_can_be_sent_to_other_processes() -> None:
    sent = pickle.loads(pickle.dumps(AskFlorence("object_detection", coordinates="refined")))
    assert sent({"image": RGB[:1]})["predictions"][0]["predictions"]


@pytest.mark.parametrize(
    ("task", "fields", "said"),
    [
        ("detection", {}, "task='detection'; caption, object_detection"),
        ("caption", {"num_beams": 0}, "num_beams"),
        ("caption", {"beams": 2}, "beams"),
        ("phrase_grounding", {}, "phrase"),
    ],
)
def test_what_does_not_fit_is_told_at_once(task: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AskFlorence(task, **fields)


def test_columns_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="no column 'image'; the batch has picture"):
        AskFlorence()({"picture": RGB})
    with pytest.raises(ValueError, match="float64 is not an image"):
        AskFlorence()({"image": RGB / 255})
    with pytest.raises(ValueError, match="lies outside of the 320x320"):
        AskFlorence("region_ocr", regions=[[400.0, 400.0, 500.0, 500.0]])({"image": RGB})


def test_a_misspelt_field_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"caption: granularty: .*; its fields are .*granularity"):
        AskFlorence("caption", granularty="detailed")
