"""The Florence blocks in workflows, on drawn scenes with known contents."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.blocks.typed import BLOCKS
from florence_blocks.demo import Scene, draw_scene
from florence_blocks.demo.corpus import caption, detailed_caption, more_detailed_caption, named_by
from florence_blocks.locations import iou
from florence_blocks.model_ids import DEMO_FOLDER, CheckpointError
from florence_blocks.requests import Request
from florence_blocks.runtime.encoding import Encoding
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS
from workflow_engine import (
    Cancellation,
    RunCancelledError,
    RunTimeoutError,
    StepError,
    UnavailableError,
    WorkflowDefinitionError,
    WorkflowRunError,
    compile,
)
from workflow_engine.block import block_types
from workflow_engine.data import Image
from workflow_engine.workflow import Workflow

SCENES = [draw_scene(seed, shapes=count, words=1) for seed, count in ((31, 3), (32, 2), (33, 4))]
IMAGES = [scene.image for scene in SCENES]


def workflow(*steps: dict[str, Any], **outputs: str) -> Workflow:
    return compile({
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"},
                   {"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]}]
        if any("$inputs.d" in str(step) for step in steps) else [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{"name": f"s{number}", "images": "$inputs.image", **step} for number, step in enumerate(steps)],
        "outputs": [{"type": "JsonField", "name": name, "selector": selector} for name, selector in outputs.items()],
    })  # fmt: skip


def column(flow: Workflow, **inputs: Any) -> list[Any]:
    inputs.setdefault("image", IMAGES)
    return [row["o"] for row in flow.run(on_error="raise", **inputs).outputs]


DETECT = {"type": "florence/object_detection@v1"}


def test_there_is_a_typed_block_for_every_task() -> None:
    names = [block_types(block)[0].split("/")[1].split("@")[0] for block in BLOCKS]
    assert names == [
        "caption", "object_detection", "dense_region_caption", "region_proposal", "ocr", "ocr_with_regions",
        "phrase_grounding", "open_vocabulary_detection", "phrase_segmentation", "region_segmentation",
        "region_classification", "region_caption", "region_ocr", "prompt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("granularity", "truth"), [("normal", caption), ("detailed", detailed_caption), ("very_detailed", more_detailed_caption)]
)
def test_captions_say_what_was_drawn(granularity: str, truth: Any) -> None:
    got = column(workflow({"type": "florence/caption@v1", "granularity": granularity}, o="$steps.s0.caption"))
    assert sum(text == truth(scene) for text, scene in zip(got, SCENES, strict=True)) >= 2


@pytest.mark.parametrize("name", ["object_detection", "dense_region_caption", "region_proposal"])
def test_detectors_find_the_shapes(name: str) -> None:
    for scene, found in zip(SCENES, column(workflow({"type": f"florence/{name}@v1"}, o="$steps.s0.predictions")), strict=True):
        assert hits(scene, found) == len(scene.shapes)


def hits(scene: Scene, found: Any) -> int:
    return sum(any(iou(tuple(box), shape.box) > 0.5 for box in found.xyxy) for shape in scene.shapes)


def test_a_caption_can_be_grounded_and_its_regions_outlined() -> None:
    flow = workflow(
        {"type": "florence/caption@v1"}, {"type": "florence/phrase_grounding@v1", "phrase": "$steps.s0.caption"},
        {"type": "florence/region_segmentation@v1", "regions": "$steps.s1.predictions"}, o="$steps.s2.predictions",
        p="$steps.s1.predictions",
    )  # fmt: skip
    for scene, row in zip(SCENES, flow.run(image=IMAGES).outputs, strict=True):
        found = row["o"]
        assert hits(scene, found) == len(scene.shapes)
        assert found.mask.shape[0] == len(found) and all(mask.any() for mask in found.mask)
        assert np.array_equal(found.confidence, row["p"].confidence)  # those of the regions; the outlines have their own
        assert ((found.data["mask_confidence"] > 0.5) & (found.data["mask_confidence"] <= 1)).all()


def test_region_blocks_answer_for_every_region_of_every_image() -> None:
    flow = workflow(DETECT, {"type": "florence/region_caption@v1", "regions": "$steps.s0.predictions"}, o="$steps.s1.texts",
                    p="$steps.s1.predictions", d="$steps.s0.predictions")  # fmt: skip
    for row, scene in zip(flow.run(image=IMAGES).outputs, SCENES, strict=True):
        assert sorted(row["o"]) == sorted(shape.name for shape in scene.shapes)
        assert list(row["p"].data["class_name"]) == row["o"] and np.array_equal(row["p"].xyxy, row["d"].xyxy)
        assert list(row["d"].data["class_name"]) != row["o"]


def test_no_regions_give_an_empty_answer() -> None:
    for name in ("region_caption", "region_segmentation", "region_ocr", "region_classification"):
        flow = workflow({"type": f"florence/{name}@v1", "regions": []}, o="$steps.s0.predictions")
        assert [len(found) for found in column(flow)] == [0, 0, 0]
    flow = workflow({"type": "florence/region_ocr@v1", "regions": "$inputs.d"}, o="$steps.s0.texts")
    assert column(flow, image=IMAGES[0], d={"predictions": []}) == [[]]


def test_literal_boxes_are_regions_too() -> None:
    word = SCENES[0].words[0]
    flow = workflow({"type": "florence/region_ocr@v1", "regions": [list(word.box)]}, o="$steps.s0.texts")
    assert column(flow, image=IMAGES[0]) == [[word.text]]


def test_the_corners_of_a_literal_box_may_come_in_any_order() -> None:
    x1, y1, x2, y2 = 20, 30, 90, 100
    boxes = [[x1, y1, x2, y2], [x2, y2, x1, y1], [x1, y2, x2, y1]]
    flow = workflow({"type": "florence/region_caption@v1", "regions": boxes}, o="$steps.s0.predictions")
    (named,) = column(flow, image=IMAGES[0])
    assert named.xyxy.tolist() == [[x1, y1, x2, y2]] * 3 and len(set(named.data["class_name"])) == 1


@pytest.mark.parametrize(("which", "pick"), [("first", 0), ("last", -1), ("biggest", None), ("smallest", None)])
def test_regions_to_use_narrows(which: str, pick: int | None) -> None:
    boxes = [shape.box for shape in SCENES[0].shapes]
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    place = pick if pick is not None else areas.index((max if which == "biggest" else min)(areas))
    flow = workflow({"type": "florence/region_caption@v1", "regions": [list(box) for box in boxes], "regions_to_use": which},
                    o="$steps.s0.texts")  # fmt: skip
    assert column(flow, image=IMAGES[0]) == [[SCENES[0].shapes[place].name]]


def test_confidences_that_are_not_there_fail_the_element_and_say_so() -> None:
    flow = workflow({"type": "florence/region_caption@v1", "regions": [[0, 0, 50, 50]], "regions_to_use": "most_confident"},
                    o="$steps.s0.texts")  # fmt: skip
    result = flow.run(image=IMAGES[0])
    assert result.outputs == [{"o": None}] and "have none" in result.report.errors[0].message


def test_all_elements_of_a_step_go_to_the_model_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    submit = FlorenceModel.submit

    def counted(self: FlorenceModel, requests: list[Request], **options: Any) -> Any:
        calls.append(len(requests))
        return submit(self, requests, **options)

    monkeypatch.setattr(FlorenceModel, "submit", counted)
    flow = workflow(DETECT, {"type": "vision/dynamic_crop@v1", "predictions": "$steps.s0.predictions"},
                    {"type": "florence/caption@v1", "images": "$steps.s1.crops"}, o="$steps.s2.caption")  # fmt: skip
    crops = column(flow)
    assert calls == [3, sum(map(len, crops))]


def test_texts_come_with_their_corners() -> None:
    flow = workflow(
        {"type": "florence/ocr_with_regions@v1"}, {"type": "florence/ocr@v1"}, o="$steps.s0.predictions", t="$steps.s1.text"
    )
    for row, scene in zip(flow.run(image=IMAGES).outputs, SCENES, strict=True):
        assert row["t"] == scene.words[0].text
        assert list(row["o"].data["text"]) == [scene.words[0].text] and iou(tuple(row["o"].xyxy[0]), scene.words[0].box) > 0.5


def test_open_vocabulary_finds_what_is_there_and_leaves_out_what_is_not() -> None:
    """Beside a name that is there stands one that is not; nothing else may be said."""
    right, scenes = 0, [scene for scene in (draw_scene(seed) for seed in range(500, 540)) if scene.shapes]
    for scene in scenes:
        present = scene.shapes[0].name
        absent = next(name for name in ("red star", "blue circle", "green square") if not named_by(scene, name))
        flow = workflow(
            {"type": "florence/open_vocabulary_detection@v1", "classes": [present, absent]}, o="$steps.s0.predictions"
        )
        names = set(column(flow, image=scene.image)[0].data["class_name"])
        assert names <= {present, absent}
        right += names == {present}
    assert right >= 0.8 * len(scenes)


def test_a_prompt_is_sent_as_it_is() -> None:
    flow = workflow({"type": "florence/prompt@v1", "text": "What is the text in the image?"}, o="$steps.s0.answer")
    assert column(flow, image=IMAGES[0]) == [SCENES[0].words[0].text]


@pytest.mark.parametrize("on_error", ["report", "raise"])
def test_a_model_that_cannot_be_loaded_ends_the_run_once(tmp_path: Path, on_error: Any) -> None:
    (tmp_path / "config.json").write_text("{}")
    flow = workflow({**DETECT, "model_id": str(tmp_path)}, o="$steps.s0.predictions")
    with pytest.raises(CheckpointError, match="cannot be used") as raised:
        flow.run(image=IMAGES, on_error=on_error)
    assert isinstance(raised.value, UnavailableError) and isinstance(raised.value, WorkflowRunError)
    shutil.copytree(DEMO_FOLDER, tmp_path, dirs_exist_ok=True)
    assert all(row["o"] is not None for row in flow.run(image=IMAGES).outputs)  # the folder was mended


def test_a_setting_of_the_process_that_is_not_at_hand_ends_the_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "int3")
    with pytest.raises(UnavailableError, match="float32, bfloat16 or float16 would fit"):
        workflow(DETECT, o="$steps.s0.predictions").run(image=IMAGES)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"type": "florence/caption@v1", "granularity": "long"}, "granularity"),
        ({"type": "florence/phrase_grounding@v1"}, "phrase: required and missing"),
        ({"type": "florence/phrase_grounding@v1", "phrase": "$inputs.image"}, "`string`, `language_model_output` would fit"),
        ({"type": "florence/region_ocr@v1", "regions": [[1, 2, 3]]}, "a list of boxes"),
        ({"type": "florence/region_ocr@v1", "regions": "$inputs.image"}, "object_detection_prediction"),
        ({"type": "florence/ocr@v1", "max_new_tokens": 0}, "greater than or equal to 1"),
        ({"type": "florence/ocr@v1", "num_beams": 65}, "less than or equal to 64"),
        ({"type": "florence/ocr@v1", "model_id": "florence-2-bse"}, "did you mean `florence-2-base`"),
        ({"type": "florence/ocr@v1", "model_id": "./not/here"}, r"steps\[0\].model_id: `./not/here` is no model and no folder"),
        ({"type": "florence/ocr@v1", "model_id": ""}, "no model and no folder"),
        ({"type": "florence/ocr@v1", "num_beam": 3}, "did you mean `num_beams`"),
    ],
)
def test_a_wrong_field_is_told_before_anything_runs(step: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=said):
        workflow(step)


def test_an_empty_phrase_from_upstream_fails_alone() -> None:
    flow = workflow(
        {"type": "florence/ocr@v1"},
        {"type": "florence/phrase_grounding@v1", "phrase": "$steps.s0.text"},
        o="$steps.s1.predictions",
    )
    blank = draw_scene(5, shapes=2, words=0).image
    result = flow.run(image=[IMAGES[0], blank])
    assert result.outputs[0]["o"] is not None and result.outputs[1]["o"] is None
    assert "it is empty" in result.report.errors[0].message and result.report.errors[0].element == (1,)


@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_a_run_that_ends_early_takes_its_requests_back(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    gate, features = threading.Event(), Encoding.features

    def held(encoding: Encoding, pixels: Any) -> Any:
        gate.wait(20)
        return features(encoding, pixels)

    monkeypatch.setattr(Encoding, "features", held)
    model, stop = shared_model("florence-2-demo"), Cancellation()
    before = model.stats()["requests"]
    first = 900 if way == "cancel" else 950  # images that nobody asked about before
    images = [draw_scene(seed).image for seed in range(first, first + 30)]
    threading.Timer(0.2, stop.cancel).start()
    with pytest.raises(RunCancelledError if way == "cancel" else RunTimeoutError):
        workflow({"type": "florence/caption@v1"}, o="$steps.s0.caption").run(
            image=images, cancellation=stop if way == "cancel" else None, timeout=0.3 if way == "timeout" else None
        )
    gate.set()
    assert model.answer([Request(TASKS["caption"], Image(images[0]))])
    assert model.stats()["requests"] - before == 1


def test_one_bad_region_loses_nothing_of_the_others() -> None:
    """The report names the region; its text is null, its name empty and its confidence 0."""
    good = [list(shape.box) for shape in SCENES[0].shapes]
    width = IMAGES[0].shape[1]
    bad = [
        [width + 5, 0, width + 50, 50], [-50, -50, -1, -1], [10, 10, 10, 60],
        [0, 0, float("nan"), 5], [0, 0, float("inf"), 5], [1, 2, None, 4], [1, 2, 3], "a", None, [10**400, 0, 1, 1],
    ]  # fmt: skip
    boxes = [good[0], *bad, *good[1:]]
    flow = regions_flow("region_caption")
    result = flow.run(image=IMAGES[0], boxes=boxes)
    (row,) = result.outputs
    names = [shape.name for shape in SCENES[0].shapes]
    assert row["texts"] == [names[0], *[None] * len(bad), *names[1:]]
    found = row["predictions"]
    assert list(found.data["class_name"]) == [text or "" for text in row["texts"]]
    assert np.isfinite(found.xyxy).all() and (found.confidence[1 : 1 + len(bad)] == 0).all()
    assert [error.part for error in result.report.errors] == [f"regions[{place}]" for place in range(1, 1 + len(bad))]
    assert [error.element for error in result.report.errors] == [(0,)] * len(bad)
    assert "lies outside of the" in result.report.errors[0].message and "has no area" in result.report.errors[5].message
    step = result.report.steps["s0"]
    assert (step.done, step.failed) == (1, 0) and not result.report.ok
    assert "regions[1]" in str(result.report.errors[0])


@pytest.mark.parametrize("name", ["region_segmentation", "region_classification", "region_ocr"])
def test_what_comes_after_a_bad_region_is_done_for_all_of_them(name: str) -> None:
    boxes = [list(SCENES[0].shapes[0].box), [9000, 9000, 9001, 9001], [1, 2, None, 4]]
    flow = regions_flow(
        name,
        {"type": "vision/label_visualization@v1", "image": "$inputs.image", "predictions": "$steps.s0.predictions"},
        {"type": "vision/bounding_box_visualization@v1", "image": "$inputs.image", "predictions": "$steps.s0.predictions"},
        {"type": "vision/dynamic_crop@v1", "images": "$inputs.image", "predictions": "$steps.s0.predictions"},
        {"type": "vision/detections_filter@v1", "predictions": "$steps.s0.predictions", "min_confidence": 0.1},
    )
    result = flow.run(image=IMAGES[0], boxes=boxes)
    (row,) = result.outputs
    assert len(row["predictions"]) == 3 and not [error for error in result.report.errors if error.step != "s0"]
    assert result.to_json()[0]["predictions"]["predictions"][2]["confidence"] == 0


def regions_flow(name: str, *more: dict[str, Any]) -> Workflow:
    step = {"type": f"florence/{name}@v1", "regions": "$inputs.boxes", "name": "s0", "images": "$inputs.image"}
    outputs = ["predictions"] if name == "region_segmentation" else ["predictions", "texts"]
    return compile({
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "boxes"}],
        "steps": [step, *({"name": f"m{number}", **one} for number, one in enumerate(more))],
        "outputs": [{"type": "JsonField", "name": output, "selector": f"$steps.s0.{output}"} for output in outputs],
    })  # fmt: skip


def test_an_image_all_of_whose_regions_are_bad_fails() -> None:
    result = regions_flow("region_caption").run(image=IMAGES[0], boxes=[[9000, 9000, 9001, 9001]])
    assert result.outputs == [{"predictions": None, "texts": None}]
    assert result.report.errors[0].part == "" and result.report.steps["s0"].failed == 1


def test_a_run_that_stops_at_the_first_error_stops_at_a_bad_region() -> None:
    with pytest.raises(StepError, match=r"regions\[1\]"):
        regions_flow("region_caption").run(image=IMAGES[0], boxes=[[1, 1, 50, 50], [9000, 0, 9001, 9]], on_error="raise")


def test_detections_with_a_bad_box_keep_the_others() -> None:
    boxes = np.array([SCENES[0].shapes[0].box, [5, 5, 5, 9], [9000, 0, 9001, 9]])
    flow = workflow({"type": "florence/region_caption@v1", "regions": "$inputs.d"}, o="$steps.s0.texts")
    result = flow.run(image=IMAGES[0], d=sv.Detections(xyxy=boxes))
    assert result.outputs == [{"o": [SCENES[0].shapes[0].name, None, None]}]


@pytest.mark.parametrize("which", ["biggest", "smallest"])
def test_a_box_of_no_numbers_is_never_the_biggest_or_smallest(which: str) -> None:
    boxes = [[1, 2, None, 4], list(SCENES[0].shapes[0].box)]
    flow = compile({
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "boxes"}],
        "steps": [{"type": "florence/region_caption@v1", "name": "s", "images": "$inputs.image", "regions": "$inputs.boxes",
                   "regions_to_use": which}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.texts"}],
    })  # fmt: skip
    assert flow.run(image=IMAGES[0], boxes=boxes).outputs == [{"o": [SCENES[0].shapes[0].name]}]


ANY_TASK = {"type": "florence/any_task@v1", "model_id": "florence-2-demo"}
BAD_TEXTS = ["half \ud83d", "", " \n", "a<loc_1>", "word " * 10_000, None, 7]


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"type": "florence/phrase_grounding@v1"}, "phrase"),
        ({"type": "florence/phrase_segmentation@v1"}, "phrase"),
        (
            {"type": "florence/any_task@v1", "task_type": "phrase-grounded-object-detection", "model_id": "florence-2-demo"},
            "prompt",
        ),
        ({"type": "florence/prompt@v1"}, "text"),
    ],
)
def test_one_bad_phrase_fails_its_own_image(step: dict[str, Any], field: str) -> None:
    phrase = SCENES[0].shapes[0].name
    bad = [text for text in BAD_TEXTS if field != "text" or text != "a<loc_1>"]  # a free prompt is sent as it is
    output = {"prompt": "parsed_output", "text": "answer"}.get(field, "predictions")
    flow = compile({
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowBatchInput", "name": "text"}],
        "steps": [{**step, "name": "s", "images": "$inputs.image", field: "$inputs.text"}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": f"$steps.s.{output}"}],
    })  # fmt: skip
    texts = [phrase, *bad, phrase]
    result = flow.run(image=[IMAGES[0]] * len(texts), text=texts)
    given = [row["o"] is not None for row in result.outputs]
    assert given == [True, *[False] * len(bad), True]
    failed = {error.element for error in result.report.errors} | {skip.element for skip in result.report.skips}
    assert failed == {(place,) for place in range(1, 1 + len(bad))}


def test_class_ids_are_places_in_the_list_that_was_given() -> None:
    classes = ["triangle ", "circle", "", "circle", " square", "star"]
    places = {"triangle": 0, "circle": 1, "square": 4, "star": 5}
    for name in ("object_detection", "open_vocabulary_detection"):
        flow = workflow({"type": f"florence/{name}@v1", "classes": classes}, o="$steps.s0.predictions")
        for found in column(flow):
            assert found.class_id.tolist() == [places[label] for label in found.data["class_name"]]


def test_names_are_cleaned_for_the_block_of_all_tasks_and_for_whoever_reads_its_answers() -> None:
    present = SCENES[0].shapes[0].name
    classes = ["something else ", f" {present} ", present]
    ask = {**ANY_TASK, "task_type": "open-vocabulary-object-detection", "classes": classes[1:]}
    read = {"type": "vision/vlm_as_detector@v1", "image": "$inputs.image", "vlm_output": "$steps.s0.raw_output",
            "model_type": "florence-2", "task_type": "open-vocabulary-object-detection", "classes": classes}  # fmt: skip
    (row,) = compile({
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{**ask, "name": "s0", "images": "$inputs.image"}, {**read, "name": "s1"}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s0.parsed_output"},
                    {"type": "JsonField", "name": "p", "selector": "$steps.s1.predictions"}],
    }).run(image=IMAGES[0]).outputs  # fmt: skip
    assert set(row["o"]["bboxes_labels"]) == {present} and set(row["p"].class_id.tolist()) == {1}
