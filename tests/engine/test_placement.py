"""Detections of one view of a picture meet another: they are brought there, or it is said why not."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st

from florence_blocks.demo import draw_scene
from workflow_engine import (
    Block,
    BlockManifest,
    DetectionsReference,
    Image,
    ImageReference,
    Origin,
    Output,
    Plugin,
    Value,
    ViewError,
    compile,
    hookimpl,
    registry,
)
from workflow_engine.detections import ORIGIN, Zones, moved, object_array, on_image, onto, origin_of, stamped, to_root
from workflow_engine.kinds import DETECTIONS, IMAGE, STRING

RED = (0, 0, 255)


def picture(width: int = 120, height: int = 80, box: tuple[int, int, int, int] = (30, 20, 50, 30)) -> np.ndarray:
    """A black picture with one red rectangle."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = RED
    return pixels


def red_things(image: Image) -> sv.Detections:
    """The red rectangle of an image, as a detector would find it, with everything that has coordinates."""
    mask = image.bgr[:, :, 2] > 127
    if not mask.any():
        return sv.Detections.empty()
    rows, columns = np.nonzero(mask)
    x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], float)
    return sv.Detections(
        xyxy=np.array([[x1, y1, x2, y2]], float),
        mask=mask[None],
        confidence=np.array([0.9]),
        class_id=np.array([0]),
        data={
            "class_name": object_array(["red"]),
            "quads": corners[None],
            "polygons": object_array([[corners]]),
            "keypoints_xy": corners[None],
            "xyxyxyxy": corners[None],
        },
    )


class FindRed(Block):
    """A plugin's detector that forgets to say which image its detections lie on."""

    class Manifest(BlockManifest):
        type: Literal["test/find_red@v1"]
        image: ImageReference

    outputs = {"predictions": Output(*DETECTIONS)}

    def run(self, image: Image) -> sv.Detections:
        return red_things(image)


class FindRedUnplaced(FindRed):
    """A detector whose coordinates belong to no image, and says so."""

    class Manifest(BlockManifest):
        type: Literal["test/find_red_unplaced@v1"]
        image: ImageReference

    def run(self, image: Image) -> sv.Detections:
        return stamped(red_things(image), None)


class Describe(Block):
    """What is seen, as a text."""

    class Manifest(BlockManifest):
        type: Literal["test/describe@v1"]
        image: ImageReference

    outputs = {"text": Output(STRING)}

    def run(self, image: Image) -> str:
        return ",".join(str(edge) for edge in red_things(image).xyxy.ravel())


class ReadBoxes(Block):
    """Boxes that a text tells, by a block that never sees the image."""

    class Manifest(BlockManifest):
        type: Literal["test/read_boxes@v1"]
        text: Value[str]

    outputs = {"predictions": Output(*DETECTIONS)}

    def run(self, text: str) -> sv.Detections:
        return sv.Detections(xyxy=np.array([[float(edge) for edge in text.split(",")]]))


class Negative(Block):
    """A plugin's filter that forgets which view its pixels are of."""

    class Manifest(BlockManifest):
        type: Literal["test/negative@v1"]
        image: ImageReference

    outputs = {"image": Output(IMAGE)}

    def run(self, image: Image) -> Image:
        return Image(image.bgr[:, :, ::-1].copy()[:, :, ::-1])


class Widen(Block):
    """Boxes made anew, with nothing of what the given ones knew."""

    class Manifest(BlockManifest):
        type: Literal["test/widen@v1"]
        predictions: DetectionsReference

    outputs = {"predictions": Output(*DETECTIONS)}

    def run(self, predictions: sv.Detections) -> sv.Detections:
        return sv.Detections(xyxy=predictions.xyxy + np.array([-1, -1, 1, 1]))


class _Blocks:
    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [FindRed, FindRedUnplaced, Describe, ReadBoxes, Negative, Widen]


