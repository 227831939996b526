"""Pictures of detections, and images into images."""

from __future__ import annotations

from tests.compat.writing import BLOCKS, IMAGE, NOISE, RAMP, case, step

CASES = (
    case("convert_grayscale", step("convert_grayscale@v1", image=IMAGE), out="$steps.s.image", image=[BLOCKS, NOISE]),
    *(
        case(
            f"image_blur {kind}",
            step("image_blur@v1", image=IMAGE, blur_type=kind, kernel_size=5),
            out="$steps.s.image",
            image=NOISE,
        )
        for kind in ("average", "gaussian", "median", "bilateral")
    ),
    *(
        case(
            f"threshold {kind}",
            step("threshold@v1", image=IMAGE, threshold_type=kind, thresh_value=100, max_value=200),
            out="$steps.s.image",
            image=RAMP,
        )
        for kind in ("binary", "binary_inv", "trunc", "tozero", "tozero_inv")
    ),
    *(
        case(
            f"threshold {kind} of grey",
            step("convert_grayscale@v1", "grey", image=IMAGE),
            step("threshold@v1", image="$steps.grey.image", threshold_type=kind, thresh_value=100, max_value=200),
            out="$steps.s.image",
            image=RAMP,
        )
        for kind in ("otsu", "adaptive_mean", "adaptive_gaussian")
    ),
    case(
        "preprocessing resizes",
        step("image_preprocessing@v1", image=IMAGE, task_type="resize", width=80, height=40),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing rotates",
        step("image_preprocessing@v1", image=IMAGE, task_type="rotate", rotation_degrees=90),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing rotates a little",
        step("image_preprocessing@v1", image=IMAGE, task_type="rotate", rotation_degrees=30),
        out="$steps.s.image",
        exact=False,
        image=BLOCKS,
    ),
    case(
        "preprocessing flips",
        step("image_preprocessing@v1", image=IMAGE, task_type="flip", flip_type="horizontal"),
        out="$steps.s.image",
        image=BLOCKS,
    ),
    case(
        "preprocessing flips both",
        step("image_preprocessing@v1", image=IMAGE, task_type="flip", flip_type="both"),
        out="$steps.s.image",
        image=NOISE,
    ),
)
