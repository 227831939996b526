"""The plugin inside the real runtime; `make compat` runs this in the environment that has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from florence_blocks import Florence2
from florence_blocks.blocks.typed import BLOCKS
from florence_blocks.demo import draw_scene
from workflow_engine import compile
from workflow_engine.block import block_types

pytest.importorskip("roboflow_workflows", reason="`make compat` has an environment with roboflow-workflows")

SCENES = [draw_scene(seed, width=320, height=320, shapes=3, words=1) for seed in (41, 42, 43)]
IMAGES = [scene.image for scene in SCENES]
CONFIDENT = {
    "type": "DetectionsFilter",
    "filter_operation": {"type": "StatementGroup", "statements": [{
        "type": "BinaryStatement",
        "left_operand": {"type": "DynamicOperand",
                         "operations": [{"type": "ExtractDetectionProperty", "property_name": "confidence"}]},
        "comparator": {"type": "(Number) >"}, "right_operand": {"type": "StaticOperand", "value": 0.2},
    }]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOWS_PLUGINS", "florence_blocks.adapters.roboflow")


def definition(*steps: dict[str, Any], **outputs: str) -> dict[str, Any]:
    return {
        "version": "1.3.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"},
                   {"type": "WorkflowParameter", "name": "words", "default_value": "a star"}],
        "steps": list(steps),
        "outputs": [{"type": "JsonField", "name": name, "selector": selector, "coordinates_system": "own"}
                    for name, selector in outputs.items()],
    }  # fmt: skip


def step(task: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"florence/{task}@v1", "name": name, "images": "$inputs.image", **fields}


DETECT = step("object_detection", "detect")


def engine(made: dict[str, Any]) -> Any:
    from roboflow_workflows.execution_engine.core import ExecutionEngine

    given = {"workflows_core.model_manager": None, "workflows_core.api_key": None}
    return ExecutionEngine.init(workflow_definition=made, init_parameters=given)


def there(made: dict[str, Any], images: list[Any], **more: Any) -> Any:
    return engine(made).run(runtime_parameters={"image": [image.copy() for image in images], **more})


def test_a_definition_of_their_blocks_and_ours_gives_the_same_in_both_runtimes() -> None:
    made = definition(
        DETECT,
        {"type": "roboflow_core/detections_filter@v1", "name": "sure", "predictions": "$steps.detect.predictions",
         "operations": [CONFIDENT]},
        {"type": "roboflow_core/dynamic_crop@v1", "name": "crop", "images": "$inputs.image",
         "predictions": "$steps.sure.predictions"},
        step("caption", "say", images="$steps.crop.crops"),
        step("phrase_grounding", "ground", phrase="$steps.whole.caption"),
        step("caption", "whole"),
        step("region_segmentation", "cut", regions="$steps.sure.predictions"),
        step("region_classification", "named", regions=[[10, 20, 200, 180]], classes=["circle", "star"]),
        step("ocr_with_regions", "read"),
        {"type": "roboflow_core/mask_visualization@v1", "name": "draw", "image": "$inputs.image",
         "predictions": "$steps.cut.predictions"},
        said="$steps.say.caption", sure="$steps.say.confidence", found="$steps.sure.predictions",
        cut="$steps.cut.predictions", named="$steps.named.classifications", texts="$steps.named.texts",
        ground="$steps.ground.predictions", read="$steps.read.predictions", drawn="$steps.draw.image",
    )  # fmt: skip
    ours = compile(made).run(image=IMAGES, on_error="raise").outputs
    theirs = there(made, IMAGES)
    assert len(ours) == len(theirs) == 3
    for own, other in zip(ours, theirs, strict=True):
        assert own["said"] == other["said"] and len(own["said"]) > 0
        assert own["texts"] == other["texts"]
        assert own["sure"] == pytest.approx(other["sure"], rel=1e-4)
        for mine, their in zip(own["named"], other["named"], strict=True):
            assert {one["class"]: one["confidence"] for one in mine["predictions"]} == pytest.approx(
                {one["class"]: one["confidence"] for one in their["predictions"]}, abs=1e-4
            )
        for name in ("found", "cut", "ground", "read"):
            assert np.allclose(own[name].xyxy, other[name].xyxy, atol=1e-3)
            assert np.allclose(own[name].confidence, other[name].confidence, atol=1e-4)
            assert list(own[name].data["class_name"]) == list(other[name].data["class_name"])
        assert np.array_equal(own["cut"].mask, other["cut"].mask)
        assert own["drawn"].size == other["drawn"].numpy_image.shape[1::-1]


def test_every_block_is_described_with_its_own_fields_outputs_and_kinds() -> None:
    from roboflow_workflows.execution_engine.introspection.blocks_loader import describe_available_blocks

    told = {block.manifest_type_identifier: block for block in describe_available_blocks(dynamic_blocks=[]).blocks}
    for block in BLOCKS:
        there = told[block_types(block)[0]]
        assert set(block.Manifest.model_fields) == set(there.block_schema["properties"])
        kinds = {output.name: {kind.name for kind in output.kind} for output in there.outputs_manifest}
        assert kinds == {name: {kind.name for kind in output.kinds} for name, output in block.outputs.items()}


def test_a_batch_of_images_through_several_tasks_encodes_every_image_once() -> None:
    model = Florence2.from_pretrained("florence-2-demo")
    fresh = [draw_scene(seed, width=300, height=300, shapes=2, words=1).image for seed in range(900, 905)]
    before = model.stats()
    made = definition(DETECT, step("caption", "say"), step("ocr", "read"),
                      a="$steps.detect.predictions", b="$steps.say.caption", c="$steps.read.text")  # fmt: skip
    there(made, fresh)
    after = model.stats()
    assert after["requests"] - before["requests"] == 15
    assert after["images_encoded"] - before["images_encoded"] == 5


def test_an_image_without_anything_goes_through_their_blocks() -> None:
    blank = np.full((200, 260, 3), 128, np.uint8)
    made = definition(
        step("open_vocabulary_detection", "detect", classes=["star"]),
        step("region_caption", "say", regions="$steps.detect.predictions"),
        {"type": "roboflow_core/bounding_box_visualization@v1", "name": "draw", "image": "$inputs.image",
         "predictions": "$steps.say.predictions"},
        found="$steps.say.predictions", drawn="$steps.draw.image",
    )  # fmt: skip
    (row,) = engine(made).run(runtime_parameters={"image": blank}, serialize_results=True)
    assert row["found"]["predictions"] == []
    assert row["drawn"]["type"] == "base64"


def test_boxes_of_the_definition_come_back_with_the_confidence_of_their_answers() -> None:
    boxes = [[float(edge) for edge in shape.box] for shape in SCENES[0].shapes]
    made = definition(step("region_ocr", "read", regions=boxes), step("region_segmentation", "cut", regions=boxes),
                      read="$steps.read.predictions", cut="$steps.cut.predictions")  # fmt: skip
    (row,) = engine(made).run(runtime_parameters={"image": IMAGES[0].copy()}, serialize_results=True)
    for name in ("read", "cut"):
        assert len(row[name]["predictions"]) == len(boxes)
        assert all(0 < one["confidence"] <= 1 for one in row[name]["predictions"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (step("region_caption", "ask", regions="$steps.say.caption"), "regarding property: regions"),
        (step("object_detection", "ask", coordinates="fine"), "Could not parse"),
        (step("object_detection", "ask", num_beams=0), "Could not parse"),
        (step("caption", "ask", images="$steps.detect.predictions"), "regarding property: images"),
    ],
)
def test_their_compiler_refuses_what_does_not_fit(wrong: dict[str, Any], said: str) -> None:
    from roboflow_workflows.errors import WorkflowError

    engine(definition(DETECT, step("caption", "say"), step("object_detection", "ask"), out="$steps.ask.*"))
    with pytest.raises(WorkflowError, match=said):
        engine(definition(DETECT, step("caption", "say"), wrong, out="$steps.ask.*"))


def test_a_value_of_a_run_that_does_not_fit_is_told() -> None:
    from roboflow_workflows.errors import WorkflowError

    made = definition(
        step("region_caption", "say", regions=[[10.0, 10.0, 90.0, 90.0]]),
        step("region_ocr", "ask", regions="$steps.say.texts"),  # a list, as the kinds say, but not one of boxes
        out="$steps.ask.texts",
    )
    with pytest.raises(WorkflowError, match="regions are detections, or a list of boxes"):
        there(made, IMAGES[:1])