KNOWN = registry().plus(Plugin("views", "tests", _Blocks()))
FIND = {"type": "test/find_red@v1", "name": "find", "image": "$steps.view.image"}
VIEWS: dict[str, list[dict[str, Any]]] = {
    "resized": [
        {"type": "vision/image_preprocessing@v1", "name": "view", "image": "$inputs.image", "task_type": "resize",
         "width": 240, "height": 160},
    ],
    "stretched": [
        {"type": "vision/image_preprocessing@v1", "name": "view", "image": "$inputs.image", "task_type": "resize",
         "width": 360, "height": 80},
    ],
    "mirrored": [
        {"type": "vision/image_preprocessing@v1", "name": "view", "image": "$inputs.image", "task_type": "flip",
         "flip_type": "horizontal"},
    ],
    "turned": [
        {"type": "vision/image_preprocessing@v1", "name": "view", "image": "$inputs.image", "task_type": "rotate",
         "rotation_degrees": 90},
    ],
    "cropped": [
        {"type": "vision/absolute_static_crop@v1", "name": "crop", "images": "$inputs.image", "x_center": 50, "y_center": 30,
         "width": 60, "height": 40},
        {"type": "vision/image_blur@v1", "name": "view", "image": "$steps.crop.crops", "kernel_size": 1},
    ],
    "crop at the corner": [
        {"type": "vision/absolute_static_crop@v1", "name": "crop", "images": "$inputs.image", "x_center": 40, "y_center": 30,
         "width": 80, "height": 60},
        {"type": "vision/image_blur@v1", "name": "view", "image": "$steps.crop.crops", "kernel_size": 1},
    ],
    "crop of a resized copy": [
        {"type": "vision/image_preprocessing@v1", "name": "large", "image": "$inputs.image", "task_type": "resize",
         "width": 240, "height": 160},
        {"type": "vision/absolute_static_crop@v1", "name": "crop", "images": "$steps.large.image", "x_center": 80,
         "y_center": 50, "width": 100, "height": 60},
        {"type": "test/negative@v1", "name": "view", "image": "$steps.crop.crops"},
    ],
}  # fmt: skip
BOX = [30, 20, 50, 30]
ON_ROOT = "$inputs.image"


def run(steps: list[dict[str, Any]], outputs: dict[str, str], **more: Any) -> dict[str, Any]:
    """One image through steps."""
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, *more.pop("inputs", [])],
        "steps": steps,
        "outputs": [{"type": "JsonField", "name": name, "selector": selector} for name, selector in outputs.items()],
    }
    result = compile(definition, registry=KNOWN).run({"image": picture(), **more})
    assert not result.report.errors, result.report.errors
    return result.outputs[0]


