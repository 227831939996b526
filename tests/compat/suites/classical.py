"""Classical image processing."""

from __future__ import annotations

from tests.compat.writing import BLOCKS, IMAGE, NOISE, RAMP, case, step

CASES = (
    case(
        "contours",
        step("threshold@v1", "ink", image=IMAGE, threshold_type="binary_inv", thresh_value=210, max_value=255),
        step("contours_detection@v1", image="$steps.ink.image"),
        out=("$steps.s.number_contours", "$steps.s.image", "$steps.s.contours"),
        image=BLOCKS,
    ),
    case(
        "contours of nothing",
        step("threshold@v1", "ink", image=IMAGE, threshold_type="binary", thresh_value=250, max_value=255),
        step("contours_detection@v1", image="$steps.ink.image", line_thickness=1),
        out=("$steps.s.number_contours", "$steps.s.image"),
        image=BLOCKS,
    ),
    *(
        case(
            f"morphology v1 {operation}",
            step("morphological_transformation@v1", image=IMAGE, operation=operation, kernel_size=3),
            out="$steps.s.image",
            image=BLOCKS,
        )
        for operation in ("Erosion", "Dilation", "Opening", "Closing", "Gradient", "Top Hat", "Black Hat")
    ),
    *(
        case(
            f"morphology v2 {operation}",
            step("morphological_transformation@v2", image=IMAGE, operation=operation, kernel_size=4),
            out="$steps.s.image",
            image=NOISE,
        )
        for operation in ("Erosion", "Opening then Closing", "Gradient")
    ),
    case("morphology v1 by default", step("morphological_transformation@v1", image=IMAGE), out="$steps.s.image", image=NOISE),
    case("morphology v2 by default", step("morphological_transformation@v2", image=IMAGE), out="$steps.s.image", image=NOISE),
    case(
        "contrast stretching",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Contrast Stretching"),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "histogram equalization",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Histogram Equalization"),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "adaptive equalization",
        step("contrast_equalization@v1", image=IMAGE, equalization_type="Adaptive Equalization"),
        out="$steps.s.image",
        image=RAMP,
        exact=False,
    ),
    case("contrast enhancement", step("contrast_enhancement@v1", image=IMAGE), out="$steps.s.image", image=BLOCKS),
    case(
        "contrast enhancement with all",
        step("contrast_enhancement@v1", image=IMAGE, clip_limit=5, contrast_multiplier=1.4, normalize_brightness=True),
        out="$steps.s.image",
        image=RAMP,
    ),
    case(
        "contrast enhancement of grey",
        step("convert_grayscale@v1", "grey", image=IMAGE),
        step("contrast_enhancement@v1", image="$steps.grey.image", clip_limit=2),
        out="$steps.s.image",
        image=RAMP,
    ),
    case("dominant color", step("dominant_color@v1", image=IMAGE), out="$steps.s.rgb_color", image=BLOCKS),
    case(
        "pixel color count",
        step("pixel_color_count@v1", image=IMAGE, target_color="#c82828", tolerance=5),
        out="$steps.s.matching_pixels_count",
        image=[BLOCKS, RAMP],
    ),
    case(
        "pixel color count by numbers",
        step("pixel_color_count@v1", image=IMAGE, target_color="(60, 180, 60)"),
        out="$steps.s.matching_pixels_count",
        image=BLOCKS,
    ),
    case(
        "template matching",
        step("absolute_static_crop@v1", "cut", images=IMAGE, x_center=30, y_center=30, width=40, height=40),
        step("template_matching@v1", image=IMAGE, template="$steps.cut.crops", matching_threshold=0.99),
        out=("$steps.s.predictions", "$steps.s.number_of_matches"),
        image=BLOCKS,
    ),
    case(
        "template matching without nms",
        step("absolute_static_crop@v1", "cut", images=IMAGE, x_center=30, y_center=30, width=40, height=40),
        step("template_matching@v1", image=IMAGE, template="$steps.cut.crops", matching_threshold=0.9, apply_nms=False),
        out="$steps.s.number_of_matches",
        image=BLOCKS,
    ),
)
