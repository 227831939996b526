"""Every example workflow runs on the embedded model and agrees with what was drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from florence_blocks.demo import draw_scene
from florence_blocks.demo.corpus import caption
from florence_blocks.demo.gallery import EXHIBITS, Exhibit, Picture, show
from florence_blocks.demo.metrics import matches
from florence_blocks.demo.plates import drawing_blocks
from florence_blocks.demo.scenes import Box
from workflow_engine import Image, compile
from workflow_engine.block import block_types

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "example_workflows"
SCENE = draw_scene(41, width=320, height=320, shapes=3, words=1)


def test_detect_filter_crop_read() -> None:
    (row,) = compile(EXAMPLES / "detect_filter_crop_read.json").run(image=SCENE.image, on_error="raise").outputs
    labels = list(row["objects"].data["class_name"])
    assert {shape.name for shape in SCENE.shapes} <= set(labels)
    assert SCENE.words[0].text in row["texts"]
    assert len(row["captions"]) == len(row["texts"]) == len(labels) and row["picture"].size == (320, 320)


def test_caption_ground_segment() -> None:
    (row,) = compile(EXAMPLES / "caption_ground_segment.json").run(image=SCENE.image, on_error="raise").outputs
    assert row["caption"] == caption(SCENE)
    assert len(row["objects"]) == len(SCENE.shapes) and row["objects"].mask.any(axis=(1, 2)).all()


def test_count_behind_a_gate() -> None:
    workflow = compile(EXAMPLES / "count_behind_a_gate.json")
    name = SCENE.shapes[0].category
    count = sum(shape.category == name for shape in SCENE.shapes)
    (row,) = workflow.run(image=SCENE.image, classes=[name]).outputs
    assert (row["count"], row["sentence"]) == (count, f"found {count}: {', '.join([name] * count)}")
    absent = next(word for word in ("circle", "square", "triangle", "star") if word not in {s.category for s in SCENE.shapes})
    (row,) = workflow.run(image=SCENE.image, classes=[absent]).outputs
    assert (row["count"], row["sentence"]) == (0, None)


@cache
def shown(name: str) -> tuple[Picture, dict[str, Any]]:
    return show(EXAMPLES, next(exhibit for exhibit in EXHIBITS if exhibit.name == name))


def found(detections: Any) -> list[tuple[str, Box]]:
    return [(str(name), tuple(box)) for name, box in zip(detections.data["class_name"], detections.xyxy.tolist(), strict=True)]


def shapes(picture: Picture, *, full: bool = False) -> list[tuple[str, Box]]:
    return [(shape.name if full else shape.category, shape.box) for shape in picture.shapes]


def test_every_example_is_in_the_gallery_with_its_picture_and_sentence() -> None:
    page = (EXAMPLES / "README.md").read_text()
    names = {path.stem for path in EXAMPLES.glob("*.json")}
    assert {exhibit.name for exhibit in EXHIBITS} == names and len(names) >= 12
    for name in names:
        assert f"](images/{name}.png)" in page and (EXAMPLES / "images" / f"{name}.png").exists()
        assert json.loads((EXAMPLES / f"{name}.json").read_text())["description"] in page


def test_every_drawing_block_has_a_picture_in_the_gallery() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert len(drawing_blocks()) >= 20
    for name, block in drawing_blocks().items():
        picture = cv2.imread(str(EXAMPLES / "images" / "blocks" / f"{name}.png"))
        assert picture is not None and picture.std() > 5
        assert f"](images/blocks/{name}.png)<br>`{block_types(block)[0]}`" in page


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_every_picture_of_the_gallery_shows_what_came_of_it(exhibit: Exhibit) -> None:
    picture, row = shown(exhibit.name)
    assert isinstance(row["picture"], Image)
    assert not np.array_equal(row["picture"].bgr, picture.image)


def test_describe_a_scene() -> None:
    picture, row = shown("describe_a_scene")
    assert all(shape.name in row["caption"] for shape in picture.shapes) and picture.words[0].text in row["caption"]
    assert 0 < row["confidence"] <= 1 and not np.array_equal(row["picture"].bgr, picture.image)


def test_read_a_document() -> None:
    picture, row = shown("read_a_document")
    words = [word.text for word in sorted(picture.words, key=lambda word: word.box[1])]
    assert row["text"].split() == words
    assert [line.split(",")[0] for line in row["table"].splitlines()] == ["text", *words]


def test_classify_proposals() -> None:
    picture, row = shown("classify_proposals")
    wanted = shapes(picture) + [("word", word.box) for word in picture.words]
    assert len(matches(found(row["objects"]), wanted)) == len(wanted)
    for answer, name in zip(row["classifications"], row["objects"].data["class_name"], strict=True):
        assert answer["top"] == name and abs(sum(one["confidence"] for one in answer["predictions"]) - 1) < 1e-3


def test_blur_what_a_phrase_names() -> None:
    picture, row = shown("blur_what_a_phrase_names")
    stars = [("the star", shape.box) for shape in picture.shapes if shape.category == "star"]
    assert stars and len(matches(found(row["hidden"]), stars)) == len(stars) == len(row["hidden"])
    changed = (row["picture"].bgr != picture.image).any(axis=2)
    assert changed.any() and not changed[: int(min(box[1] for _, box in stars)) - 20].any()


def test_large_image_in_slices() -> None:
    picture, row = shown("large_image_in_slices")
    hits = matches(found(row["objects"]), shapes(picture))
    assert len(hits) == len(row["objects"]) == len(picture.shapes)  # each once, those that slices cut as well
    assert row["picture"].size == (720, 720)


def test_compare_two_models() -> None:
    picture, row = shown("compare_two_models")
    assert len(row["other"]) == len(row["one"]) + len(picture.words)  # one looks for shapes, the other for anything


def test_dense_captions_as_a_poster() -> None:
    picture, row = shown("dense_captions_as_a_poster")
    assert len(matches(found(row["things"]), shapes(picture, full=True))) == len(picture.shapes)
    assert row["picture"].size == (640, 480)


def test_ask_a_fine_tune() -> None:
    picture, row = shown("ask_a_fine_tune")
    assert row["answer"] == picture.words[0].text


def test_outline_everything() -> None:
    picture, row = shown("outline_everything")
    assert len(matches(found(row["objects"]), shapes(picture))) == len(picture.shapes)
    assert row["objects"].mask.any(axis=(1, 2)).all()


def test_sort_pictures() -> None:
    picture, row = shown("sort_pictures")
    assert row["kind"] == "picture" and row["words"] is None and all(shape.name in row["caption"] for shape in picture.shapes)
    (texts,) = compile(EXAMPLES / "sort_pictures.json").run(image=SCENE.image, on_error="raise").outputs
    assert texts["kind"] == "text" and texts["caption"] is None and len(texts["words"]) == len(SCENE.words)


def test_track_and_count() -> None:
    picture, row = shown("track_and_count")
    assert (row["to_the_right"], row["to_the_left"]) == (1, 1)  # one shape crosses the line each way
    assert len(matches(found(row["tracks"]), shapes(picture))) == len(picture.shapes) == 2
    assert not np.array_equal(row["picture"].bgr, picture.image)


def test_the_demo_runs_the_main_example_and_leaves_its_picture(tmp_path: Path) -> None:
    kept = json.loads((ROOT / "florence_blocks" / "demo" / "workflow.json").read_text())
    assert kept == json.loads((EXAMPLES / "detect_filter_crop_read.json").read_text())
    command = [sys.executable, "-m", "florence_blocks.demo", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "found" in done.stdout and (tmp_path / "picture.png").exists()