@pytest.fixture(params=VIEWS)
def view(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return VIEWS[request.param]


def test_a_crop_of_the_original_is_cut_where_another_view_saw_the_thing(view: list[dict[str, Any]]) -> None:
    steps = [*view, FIND, {"type": "vision/dynamic_crop@v1", "name": "cut", "images": ON_ROOT,
                           "predictions": "$steps.find.predictions"}]  # fmt: skip
    (crop,) = run(steps, {"crops": "$steps.cut.crops"})["crops"]
    assert crop.size == (20, 10)
    assert (crop.array == RED).all()


def test_a_drawing_lands_where_another_view_saw_the_thing(view: list[dict[str, Any]]) -> None:
    steps = [*view, FIND, {"type": "vision/mask_visualization@v1", "name": "drawn", "image": ON_ROOT, "opacity": 1.0,
                           "predictions": "$steps.find.predictions"}]  # fmt: skip
    drawn = run(steps, {"drawn": "$steps.drawn.image"})["drawn"]
    changed = (drawn.array != picture()).any(axis=2)
    expected = np.zeros((80, 120), bool)
    expected[20:30, 30:50] = True
    assert (changed == expected).all()


@pytest.mark.parametrize("name", ["resized", "stretched", "cropped", "crop at the corner", "crop of a resized copy"])
def test_outputs_leave_in_root_coordinates_with_everything_that_has_any(name: str) -> None:
    found = run([*VIEWS[name], FIND], {"found": "$steps.find.predictions"})["found"]
    corners = [[30, 20], [50, 20], [50, 30], [30, 30]]
    assert found.xyxy.tolist() == [BOX]
    assert found.mask.shape == (1, 80, 120)
    assert found.mask.sum() == 200
    for key in ("quads", "keypoints_xy", "xyxyxyxy"):
        assert found.data[key][0].tolist() == corners, key
    assert found.data["polygons"][0][0].tolist() == corners


@pytest.mark.parametrize("name", ["mirrored", "turned"])
def test_a_turned_image_is_a_root_of_its_own(name: str) -> None:
    found = run([*VIEWS[name], FIND], {"found": "$steps.find.predictions"})["found"]
    expected = [70, 20, 90, 30] if name == "mirrored" else [20, 71, 30, 91]  # OpenCV turns about a pixel
    assert found.xyxy.tolist() == [expected]


def test_regions_are_asked_where_another_view_saw_them() -> None:
    scene = draw_scene(41, width=320, height=320, shapes=3, words=1)
    steps = [
        {"type": "vision/image_preprocessing@v1", "name": "large", "image": "$inputs.image", "task_type": "resize",
         "width": 640, "height": 640},
        {"type": "florence/object_detection@v1", "name": "detect", "images": "$steps.large.image",
         "model_id": "florence-2-demo"},
        {"type": "florence/region_classification@v1", "name": "name", "images": "$inputs.image",
         "regions": "$steps.detect.predictions", "model_id": "florence-2-demo"},
    ]  # fmt: skip
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}], "steps": steps,
        "outputs": [{"type": "JsonField", "name": "found", "selector": "$steps.detect.predictions"},
                    {"type": "JsonField", "name": "texts", "selector": "$steps.name.texts"}],
    }  # fmt: skip
    row = compile(definition).run(image=scene.image).outputs[0]
    assert len(row["texts"]) >= 3
    assert row["texts"] == row["found"].data["class_name"].tolist()


def test_a_combination_of_two_views_lies_on_the_first_and_leaves_on_the_root() -> None:
    steps = [
        *VIEWS["resized"], FIND,
        {"type": "test/find_red@v1", "name": "direct", "image": ON_ROOT},
        {"type": "vision/detections_combine@v1", "name": "all", "overlap": "nms",
         "predictions": ["$steps.find.predictions", "$steps.direct.predictions"]},
        {"type": "vision/detections_consensus@v1", "name": "agreed", "required_votes": 2,
         "predictions_batches": ["$steps.direct.predictions", "$steps.find.predictions"]},
        {"type": "vision/overlap_analysis@v1", "name": "overlap", "reference_predictions": "$steps.find.predictions",
         "candidate_predictions": "$steps.direct.predictions"},
        {"type": "vision/detections_difference@v1", "name": "change", "reference_predictions": "$steps.find.predictions",
         "candidate_predictions": "$steps.direct.predictions"},
    ]  # fmt: skip
    row = run(steps, {"all": "$steps.all.predictions", "agreed": "$steps.agreed.predictions",
                      "overlaps": "$steps.overlap.overlaps", "new": "$steps.change.new_count"})  # fmt: skip
    assert row["all"].xyxy.tolist() == [BOX]
    assert np.allclose(row["agreed"].xyxy, [BOX], atol=1)  # of the joined mask: its last pixels
    assert [pair["overlap_ratio"] for pair in row["overlaps"]] == [1.0]
    assert row["new"] == 0


