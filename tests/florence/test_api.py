"""The Python API: forms of input and output, and answers that agree with what was drawn."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image as PilImage

from florence_blocks import Florence2
from florence_blocks.demo import draw_scene
from florence_blocks.locations import iou
from florence_blocks.requests import Request
from florence_blocks.tasks import TASKS
from workflow_engine import Image, ImageError, compile

SCENE = draw_scene(21, shapes=3, words=1)
OTHER = draw_scene(22, width=320, height=240, shapes=2, words=1)
BOXES = [shape.box for shape in SCENE.shapes]


@pytest.fixture(scope="module")
def model() -> Florence2:
    return Florence2.from_pretrained("florence-2-demo", device="cpu")


def test_one_image_gives_one_result_and_a_list_gives_a_list(model: Florence2) -> None:
    one = model.caption_image(SCENE.image)
    assert isinstance(one, str) and model.caption_image([SCENE.image]) == [one]
    several = model.caption_image([SCENE.image, OTHER.image, SCENE.image])
    assert several[0] == several[2] == one and several[1] == model.caption_image(OTHER.image)
    assert model.caption_image([]) == []


def test_every_form_of_an_image_gives_the_same_answer(model: Florence2, tmp_path: Path) -> None:
    path, rgb = tmp_path / "scene.png", np.ascontiguousarray(SCENE.image[:, :, ::-1])
    cv2.imwrite(str(path), SCENE.image)
    bgra = np.dstack([SCENE.image, np.full(SCENE.image.shape[:2], 255, np.uint8)])
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    want = model.detect_objects(SCENE.image)
    forms: list[tuple[Any, dict[str, Any]]] = [
        (path, {}), (str(path), {}), (PilImage.fromarray(rgb), {}), (bgra, {}), (rgb, {"input_color_format": "rgb"}),
        (tensor, {}), (tensor.float() / 255, {}), (tensor.flip(0), {"input_color_format": "bgr"}),
        (tensor.permute(1, 2, 0), {}), ((tensor.float() / 255).requires_grad_(), {}), (path.read_bytes(), {}),
    ]  # fmt: skip
    for form, options in forms:
        assert np.array_equal(model.detect_objects(form, **options).xyxy, want.xyxy), type(form)


@pytest.mark.parametrize("copied", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy])
def test_answers_are_copied_with_everything_they_say(model: Florence2, copied: Any) -> None:
    request = Request(TASKS["object_detection"], Image.load(SCENE.image))
    (answer,) = model.answer([request])
    assert copied(answer) == answer and copied(answer).token_probabilities == answer.token_probabilities
    assert model.answer([copied(request)]) == [answer]
    found = model.detect_objects(SCENE.image)
    assert copied(found) == found and copied(found).metadata == found.metadata


def test_a_model_and_a_workflow_read_arrays_and_tensors_alike(model: Florence2) -> None:
    definition = {"version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
                  "steps": [{"type": "florence/caption@v1", "name": "s", "images": "$inputs.image"}],
                  "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.caption"}]}  # fmt: skip
    workflow = compile(definition)
    rgb = torch.from_numpy(np.ascontiguousarray(SCENE.image[:, :, ::-1]))
    want = model.caption_image(SCENE.image)
    for form in (SCENE.image, rgb, rgb.permute(2, 0, 1), rgb.permute(2, 0, 1).float() / 255):
        assert model.caption_image(form) == want
        assert [row["o"] for row in workflow.run(image=form).outputs] == [want]
        batch = np.stack([form] * 2) if isinstance(form, np.ndarray) else torch.stack([form] * 2)
        assert model.caption_image(batch) == [want] * 2
        assert [row["o"] for row in workflow.run(image=batch).outputs] == [want] * 2


def test_images_that_cannot_be_read_are_told_with_their_places_before_anything_is_asked(model: Florence2) -> None:
    asked = model.stats()["requests"]
    with pytest.raises(ImageError, match=r"images\[1\]: `missing.png` is not a file.*; images\[3\]: the bytes cannot"):
        model.caption_image([SCENE.image, "missing.png", OTHER.image, b"no image"])
    with pytest.raises(ImageError, match=r"images\[9\]: nothing .*; and 20 more$"):
        model.caption_image_region([None] * 30, [0, 0, 10, 10])
    assert model.stats()["requests"] == asked


def test_images_that_cannot_be_read_are_exceptions_among_the_results_if_asked(model: Florence2) -> None:
    given = [SCENE.image, "missing.png", OTHER.image, b"no image"]
    one, missing, other, broken = model.caption_image(given, return_exceptions=True)
    assert [one, other] == model.caption_image([SCENE.image, OTHER.image])
    assert isinstance(missing, ImageError) and isinstance(broken, ImageError) and "missing.png" in str(missing)
    first, (second,) = model.ocr_image_region(
        ["missing.png", SCENE.image], [[0, 0, 9, 9], [[0, 0, 9, 9]]], return_exceptions=True
    )
    assert isinstance(first, ImageError) and isinstance(second, str)
    assert isinstance(model.caption_image(None, return_exceptions=True), ImageError)


def test_granularities_say_more_and_more(model: Florence2) -> None:
    texts = [model.caption_image(SCENE.image, granularity=g) for g in ("normal", "detailed", "very_detailed")]
    assert len(texts[0]) < len(texts[1]) < len(texts[2])


def test_objects_are_where_they_were_drawn(model: Florence2) -> None:
    found = model.detect_objects(SCENE.image)
    assert isinstance(found, sv.Detections) and all(0.5 < sure <= 1 for sure in found.confidence)
    assert sorted(found.data["class_name"]) == sorted(shape.category for shape in SCENE.shapes)
    assert all(max(iou(tuple(box), shape.box) for shape in SCENE.shapes) > 0.6 for box in found.xyxy)
    assert sorted(model.detect_objects(SCENE.image, labels_mode="captions").data["class_name"]) == sorted(
        s.name for s in SCENE.shapes
    )
    assert set(model.detect_objects(SCENE.image, labels_mode="rois").data["class_name"]) == {""}


def test_classes_and_phrases_find_their_own(model: Florence2) -> None:
    name = SCENE.shapes[0].name
    for found in (model.detect_objects(SCENE.image, classes=[name]), model.ground_phrase(SCENE.image, name)):
        assert len(found) >= 1 and iou(tuple(found.xyxy[0]), SCENE.shapes[0].box) > 0.6


def test_segmentations_have_one_mask_per_object(model: Florence2) -> None:
    found = model.segment_phrase(OTHER.image, OTHER.shapes[0].name)
    assert found.mask.shape == (1, 240, 320) and len(found.data["polygons"]) == 1
    regions = model.segment_region(SCENE.image, BOXES)
    assert [region.mask.shape[0] for region in regions] == [1, 1, 1]


def test_regions_are_answered_in_the_form_they_were_asked(model: Florence2) -> None:
    names = [shape.category for shape in SCENE.shapes]
    assert model.classify_image_region(SCENE.image, BOXES[0]) == names[0]
    assert model.classify_image_region(SCENE.image, BOXES) == names
    assert model.classify_image_region(SCENE.image, np.array(BOXES)) == names
    assert model.classify_image_region(SCENE.image, sv.Detections(xyxy=np.array(BOXES))) == names
    assert model.classify_image_region([SCENE.image, OTHER.image], [BOXES, OTHER.shapes[0].box]) == [
        names,
        OTHER.shapes[0].category,
    ]
    assert model.classify_image_region([SCENE.image] * 2, BOXES[0]) == [names[0]] * 2
    assert model.classify_image_region(SCENE.image, np.zeros((0, 4))) == []
    assert model.caption_image_region(SCENE.image, BOXES) == [shape.name for shape in SCENE.shapes]


def test_text_is_read_from_images_documents_and_regions(model: Florence2) -> None:
    word = SCENE.words[0]
    assert model.ocr_image(SCENE.image) == word.text
    assert model.ocr_image_region(SCENE.image, word.box) == word.text
    found = model.parse_document(SCENE.image)
    assert list(found.data["text"]) == [word.text] and found.data["quads"].shape == (1, 4, 2)


def test_limits_cut_answers_and_beams_are_taken(model: Florence2) -> None:
    assert len(model.caption_image(SCENE.image, max_new_tokens=4)) < len(model.caption_image(SCENE.image))
    assert isinstance(model.caption_image(SCENE.image, num_beams=3), str)
    assert isinstance(model.prompt(SCENE.image, "What does the image describe?"), str)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.caption_image(SCENE.image, granularity="long"), "normal or detailed"),
        (lambda m: m.caption_image("missing.png"), "`missing.png` is not a file"),
        (lambda m: m.caption_image(SCENE.image.astype(float)), "float64 is not an image"),
        (lambda m: m.caption_image(torch.zeros(4, 5)), "\\[3, height, width\\]"),
        (lambda m: m.caption_image(torch.full((3, 4, 4), 2.0)), "within 0 and 1"),
        (lambda m: m.caption_image(SCENE.image, granularity=["long"]), "normal or detailed"),
        (lambda m: m.caption_image(SCENE.image, max_new_tokens=0), "at least 1"),
        (lambda m: m.caption_image(SCENE.image, constrained="false"), "`constrained` is true or false"),
        (lambda m: m.caption_image(SCENE.image, do_sample="no"), "`do_sample` is true or false"),
        (lambda m: m.caption_image(SCENE.image, input_color_format="xyz"), '"bgr" or "rgb"'),
        (lambda m: m.detect_objects(SCENE.image, labels_mode="names"), "classes or rois"),
        (lambda m: m.detect_objects(SCENE.image, labels_mode="rois", classes=["star"]), "classes fit"),
        (lambda m: m.ground_phrase(SCENE.image, " "), "it is empty"),
        (lambda m: m.classify_image_region(SCENE.image, [1, 2, 3]), "\\[4\\] or \\[k, 4\\]"),
        (lambda m: m.classify_image_region([SCENE.image] * 2, [[1, 2, 3, 4]] * 3), "3 entries for 2 images"),
        (lambda m: m.caption_image_region([SCENE.image] * 2, None), "xyxy=None is no list"),
        (lambda m: m.caption_image_region([SCENE.image] * 2, 7), "xyxy=7 is no list"),
        (lambda m: m.caption_image_region(SCENE.image, [0, 0, 10**400, 5]), "is no box or list of boxes"),
        (lambda m: m.caption_image_region(SCENE.image, [0, 0, float("nan"), 5]), "finite"),
    ],
)
def test_what_does_not_fit_is_told(model: Florence2, call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(model)


def test_what_is_wrong_in_a_list_is_told_with_its_place_before_anything_is_asked(model: Florence2) -> None:
    before = model.stats()["requests"]
    with pytest.raises(ValueError, match=r"^xyxy\[1\]: .*lies outside of the"):
        model.caption_image_region(SCENE.image, [BOXES[0], [9000, 0, 9001, 9]])
    with pytest.raises(ValueError, match=r"^xyxy\[1\]\[0\]: .*has no area"):
        model.caption_image_region([SCENE.image] * 2, [[BOXES[0]], [[5, 5, 5, 9]]])
    with pytest.raises(ValueError, match=r"^images\[0\]: .*is empty"):
        model.ground_phrase([SCENE.image] * 2, "")
    assert model.stats()["requests"] <= before + 1  # one may have been taken before it was cancelled


def test_one_bad_box_loses_nothing_where_exceptions_are_returned(model: Florence2) -> None:
    boxes = np.array([BOXES[0], [np.nan] * 4, [9000, 0, 9001, 9], BOXES[1]])
    first, nan, outside, last = model.caption_image_region(SCENE.image, boxes, return_exceptions=True)
    assert [first, last] == [SCENE.shapes[0].name, SCENE.shapes[1].name]
    assert isinstance(nan, ValueError) and isinstance(outside, ValueError)
    (good, bad) = model.classify_image_region([SCENE.image, OTHER.image], [BOXES[0], [0, 0, 0, 0]], return_exceptions=True)
    assert good == SCENE.shapes[0].category and isinstance(bad, ValueError)
    assert isinstance(model.ground_phrase(SCENE.image, "half \ud83d", return_exceptions=True), ValueError)


def test_class_names_come_in_any_list_and_never_as_one_text(model: Florence2) -> None:
    name = SCENE.shapes[0].category
    want = model.detect_objects(SCENE.image, classes=[name])
    forms: list[Any] = [f"{name} ", (name,), {name}, iter([name]), {name: 1}.keys(), np.array([name]), [name, name], ["", name]]
    for form in forms[1:]:
        found = model.detect_objects([SCENE.image, SCENE.image], classes=form)
        assert all(np.array_equal(one.xyxy, want.xyxy) for one in found)
    with pytest.raises(ValueError, match="a list of classes is needed, not one text"):
        model.detect_objects(SCENE.image, classes=forms[0])
    with pytest.raises(ValueError, match="a list of classes is needed, not one text"):
        model.classify_image_region(SCENE.image, BOXES[0], classes="circle, star")
    assert model.classify_image_region(SCENE.image, BOXES[0], classes=["circle", " square", " triangle", " star"]) == name
    with pytest.raises(ValueError, match="at least one class"):
        model.detect_objects(SCENE.image, classes=[" "])


def test_class_ids_are_places_whatever_the_model_names_first(model: Florence2) -> None:
    names = [shape.name for shape in SCENE.shapes]
    for classes in (names, names[::-1], ["nothing at all", *names]):
        found = model.detect_objects(SCENE.image, classes=classes)
        assert found.class_id.tolist() == [classes.index(name) for name in found.data["class_name"]]
