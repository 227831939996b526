"""The companion blocks, through workflows as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.drawings import DRAWINGS
from workflow_engine import WorkflowDefinitionError, compile, registry
from workflow_engine.block import block_types
from workflow_engine.errors import StepError
from workflow_engine.keypoints import keypoint_data

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 100, 3), dtype=np.uint8)


def found(*, mask: bool = False) -> sv.Detections:
    masks = np.zeros((2, 60, 100), bool)
    masks[0, 15:30, 12:25] = masks[1, 25:50, 55:85] = True
    return sv.Detections(
        xyxy=np.array([[10, 10, 30, 40], [50, 20, 90, 55]], float), class_id=np.array([0, 1]), mask=masks if mask else None,
        data={"class_name": np.array(["star", "circle"], object)},
    )  # fmt: skip


def run(steps: list[dict[str, Any]], selector: str, *, image: Any = PIXELS, coordinates: str = "parent", **inputs: Any) -> Any:
    definition = {
        "version": "1.0",
        "inputs": [
            {"type": "WorkflowImage", "name": "image"},
            {
                "type": "WorkflowBatchInput",
                "name": "d",
                "kind": ["instance_segmentation_prediction", "object_detection_prediction"],
            },
            {"type": "WorkflowParameter", "name": "p", "default_value": None},
        ],
        "steps": steps,
        "outputs": [{"type": "JsonField", "name": "o", "selector": selector, "coordinates_system": coordinates}],
    }
    inputs.setdefault("d", found())
    return compile(definition).run(image=image, on_error="raise", **inputs).outputs[0]["o"]


def crop(**more: Any) -> dict[str, Any]:
    return {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image", "predictions": "$inputs.d", **more}


def step(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"vision/{kind}@v1", "name": "s", **fields}


OURS_ALONE = {
    "vision/quad_visualization@v1", "vision/percentage_bar_visualization@v1", "vision/detections_count@v1",
    "vision/json_formatter@v1",
}  # fmt: skip


def test_every_block_of_the_field_answers_to_its_name_there_too() -> None:
    for name, block in registry().blocks.items():
        if name.startswith("vision/"):
            assert (name in OURS_ALONE) != any(other.startswith("roboflow_core/") for other in block_types(block)), block


def test_crops_hold_the_pixels_of_their_boxes() -> None:
    first, second = run([crop()], "$steps.crop.crops")
    assert np.array_equal(first.array, PIXELS[10:40, 10:30]) and second.size == (40, 35)
    assert run([crop(padding=5)], "$steps.crop.crops")[0].size == (30, 40)


def test_a_box_at_the_edge_is_cut_and_one_outside_gives_no_crop() -> None:
    boxes = sv.Detections(xyxy=np.array([[-20, -20, 10, 10], [200, 200, 220, 220]], float))
    assert [c.size for c in run([crop()], "$steps.crop.crops", d=boxes)] == [(10, 10)]


def test_detections_on_crops_come_back_in_root_or_own_coordinates() -> None:
    own = run([crop()], "$steps.crop.predictions", coordinates="own", d=found(mask=True))
    root = run([crop()], "$steps.crop.predictions", d=found(mask=True))
    assert own[1].xyxy.tolist() == [[0, 0, 40, 35]] and own[1].mask.shape == (1, 35, 40)
    assert root[1].xyxy.tolist() == [[50, 20, 90, 55]]
    assert np.array_equal(root[1].mask[0], found(mask=True).mask[1])


def test_crops_of_crops_know_their_root() -> None:
    again = {
        "type": "vision/dynamic_crop@v1",
        "name": "again",
        "images": "$steps.crop.crops",
        "predictions": "$steps.crop.predictions",
    }
    (inner,), _ = run([crop(), again], "$steps.again.predictions")
    assert inner.xyxy.tolist() == [[10, 10, 30, 40]]


def test_a_crop_with_mask_opacity_covers_what_is_outside_the_mask() -> None:
    first = run([crop(mask_opacity=1.0, background_color="#0000ff")], "$steps.crop.crops", d=found(mask=True))[0]
    assert first.array[0, 0].tolist() == [255, 0, 0] and np.array_equal(first.array[10, 5], PIXELS[20, 15])


def test_static_crops_take_pixels_or_shares() -> None:
    pixels = {
        "type": "AbsoluteStaticCrop",
        "name": "s",
        "image": "$inputs.image",
        "x_center": 50,
        "y_center": 30,
        "width": 20,
        "height": 10,
    }
    shares = {"type": "roboflow_core/relative_statoic_crop@v1", "name": "s", "images": "$inputs.image", "x_center": 0.5,
              "y_center": 0.5, "width": 0.2, "height": 0.5}  # fmt: skip
    assert np.array_equal(run([pixels], "$steps.s.crops").array, PIXELS[25:35, 40:60])
    assert run([shares], "$steps.s.crops").size == (20, 30)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [({"where": 'class_name == "star"'}, ["star"]), ({"classes": ["circle"]}, ["circle"]), ({"min_area": 700}, ["circle"]),
     ({"max_area": 700}, ["star"]), ({}, ["star", "circle"]), ({"where": "area > 1e9"}, [])],
)  # fmt: skip
def test_the_filter_keeps_what_meets_every_condition(fields: dict[str, Any], kept: list[str]) -> None:
    got = run([step("detections_filter", predictions="$inputs.d", **fields)], "$steps.s.predictions", d=found(mask=True))
    assert list(got.data["class_name"]) == kept and got.mask.shape == (len(kept), 60, 100)


@pytest.mark.parametrize("names", [["star "], [" star", "star"], ["moon", " star"]])
def test_names_are_compared_without_blanks_around_them(names: list[str]) -> None:
    given = found()
    given.confidence = np.array([0.5, 0.5])
    steps = [
        step("detections_filter", predictions="$inputs.d", classes=names),
        step("detections_count", predictions="$inputs.d", classes=names),
        step("detections_consensus", predictions_batches=["$inputs.d"], required_votes=1, classes_to_consider=names),
        step("per_class_confidence_filter", predictions="$inputs.d", class_thresholds=dict.fromkeys(names, 0.1),
             default_threshold=1.0),
    ]  # fmt: skip
    for one in steps:
        assert list(run([one], "$steps.s.predictions", d=given).data["class_name"]) == ["star"], one["type"]


def test_a_filter_on_confidences_that_are_not_there_fails_and_says_so() -> None:
    with pytest.raises(Exception, match="carry no confidence"):
        run([step("detections_filter", predictions="$inputs.d", min_confidence=0.5)], "$steps.s.predictions")


def test_a_wrong_expression_is_told_when_the_workflow_is_compiled() -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"steps\[0\].where.*did you mean `area`"):
        run([step("detections_filter", predictions="$inputs.d", where="aera > 5")], "$steps.s.predictions")


def test_templates_fill_values_and_tell_what_is_missing() -> None:
    template = step("string_template", template="{n} of {name}", data={"n": "$inputs.d", "name": "x"},
                    data_operations={"n": [{"type": "SequenceLength"}]})  # fmt: skip
    assert run([template], "$steps.s.output") == "2 of x"
    with pytest.raises(Exception, match="asks for `m`"):
        run([step("string_template", template="{m}", data={"n": 1})], "$steps.s.output")


def test_an_expression_takes_the_first_case_that_holds() -> None:
    def case(least: int, result: dict[str, Any]) -> dict[str, Any]:
        condition = {"type": "StatementGroup", "statements": [{
            "type": "BinaryStatement", "left_operand": {"type": "DynamicOperand", "operand_name": "n"},
            "comparator": {"type": "(Number) >="}, "right_operand": {"type": "StaticOperand", "value": least}}]}  # fmt: skip
        return {"type": "CaseDefinition", "condition": condition, "result": result}

    switch = {"type": "CasesDefinition", "cases": [case(5, {"type": "StaticCaseResult", "value": "many"}),
              case(2, {"type": "DynamicCaseResult", "parameter_name": "n", "operations": [{"type": "ToString"}]})],
              "default": {"type": "StaticCaseResult", "value": "few"}}  # fmt: skip
    expression = step("expression", data={"n": "$inputs.d"}, data_operations={"n": [{"type": "SequenceLength"}]}, switch=switch)
    assert run([expression], "$steps.s.output") == "2"
    assert run([expression], "$steps.s.output", d=sv.Detections.empty()) == "few"


def test_grey_and_blur_keep_the_size_and_the_input() -> None:
    before = PIXELS.copy()
    grey = run([step("convert_grayscale", image="$inputs.image")], "$steps.s.image")
    assert grey.array.shape == (60, 100)
    for blur in ("average", "gaussian", "median", "bilateral"):
        assert run([step("image_blur", image="$inputs.image", blur_type=blur)], "$steps.s.image").array.shape == PIXELS.shape
    assert np.array_equal(PIXELS, before)


NEAR = {
    "halo": {"kernel_size": 4}, "heatmap": {"radius": 4, "kernel_size": 3}, "crop": {"position": "CENTER"},
    "keypoint": {"edges": [[1, 2]]}, "percentage_bar": {"width": 20, "height": 6, "position": "CENTER"},
}  # fmt: skip
KINDS = sorted(drawing.name.removesuffix("_visualization") for drawing in DRAWINGS if not drawing.stateful)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "background_color"])
def test_drawings_change_pixels_near_detections_only_and_never_the_input(kind: str) -> None:
    before, data = PIXELS.copy(), found(mask=True)
    data.data["quads"] = np.array([[[12, 12], [28, 14], [27, 38], [11, 36]], [[52, 22], [88, 24], [87, 53], [51, 50]]], float)
    data.data.update(keypoint_data([[{"x": 15, "y": 15, "class": "one"}, {"x": 25, "y": 35, "class": "two"}]] * 2))
    data.confidence = np.array([0.9, 0.5])
    fields = NEAR.get(kind, {})
    draw = step(f"{kind}_visualization", image="$inputs.image", predictions="$inputs.d", **fields)
    drawn = run([draw], "$steps.s.image", d=data)
    assert drawn.array.shape == PIXELS.shape and not np.array_equal(drawn.array, PIXELS)
    assert np.array_equal(drawn.array[58:, :5], PIXELS[58:, :5]) and np.array_equal(PIXELS, before)
    empty = run([draw], "$steps.s.image", d=sv.Detections.empty())
    assert np.array_equal(empty.array, PIXELS)


def test_a_background_is_covered_and_the_detections_are_not() -> None:
    draw = step("background_color_visualization", image="$inputs.image", predictions="$inputs.d", color="#ff0000", opacity=1.0)
    drawn = run([draw], "$steps.s.image", d=found(mask=True)).array
    mask = found(mask=True).mask.any(axis=0)
    assert np.array_equal(drawn[mask], PIXELS[mask]) and (drawn[~mask] == [0, 0, 255]).all()


def test_a_bar_is_as_full_as_a_detection_is_sure_and_needs_to_know_how_sure() -> None:
    sure = found()
    sure.confidence = np.array([0.25, 1.0])
    draw = step("percentage_bar_visualization", image="$inputs.image", predictions="$inputs.d", width=20, height=6,
                position="CENTER", color_palette="CUSTOM", custom_colors=["#ff00ff"], color_axis="INDEX")  # fmt: skip
    drawn = run([draw], "$steps.s.image", image=np.zeros_like(PIXELS), d=sure).array
    low, full = ((drawn[:, part] == [255, 0, 255]).all(axis=2).sum() for part in (slice(0, 45), slice(45, 100)))
    assert 0 < low < 0.35 * full
    sure.confidence = np.array([0.25, np.nan])
    unknown = run([draw], "$steps.s.image", image=np.zeros_like(PIXELS), d=sure).array
    assert np.array_equal(unknown[:, :45], drawn[:, :45]) and not unknown[:, 45:].any()
    with pytest.raises(StepError, match="no confidences"):
        run([draw], "$steps.s.image")


@pytest.mark.parametrize("kind", ["blur", "pixelate"])
def test_what_is_hidden_cannot_be_seen(kind: str) -> None:
    outside = sv.Detections(xyxy=np.array([[10, 10, 30, 40], [-50, -50, -10, -10], [200, 0, 220, 20]], float))
    drawn = run([step(f"{kind}_visualization", image="$inputs.image", predictions="$inputs.d")], "$steps.s.image", d=outside)
    edges, before = (np.abs(np.diff(pixels[14:36, 14:26].astype(int), axis=1)).mean() for pixels in (drawn.array, PIXELS))
    assert edges < 0.4 * before


def test_a_heatmap_shows_its_own_image_only() -> None:
    draw = step("heatmap_visualization", image="$inputs.image", predictions="$inputs.d")
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"},
                   {"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]}],
        "steps": [draw],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.image"}],
    }  # fmt: skip
    rows = compile(definition).run(image=[PIXELS, PIXELS], d=[found(), found()], on_error="raise").outputs
    assert np.array_equal(rows[0]["o"].array, rows[1]["o"].array)


def test_a_grey_image_is_drawn_on_in_colour() -> None:
    draw = step("bounding_box_visualization", image="$inputs.image", predictions="$inputs.d")
    assert run([draw], "$steps.s.image", image=PIXELS[:, :, 0].copy()).array.shape == PIXELS.shape


@pytest.mark.parametrize(
    "text", ["Class", "Confidence", "Class and Confidence", "Index", "Dimensions", "Area", "Tracker Id", "Text"]
)
@pytest.mark.parametrize("drawing", ["label_visualization", "rich_label_visualization"])
def test_labels_need_neither_confidences_nor_classes(drawing: str, text: str) -> None:
    draw = step(drawing, image="$inputs.image", predictions="$inputs.d", text=text)
    plain = sv.Detections(xyxy=np.array([[10, 10, 30, 40]], float))
    assert run([draw], "$steps.s.image", d=plain).array.shape == PIXELS.shape


def test_palettes_are_checked() -> None:
    draw = step(
        "bounding_box_visualization",
        image="$inputs.image",
        predictions="$inputs.d",
        color_palette="CUSTOM",
        custom_colors=["#00ff00"],
    )
    assert (run([draw], "$steps.s.image").array == [0, 255, 0]).all(axis=2).any()
    with pytest.raises(Exception, match="nonsense"):
        run([{**draw, "color_palette": "nonsense"}], "$steps.s.image")


@pytest.mark.parametrize(
    ("drawing", "size"), [("label_visualization", {"text_scale": 1.0}), ("rich_label_visualization", {"font_size": 30})]
)
def test_letters_follow_the_image_where_they_are_told_to(drawing: str, size: dict[str, Any]) -> None:
    def inked(side: int, mode: str) -> int:
        draw = step(drawing, image="$inputs.image", predictions="$inputs.d", text_size_mode=mode, **size)
        large = sv.Detections(xyxy=np.array([[side / 4, side / 2, side / 2, side * 0.8]]), class_id=np.array([0]),
                              data={"class_name": np.array(["star"])})  # fmt: skip
        blank = np.full((side, 2 * side, 3), 7, np.uint8)
        return int((run([draw], "$steps.s.image", image=blank, d=large).array != 7).any(axis=2).sum())

    assert inked(1080, "Automatic") == inked(1080, "Manual") == inked(2160, "Manual")
    assert inked(540, "Automatic") < inked(540, "Manual") and inked(2160, "Automatic") > inked(2160, "Manual")
    assert inked(150, "Automatic") == inked(250, "Automatic")  # never too small to be read


def test_a_font_writes_what_plain_letters_cannot() -> None:
    def drawn(name: str, drawing: str) -> Any:
        draw = step(drawing, image="$inputs.image", predictions="$inputs.d")
        accented = sv.Detections(xyxy=np.array([[10.0, 40, 60, 60]]), class_id=np.array([0]),
                                 data={"class_name": np.array([name])})  # fmt: skip
        return run([draw], "$steps.s.image", image=np.full((120, 200, 3), 7, np.uint8), d=accented).array

    assert not np.array_equal(drawn("cafe", "rich_label_visualization"), drawn("café", "rich_label_visualization"))
    with pytest.raises(Exception, match="`DejaVu Sans` would fit"):
        run([step("rich_label_visualization", image="$inputs.image", predictions="$inputs.d", font_family="No Such")],
            "$steps.s.image")  # fmt: skip