ZONE = [[25, 15], [55, 15], [55, 35], [25, 35]]
IN_ZONE = [{"type": "DetectionsFilter", "filter_operation": {"type": "StatementGroup", "statements": [{
    "type": "BinaryStatement",
    "left_operand": {"type": "DynamicOperand", "operand_name": "_",
                     "operations": [{"type": "ExtractDetectionProperty", "property_name": "center"}]},
    "comparator": {"type": "(Detection) in zone"},
    "right_operand": {"type": "StaticOperand", "value": ZONE}}]}}]  # fmt: skip


@pytest.mark.parametrize("name", ["resized", "stretched", "cropped", "crop of a resized copy"])
def test_a_zone_is_in_the_pixels_of_the_image_that_went_in(name: str) -> None:
    steps = [
        *VIEWS[name], FIND,
        {"type": "vision/detections_count@v1", "name": "count", "predictions": "$steps.find.predictions", "zone": ZONE},
        {"type": "vision/detections_filter@v1", "name": "kept", "predictions": "$steps.find.predictions", "zone": ZONE},
        {"type": "vision/detections_filter@v1", "name": "asked", "predictions": "$steps.find.predictions",
         "operations": IN_ZONE},
    ]  # fmt: skip
    row = run(steps, {"count": "$steps.count.count", "kept": "$steps.kept.predictions", "asked": "$steps.asked.predictions"})
    assert row["count"] == 1
    assert row["kept"].xyxy.tolist() == row["asked"].xyxy.tolist() == [BOX]


def test_a_zone_made_of_one_view_is_drawn_on_another() -> None:
    steps = [
        *VIEWS["resized"], FIND,
        {"type": "vision/dynamic_zone@v1", "name": "zones", "predictions": "$steps.find.predictions",
         "required_number_of_vertices": 4},
        {"type": "vision/property_definition@v1", "name": "first", "data": "$steps.zones.zones",
         "operations": [{"type": "SequenceLength"}]},
        {"type": "vision/perspective_correction@v1", "name": "flat", "images": ON_ROOT, "warp_image": True,
         "perspective_polygons": "$steps.zones.zones", "transformed_rect_width": 40, "transformed_rect_height": 20},
    ]  # fmt: skip
    row = run(steps, {"zones": "$steps.zones.zones", "count": "$steps.first.output", "flat": "$steps.flat.warped_image"})
    assert row["count"] == 1
    corners = np.array(row["zones"][0])
    assert np.abs(corners - np.array([[30, 20], [50, 20], [50, 30], [30, 30]])[:, None]).max(axis=2).min(axis=1).max() <= 1
    assert (row["flat"].array[4:-4, 4:-4] == RED).all()


def test_detections_on_a_rectified_plane_come_back_where_they_meet_the_image() -> None:
    steps = [
        {"type": "vision/perspective_correction@v1", "name": "flat", "images": ON_ROOT, "warp_image": True,
         "perspective_polygons": [[10, 10], [110, 10], [110, 70], [10, 70]], "transformed_rect_width": 200,
         "transformed_rect_height": 120},
        {"type": "test/find_red@v1", "name": "find", "image": "$steps.flat.warped_image"},
        {"type": "vision/dynamic_crop@v1", "name": "cut", "images": ON_ROOT, "predictions": "$steps.find.predictions"},
    ]  # fmt: skip
    row = run(steps, {"found": "$steps.find.predictions", "crops": "$steps.cut.crops"})
    assert np.allclose(row["found"].xyxy, [[40, 20, 80, 40]], atol=1.5)
    (crop,) = row["crops"]
    assert abs(crop.origin.x - 30) <= 1
    assert abs(crop.origin.y - 20) <= 1


