"""Crops and slices."""

from __future__ import annotations

from tests.compat.inputs import box, predictions
from tests.compat.writing import BLOCKS, CROP, FOUND, IMAGE, MASKS, NOISE, NONE, ONE, RAMP, THREE, WIDTH, case, step

CASES = (
    case("dynamic_crop", CROP, out="$steps.crop.crops", image=BLOCKS, found=THREE),
    case("dynamic_crop of none", CROP, out="$steps.crop.crops", image=BLOCKS, found=NONE),
    case(
        "dynamic_crop of a batch",
        CROP,
        out="$steps.crop.crops",
        image=[BLOCKS, RAMP, BLOCKS],
        found=[THREE, predictions(box(30, 30, 50, 60, "square", 0.75, 2), width=100, height=80), NONE],
    ),
    case("dynamic_crop of another picture", CROP, out="$steps.crop.crops", image=RAMP, found=THREE),
    case(
        "dynamic_crop of a resized copy",
        step("image_preprocessing@v1", "large", image=IMAGE, task_type="resize", width=320, height=240),
        step("absolute_static_crop@v1", "piece", images="$steps.large.image", x_center=120, y_center=80, width=60, height=40),
        step("template_matching@v1", "find", image="$steps.large.image", template="$steps.piece.crops", matching_threshold=0.9),
        step("dynamic_crop@v1", "crop", images=IMAGE, predictions="$steps.find.predictions"),
        out="$steps.crop.crops",
        image=NOISE,
    ),
    case(
        "dynamic_crop with masks",
        step("dynamic_crop@v1", images=IMAGE, predictions=FOUND, mask_opacity=1.0, background_color="(10, 20, 30)"),
        out="$steps.s.crops",
        image=BLOCKS,
        found=MASKS,
    ),
    case("dynamic_crop at the edge", CROP, out="$steps.crop.crops", image=BLOCKS, found=predictions(box(-20, -10, 30, 40))),
    case(
        "absolute_static_crop",
        step("absolute_static_crop@v1", images=IMAGE, x_center=60, y_center=50, width=40, height=30),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "absolute_static_crop at the edge",
        step("absolute_static_crop@v1", images=IMAGE, x_center=150, y_center=110, width=40, height=40),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "absolute_static_crop by parameter",
        step("absolute_static_crop@v1", images=IMAGE, x_center="$inputs.x", y_center=50, width=41, height=31),
        out="$steps.s.crops",
        image=[BLOCKS, RAMP],
        x=33,
    ),
    case(
        "relative_static_crop",
        step("relative_statoic_crop@v1", images=IMAGE, x_center=0.5, y_center=0.5, width=0.3, height=0.5),
        out="$steps.s.crops",
        image=[BLOCKS, NOISE],
    ),
    case(
        "relative_static_crop at the edge",
        step("relative_statoic_crop@v1", images=IMAGE, x_center=0.95, y_center=0.1, width=0.4, height=0.6),
        out="$steps.s.crops",
        image=BLOCKS,
    ),
    case(
        "image_slicer v1",
        step("image_slicer@v1", image=IMAGE, slice_width=64, slice_height=50),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v1 without overlap",
        step(
            "image_slicer@v1", image=IMAGE, slice_width=80, slice_height=60, overlap_ratio_width=0.0, overlap_ratio_height=0.0
        ),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v2",
        step("image_slicer@v2", image=IMAGE, slice_width=64, slice_height=50),
        out="$steps.s.slices",
        image=BLOCKS,
    ),
    case(
        "image_slicer v2 of a batch",
        step("image_slicer@v2", image=IMAGE, slice_width=40, slice_height=40),
        out="$steps.s.slices",
        image=[NOISE, RAMP],
    ),
    case(
        "slices and stitch",
        step(
            "image_slicer@v2",
            "cut",
            image=IMAGE,
            slice_width=80,
            slice_height=60,
            overlap_ratio_width=0.0,
            overlap_ratio_height=0.0,
        ),
        step("property_definition@v1", "w", data="$steps.cut.slices", operations=WIDTH),
        out="$steps.w.output",
        image=BLOCKS,
    ),
    case(
        "properties of crops",
        CROP,
        step("property_definition@v1", data="$steps.crop.crops", operations=WIDTH),
        out="$steps.s.output",
        image=[BLOCKS, BLOCKS],
        found=[THREE, NONE],
    ),
    case(
        "collapse of crops",
        CROP,
        step("property_definition@v1", "w", data="$steps.crop.crops", operations=WIDTH),
        step("dimension_collapse@v1", data="$steps.w.output"),
        out="$steps.s.output",
        image=[BLOCKS, BLOCKS],
        found=[THREE, ONE],
    ),
    case(
        "crops of crops",
        CROP,
        step("absolute_static_crop@v1", images="$steps.crop.crops", x_center=8, y_center=8, width=10, height=10),
        out="$steps.s.crops",
        image=BLOCKS,
        found=THREE,
    ),
    case(
        "an image beside its crops",
        CROP,
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("string_template@v1", template="{whole}", data={"whole": "$steps.w.output"}),
        out=("$steps.s.output", "$steps.crop.crops"),
        image=BLOCKS,
        found=ONE,
    ),
)
