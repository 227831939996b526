"""Text on images, images beside images, and tables."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from PIL import Image as PilImage

from tests.vision.test_blocks import PIXELS, crop, found, run, step
from workflow_engine import compile
from workflow_engine.data import Image
from workflow_engine.errors import StepError, WorkflowDefinitionError

LARGE = np.full((200, 400, 3), 128, np.uint8)


def panel(**fields: Any) -> Any:
    return run([step("text_display", image="$inputs.image", **fields)], "$steps.s.image", image=LARGE).array


def touched(pixels: Any) -> tuple[int, int, int, int]:
    """The box of what changed."""
    rows, columns = np.nonzero((pixels != LARGE).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_values_are_filled_into_the_text_of_a_panel() -> None:
    values = {"text_parameters": {"n": 3}, "text_parameters_operations": {"n": [{"type": "Multiply", "other": 2}]}}
    assert np.array_equal(panel(text="found {n}", **values), panel(text="found 6"))


def test_a_panel_of_another_runtime_has_its_placeholders_and_leaves_other_braces_alone() -> None:
    there = {"type": "roboflow_core/text_display@v1", "name": "s", "image": "$inputs.image", "text_parameters": {"n": 3},
             "text_parameters_operations": {"n": [{"type": "Multiply", "other": 2}]}}  # fmt: skip
    wanted = panel(text="6 and 6, {{n}} {{{{ $parameters.m }}}}")
    given = {**there, "text": "{{ $parameters.n }} and {{$parameters.n}}, {n} {{ $parameters.m }}"}
    assert np.array_equal(run([given], "$steps.s.image", image=LARGE).array, wanted)


@pytest.mark.parametrize(
    ("anchor", "left", "top"), [("top_left", True, True), ("bottom_right", False, False), ("top_right", False, True)]
)
def test_a_panel_stands_where_it_is_asked_to(anchor: str, left: bool, top: bool) -> None:
    x1, y1, x2, y2 = touched(panel(text="a", anchor=anchor, offset_x=7, offset_y=9))
    assert (x1 == 7) if left else (x2 == 393)
    assert (y1 == 9) if top else (y2 == 191)


def test_a_panel_in_the_middle_is_in_the_middle() -> None:
    x1, y1, x2, y2 = touched(panel(text="a", anchor="center"))
    assert abs(x1 + x2 - 400) <= 1 and abs(y1 + y2 - 200) <= 1


def test_long_lines_are_wrapped_and_short_ones_are_not() -> None:
    one, many = touched(panel(text="word")), touched(panel(text="word " * 12))
    assert many[3] - many[1] > 2 * (one[3] - one[1]) - 30 and many[2] <= 400


def test_a_panel_outside_of_the_image_changes_nothing() -> None:
    assert np.array_equal(panel(text="a", position_mode="absolute", position_x=1000, position_y=1000), LARGE)


def test_a_grid_shows_all_crops_in_their_proportions() -> None:
    steps = [crop(), {"type": "vision/dimension_collapse@v1", "name": "all", "data": "$steps.crop.crops"},
             step("grid_visualization", images="$steps.all.output", width=80, height=40)]  # fmt: skip
    grid = run(steps, "$steps.s.image").array
    assert grid.shape == (40, 80, 3)
    columns = np.nonzero(grid.any(axis=(0, 2)))[0]
    assert columns.min() == (40 - 26) // 2  # a crop of 20x30 in a cell of 40x40
    empty = run(steps, "$steps.s.image", d=sv.Detections.empty()).array
    assert not empty.any()


def test_a_grid_takes_the_images_of_several_steps() -> None:
    steps = [step("grid_visualization", images=["$inputs.image", "$inputs.image"], width=200, height=60)]
    grid = run(steps, "$steps.s.image").array
    assert np.array_equal(grid[:, :100], PIXELS) and np.array_equal(grid[:, 100:], PIXELS)


GREY = np.full((60, 100, 3), 100, np.uint8)


def iconed(icon: Any, d: Any = None, **fields: Any) -> Any:
    """A grey image with a white icon, whose file or array says where it is opaque."""
    size = {"icon_width": 10, "icon_height": 10}
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowImage", "name": "icon"},
                   {"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]},
                   {"type": "WorkflowParameter", "name": "mode", "default_value": "dynamic"}],
        "steps": [step("icon_visualization", image="$inputs.image", icon="$inputs.icon", **size, **fields)],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.image"}],
    }  # fmt: skip
    return (
        compile(definition)
        .run(image=GREY, icon=icon, d=found() if d is None else d, on_error="raise")
        .outputs[0]["o"]
        .array.copy()
    )


ICON = np.full((10, 10, 4), 255, np.uint8)
ICON[:5, :, 3] = 0
ICON[5:, :5, 3] = 128


@pytest.mark.parametrize("form", ["array", "png", "webp", "base64", "pil", "file", "deep"])
def test_an_icon_lets_the_image_through_where_it_is_transparent(form: str, tmp_path: Path) -> None:
    file = tmp_path / "icon.png"
    file.write_bytes(cv2.imencode(".png", ICON)[1].tobytes())
    icon = {
        "array": lambda: ICON,
        "png": file.read_bytes,
        "webp": lambda: cv2.imencode(".webp", ICON, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes(),
        "base64": lambda: {"type": "base64", "value": base64.b64encode(file.read_bytes()).decode()},
        "pil": lambda: PilImage.fromarray(ICON),
        "file": lambda: str(file),
        "deep": lambda: cv2.imencode(".png", ICON.astype(np.uint16) * 257)[1].tobytes(),
    }[form]()
    drawn = iconed(icon, mode="static", x_position=20, y_position=10)
    assert (drawn[10:15, 20:30] == 100).all() and (drawn[15:20, 25:30] == 255).all()
    assert (abs(drawn[15:20, 20:25].astype(int) - 178) <= 1).all()
    drawn[10:20, 20:30] = 100
    assert np.array_equal(drawn, GREY)


@pytest.mark.parametrize("form", ["png", "webp"])
def test_transparency_turns_with_the_picture_of_a_turned_camera(form: str) -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:10, :, 3] = 255
    turned, file = PilImage.Exif(), io.BytesIO()
    turned[0x0112] = 6  # the upper half comes to lie on the right
    PilImage.fromarray(pixels).save(file, form, exif=turned, lossless=True)
    alpha = Image.load(file.getvalue()).alpha
    assert alpha is not None and (alpha[:, 10:] == 255).all() and not alpha[:, :10].any()


def test_palettes_with_transparency_have_it_and_pictures_without_have_none() -> None:
    file, plain = io.BytesIO(), io.BytesIO()
    picture = PilImage.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 10, axis=0), "L").convert("P")
    picture.save(file, "png", transparency=int(np.asarray(picture)[0, 0]))
    picture.save(plain, "png")
    image = Image.load(file.getvalue())
    assert np.array_equal(image.alpha, [[0, 255]] * 10)
    assert Image.load(plain.getvalue()).alpha is None


@pytest.mark.parametrize("head", [b"RIFF    WEBPVP8X", b"RIFF    WEBPVP8L", b"\x89PNG"])
def test_a_file_that_ends_in_its_head_is_no_image(head: bytes) -> None:
    with pytest.raises(StepError, match="cannot be decoded"):
        iconed(head, mode="static")


def test_an_icon_stands_at_every_detection_and_is_cut_at_the_edge() -> None:
    boxes = sv.Detections(xyxy=np.array([[10, 10, 30, 40], [90, 50, 110, 70], [300, 300, 310, 310]], float))
    drawn = iconed(ICON[:, :, :3], boxes, predictions="$inputs.d", position="CENTER")
    expected = GREY.copy()
    expected[20:30, 15:25] = expected[55:, 95:] = 255
    assert np.array_equal(drawn, expected)


def test_a_watermark_is_placed_from_the_far_edges_too_and_keeps_its_proportions() -> None:
    drawn = iconed(np.full((5, 10, 3), 255, np.uint8), mode="static", x_position=-1, y_position=-2)
    rows, columns = np.nonzero((drawn != 100).any(axis=2))
    assert (columns.min(), columns.max()) == (89, 98) and (rows.min(), rows.max()) in ((50, 54), (51, 55))


def test_an_icon_needs_a_place() -> None:
    with pytest.raises(WorkflowDefinitionError, match="needs `predictions`"):
        iconed(ICON)
    with pytest.raises(StepError, match="needs `predictions`"):
        iconed(ICON, mode="$inputs.mode")


def test_a_crop_keeps_what_its_image_says_of_transparency() -> None:
    part = Image.load(ICON).crop(0, 4, 10, 6).alpha
    assert part is not None and np.array_equal(part, ICON[4:6, :, 3])
    assert Image.load(ICON[:, :, :3]).crop(0, 0, 5, 5).alpha is None


def test_a_comparison_colours_what_only_one_found() -> None:
    fields = {"image": "$inputs.image", "predictions_a": "$inputs.d", "predictions_b": "$steps.f.predictions", "opacity": 1.0}
    steps = [{"type": "vision/detections_filter@v1", "name": "f", "predictions": "$inputs.d", "classes": ["star"]},
             step("model_comparison_visualization", **fields)]  # fmt: skip
    drawn = run(steps, "$steps.s.image").array
    assert np.array_equal(drawn[10:40, 10:30], PIXELS[10:40, 10:30])
    assert (drawn[20:55, 50:90] == drawn[30, 60]).all() and not drawn[0, 0].any()


def table(**fields: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(run([step("csv_formatter", **fields)], "$steps.s.csv_content", d=found()))))


def test_a_table_has_a_header_and_a_row_per_item() -> None:
    names = [{"type": "DetectionsPropertyExtract", "property_name": "class_name"}]
    rows = table(columns_data={"name": "$inputs.d", "page": 7}, columns_operations={"name": names})
    assert rows == [["name", "page"], ["star", "7"], ["circle", "7"]]


def test_a_table_of_another_runtime_has_a_row_for_every_image_and_lists_in_cells() -> None:
    names = {"d": [{"type": "DetectionsPropertyExtract", "property_name": "class_name"}]}
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowBatchInput", "name": "d", "kind": ["object_detection_prediction"]}],
        "steps": [{"type": "roboflow_core/csv_formatter@v1", "name": "s", "columns_data": {"d": "$inputs.d", "k": "a"},
                   "columns_operations": names}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.csv_content"}],
    }  # fmt: skip
    rows = [row["o"] for row in compile(definition).run(d=[found(), sv.Detections.empty(), found()[:1]]).outputs]
    assert rows[:2] == [None, None]
    table = [row[:2] for row in csv.reader(io.StringIO(rows[2]))]
    assert table == [["d", "k"], ["['star', 'circle']", "a"], ["[]", "a"], ["['star']", "a"]]


def test_texts_in_a_table_are_no_formulas_and_keep_their_commas() -> None:
    assert table(columns_data={"a": ["=1+1", 'x, "y"'], "b": 1}) == [["a", "b"], ["'=1+1", "1"], ['x, "y"', "1"]]
    assert table(columns_data={"a": 1}, timestamp=True)[0] == ["a", "timestamp"]


def test_columns_of_different_lengths_are_told() -> None:
    with pytest.raises(Exception, match="a 2, b 1"):
        table(columns_data={"a": [1, 2], "b": [1]})


@pytest.mark.parametrize("kind", ["background_color_visualization", "mask_visualization", "dynamic_crop"])
def test_masks_of_another_image_are_refused(kind: str) -> None:
    fields = {"images" if kind == "dynamic_crop" else "image": "$inputs.image", "predictions": "$inputs.d"}
    output = "crops" if kind == "dynamic_crop" else "image"
    with pytest.raises(StepError, match="masks are 100x60 pixels and the image 400x200; detections of this image would"):
        run([step(kind, **fields)], f"$steps.s.{output}", image=LARGE, d=found(mask=True))