def test_corrected_coordinates_without_pixels_come_back_too() -> None:
    steps = [
        {"type": "test/find_red@v1", "name": "find", "image": ON_ROOT},
        {"type": "vision/perspective_correction@v1", "name": "flat", "images": ON_ROOT,
         "predictions": "$steps.find.predictions", "perspective_polygons": [[10, 10], [110, 20], [100, 70], [20, 60]]},
        {"type": "vision/dynamic_crop@v1", "name": "cut", "images": ON_ROOT,
         "predictions": "$steps.flat.corrected_coordinates"},
    ]  # fmt: skip
    row = run(steps, {"flat": "$steps.flat.corrected_coordinates", "crops": "$steps.cut.crops"})
    assert row["flat"].mask.shape == (1, 1000, 1000)
    (crop,) = row["crops"]
    assert crop.origin.x <= 30
    assert crop.origin.x + crop.width >= 50


def test_detections_of_another_picture_are_refused_and_others_go_on() -> None:
    steps = [{"type": "vision/dynamic_crop@v1", "name": "cut", "images": ON_ROOT, "predictions": "$inputs.found"}]
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"},
                   {"type": "WorkflowBatchInput", "name": "found", "kind": ["object_detection_prediction"]}],
        "steps": steps, "outputs": [{"type": "JsonField", "name": "crops", "selector": "$steps.cut.crops"}],
    }  # fmt: skip
    rows = [{"x": 40, "y": 25, "width": 20, "height": 10, "class": "red", "confidence": 0.9}]
    fitting, other = ({"image": {"width": width, "height": 80}, "predictions": rows} for width in (120, 640))
    result = compile(definition).run(image=[picture(), picture()], found=[fitting, other])
    (error,) = result.report.errors
    assert error.element == (1,)
    assert "an image of 640x80" in error.message
    assert "an image of 120x80" in error.message
    assert [crop.size for crop in result.outputs[0]["crops"]] == [(20, 10)]


def test_a_grid_of_images_is_no_view_of_them() -> None:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [
            {"type": "vision/grid_visualization@v1", "name": "grid", "images": ["$inputs.image", "$inputs.image"],
             "width": 120, "height": 80},
            {"type": "test/find_red@v1", "name": "find", "image": "$steps.grid.image"},
            {"type": "vision/blur_visualization@v1", "name": "hidden", "image": ON_ROOT,
             "predictions": "$steps.find.predictions"},
        ],
        "outputs": [{"type": "JsonField", "name": "hidden", "selector": "$steps.hidden.image"}],
    }  # fmt: skip
    result = compile(definition, registry=KNOWN).run(image=picture())
    assert [error.step for error in result.report.errors] == ["hidden"]
    assert "a grid of images" in result.report.errors[0].message


@pytest.mark.parametrize(
    "nest",
    [
        lambda found: found, lambda found: [found], lambda found: {"a": found}, lambda found: [{"a": [found, {"b": found}]}],
        lambda found: (found, 1, "text", None), lambda found: MappingProxyType({"a": [found]}),
        lambda found: object_array([found, {"a": found}]),
    ],
    ids=["plain", "list", "dict", "deep", "tuple", "mapping", "array"],
)  # fmt: skip
def test_any_nesting_of_detections_leaves_in_root_coordinates(nest: Any) -> None:
    class Nest(Block):
        """Detections somewhere in a value of any kind."""

        class Manifest(BlockManifest):
            type: Literal["test/nest@v1"]
            predictions: DetectionsReference

        outputs = {"value": Output()}

        def run(self, predictions: sv.Detections) -> Any:
            return nest(predictions)

    class Blocks:
        @hookimpl
        def workflow_engine_blocks(self) -> list[type[Block]]:
            return [Nest]

    steps = [*VIEWS["cropped"], FIND, {"type": "test/nest@v1", "name": "nest", "predictions": "$steps.find.predictions"}]
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}], "steps": steps,
        "outputs": [{"type": "JsonField", "name": "value", "selector": "$steps.nest.value"},
                    {"type": "JsonField", "name": "own", "selector": "$steps.nest.value", "coordinates_system": "own"},
                    {"type": "JsonField", "name": "all", "selector": "$steps.nest.*"}],
    }  # fmt: skip
    row = compile(definition, registry=KNOWN.plus(Plugin("nest", "tests", Blocks()))).run(image=picture()).outputs[0]

    def boxes(value: Any) -> list[Any]:
        if isinstance(value, sv.Detections):
            return value.xyxy.tolist()
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        return [box for part in parts for box in boxes(part)]

    assert boxes(row["value"])
    assert all(box == BOX for box in boxes(row["value"]) + boxes(row["all"]))
    assert all(box == [10, 10, 30, 20] for box in boxes(row["own"]))


def test_collapsed_detections_on_crops_leave_where_the_uncollapsed_ones_do() -> None:
    steps = [
        {"type": "vision/image_slicer@v1", "name": "slices", "image": ON_ROOT, "slice_width": 60, "slice_height": 40},
        {"type": "test/find_red@v1", "name": "find", "image": "$steps.slices.slices"},
        {"type": "vision/dimension_collapse@v1", "name": "list", "data": "$steps.find.predictions"},
    ]  # fmt: skip
    row = run(steps, {"each": "$steps.find.predictions", "list": "$steps.list.output"})
    assert [found.xyxy.tolist() for found in row["list"]] == [found.xyxy.tolist() for found in row["each"]]
    assert all(found.mask is None or found.mask.shape[1:] == (80, 120) for found in row["list"])


def test_masks_of_slices_are_stitched_the_first_slice_included() -> None:
    steps = [
        {"type": "vision/image_slicer@v1", "name": "slices", "image": ON_ROOT, "slice_width": 60, "slice_height": 40},
        {"type": "test/find_red@v1", "name": "find", "image": "$steps.slices.slices"},
        {"type": "vision/detections_stitch@v1", "name": "all", "reference_image": ON_ROOT,
         "predictions": "$steps.find.predictions"},
    ]  # fmt: skip
    found = run(steps, {"all": "$steps.all.predictions"})["all"]
    assert found.mask.shape[1:] == (80, 120)
    assert found.mask.any(axis=0)[20:30, 30:50].all()
    assert found.mask.any(axis=0).sum() == 200


def test_what_a_plugin_answers_without_a_word_lies_on_the_image_it_was_given() -> None:
    steps = [
        {"type": "vision/absolute_static_crop@v1", "name": "crop", "images": ON_ROOT, "x_center": 50, "y_center": 30,
         "width": 60, "height": 40},
        {"type": "test/negative@v1", "name": "again", "image": "$steps.crop.crops"},
        {"type": "test/find_red@v1", "name": "find", "image": "$steps.again.image"},
        {"type": "test/widen@v1", "name": "wide", "predictions": "$steps.find.predictions"},
        {"type": "test/describe@v1", "name": "text", "image": "$steps.crop.crops"},
        {"type": "test/read_boxes@v1", "name": "read", "text": "$steps.text.text"},
    ]  # fmt: skip
    row = run(steps, {name: f"$steps.{name}.predictions" for name in ("find", "wide", "read")})
    assert row["find"].xyxy.tolist() == row["read"].xyxy.tolist() == [BOX]
    assert row["wide"].xyxy.tolist() == [[29, 19, 51, 31]]


def test_a_text_of_a_dynamic_crop_gives_boxes_on_that_crop() -> None:
    steps = [
        {"type": "test/find_red@v1", "name": "find", "image": ON_ROOT},
        {"type": "vision/dynamic_crop@v1", "name": "cut", "images": ON_ROOT, "predictions": "$steps.find.predictions",
         "padding": 5},
        {"type": "test/describe@v1", "name": "text", "image": "$steps.cut.crops"},
        {"type": "test/read_boxes@v1", "name": "read", "text": "$steps.text.text"},
    ]  # fmt: skip
    assert [found.xyxy.tolist() for found in run(steps, {"read": "$steps.read.predictions"})["read"]] == [[BOX]]


def test_a_plugin_opts_out_by_saying_that_its_coordinates_belong_to_no_image() -> None:
    steps = [*VIEWS["cropped"], {**FIND, "type": "test/find_red_unplaced@v1"}]
    assert run(steps, {"found": "$steps.find.predictions"})["found"].xyxy.tolist() == [[10, 10, 30, 20]]


def test_stamping_leaves_what_the_block_keeps_as_it_is() -> None:
    kept = red_things(Image(picture()))
    assert stamped(kept, Image(picture()).origin) is not kept
    assert ORIGIN not in kept.metadata


# ------------------------------------------------------------------ the way itself

SIZES = st.integers(20, 60)


@given(SIZES, SIZES, st.integers(0, 9), st.integers(0, 9), st.integers(1, 4), st.integers(1, 4))
def test_there_and_back_is_where_it_was(width: int, height: int, left: int, top: int, across: int, down: int) -> None:
    root = Image(np.zeros((height, width, 3), np.uint8))
    part = root.crop(left, top, left + 10, top + 10)
    large = part.derive(np.zeros((10 * down, 10 * across, 3), np.uint8))
    matrix = np.array([[0, 1, 0], [-1, 0, large.width], [0, 0, 1]], float)
    turned = large.project(np.zeros((large.width, large.height, 3), np.uint8), matrix, "turned")
    boxes = np.array([[1.0, 2.0, 7.0, 9.0]])
    mask = np.zeros((1, 10, 10), bool)
    mask[0, 2:9, 1:7] = True
    given = on_image(sv.Detections(xyxy=boxes, mask=mask), part)
    for view in (root, large, turned):
        there = onto(given, view.origin)
        assert there.mask.shape[1:] == (view.height, view.width)
        back = onto(there, part.origin)
        assert np.allclose(back.xyxy, boxes)
        assert (back.mask == mask).all()
        assert origin_of(back) == part.origin


def test_a_turned_rectangle_keeps_its_measures_in_the_new_pixels() -> None:
    rect = cv2.boxPoints(((30.0, 30.0), (20.0, 10.0), 30.0)).astype(float)
    data = {"rect": rect[None], "width": np.array([20.0]), "height": np.array([10.0]), "angle": np.array([30.0])}
    image = Image(np.zeros((60, 60, 3), np.uint8))
    double = image.derive(np.zeros((120, 120, 3), np.uint8))
    found = on_image(sv.Detections(xyxy=np.array([[15.0, 15, 45, 45]]), data=data), image)
    seen = onto(found, double.origin)
    assert np.allclose(seen.data["rect"], rect * 2)
    assert np.allclose([seen.data["width"][0], seen.data["height"][0], seen.data["angle"][0]], [40, 20, 30])


def test_zones_know_their_view() -> None:
    image = Image(np.zeros((60, 60, 3), np.uint8))
    zones = Zones([[(1, 2), (3, 2), (3, 4)]], image.crop(10, 20, 30, 40).origin)
    assert to_root(zones) == [[[11, 22], [13, 22], [13, 24]]]
    assert to_root(to_root(zones)) == to_root(zones)


def test_a_huge_scale_takes_no_more_memory_than_the_view() -> None:
    root = Image(np.zeros((3000, 3000), np.uint8))
    small = root.crop(0, 0, 3, 3)
    large = small.derive(np.zeros((300, 300), np.uint8))
    mask = np.zeros((1, 3000, 3000), bool)
    mask[0, 1, 1] = True
    seen = onto(on_image(sv.Detections(xyxy=np.array([[1.0, 1, 2, 2]]), mask=mask), root), large.origin)
    assert seen.mask.sum() == 100 * 100
    assert seen.xyxy.tolist() == [[100, 100, 200, 200]]


def test_views_of_different_pictures_have_no_way_between_them() -> None:
    one, other = Origin.of_root(10, 10), Origin.of_root(20, 20)
    with pytest.raises(ViewError, match="an image of 10x10 has no place on an image of 20x20"):
        moved(sv.Detections.empty(), one, other)
