"""Detections of several sources: agreement, difference, overlap; outlines; crops and their way back; wide images."""

from __future__ import annotations

from typing import Any

from tests.compat.inputs import box, outlined, predictions
from tests.compat.writing import FOUND, IMAGE, MASKS, NOISE, NONE, ONE, OVERLAPPING, TEXTS, THREE, case, step

SECOND = predictions(box(22, 22, 48, 52, "star", 0.6), box(58, 42, 84, 72, "circle", 0.9, 1), box(20, 80, 50, 110, "star", 0.4))
THIRD = predictions(box(18, 20, 44, 48, "star", 0.8), box(62, 38, 88, 68, "star", 0.7), box(101, 62, 126, 92, "star", 0.2))
OTHER_MASKS = predictions(outlined((24, 22), (54, 22), (54, 52), (24, 52), confidence=0.5),
                          outlined((100, 40), (120, 60), (100, 80), name="circle", class_id=1))  # fmt: skip
LETTERS = predictions(*(box(x, y, x + 8, y + 12, letter) for letter, x, y in (
    ("M", 10, 10), ("Y", 20, 11), ("C", 45, 9), ("A", 55, 10), ("T", 66, 12),
    ("I", 12, 40), ("S", 23, 41), ("U", 50, 39), ("P", 60, 42))))  # fmt: skip
WILD = {"$picture": "noise 160x120"}
SOURCES = [FOUND, "$inputs.second", "$inputs.third"]


def consensus(name: str, sources: list[str] = SOURCES, *, out: str = "$steps.s.*", **fields: Any) -> Any:
    """A vote of the three sources above, or of others."""
    given = {key: fields.pop(key, value) for key, value in (("found", THREE), ("second", SECOND), ("third", THIRD))}
    used = {key: value for key, value in given.items() if f"$inputs.{key}" in sources}
    return case(name, step("detections_consensus@v1", predictions_batches=sources, **fields), out=out, **used)


def two(name: str, type_: str, left: str, right: str, one: Any, other: Any, *, out: str = "$steps.s.*", **fields: Any) -> Any:
    """A step on two sets of detections."""
    return case(name, step(type_, **{left: FOUND, right: "$inputs.other"}, **fields), out=out, found=one, other=other)


def difference(name: str, one: Any, other: Any, **fields: Any) -> Any:
    """What changed from one to the other."""
    return two(name, "detections_difference@v1", "reference_predictions", "candidate_predictions", one, other, **fields)


def overlap(name: str, one: Any, other: Any, **fields: Any) -> Any:
    """What of the one lies on the other."""
    return two(name, "overlap_analysis@v1", "reference_predictions", "candidate_predictions", one, other, **fields)


def rolled(name: str, *, found: Any = OVERLAPPING, own: bool = True, **fields: Any) -> Any:
    """What is found on the crops of detections, on the image again."""
    return case(
        name,
        step("dynamic_crop@v1", "crop", images=IMAGE, predictions=FOUND),
        *MATCHES,
        step("dimension_collapse@v1", "list", data="$steps.on_crop.predictions"),
        step("detections_list_rollup@v1", parent_detection=FOUND, child_detections="$steps.list.output", **fields),
        own=own,
        image=WILD,
        found=found,
    )


MATCHES = (
    step("absolute_static_crop@v1", "cut", images="$steps.crop.crops", x_center=8, y_center=8, width=8, height=8),
    step("template_matching@v1", "on_crop", image="$steps.crop.crops", template="$steps.cut.crops", matching_threshold=0.9),
)

CASES = (
    consensus("consensus of two of three", required_votes=2),
    consensus("consensus of all", required_votes=3),
    consensus("consensus of one", [FOUND], required_votes=1),
    consensus("consensus without classes", required_votes=2, class_aware=False),
    consensus("consensus by the surest", required_votes=2, detections_merge_confidence_aggregation="max",
              detections_merge_coordinates_aggregation="max"),
    consensus("consensus by the least sure", required_votes=2, detections_merge_confidence_aggregation="min",
              detections_merge_coordinates_aggregation="min", presence_confidence_aggregation="min"),
    consensus("consensus of some classes", required_votes=2, classes_to_consider=["circle"]),
    consensus("consensus above a confidence", required_votes=2, confidence=0.76),
    consensus("consensus with few objects", required_votes=2, required_objects=4),
    consensus("consensus with enough objects of each class", required_votes=2, required_objects={"star": 1, "circle": 1},
              presence_confidence_aggregation="average"),
    consensus("consensus with too few of a class", required_votes=2, required_objects={"star": 1, "circle": 2}),
    consensus("consensus without classes, objects by class", required_votes=2, class_aware=False,
              required_objects={"star": 1, "circle": 1}),
    consensus("consensus of close boxes only", required_votes=2, iou_threshold=0.8),
    consensus("consensus of masks", [FOUND, "$inputs.second"], required_votes=2, found=MASKS, second=OTHER_MASKS),
    consensus("consensus of masks by what they share", [FOUND, "$inputs.second"], required_votes=2, found=MASKS,
              second=OTHER_MASKS, detections_merge_mask_aggregation="intersection"),
    consensus("consensus of masks by the smallest", [FOUND, "$inputs.second"], required_votes=1, found=MASKS,
              second=OTHER_MASKS, detections_merge_mask_aggregation="min"),
    consensus("consensus of something and nothing", [FOUND, "$inputs.second"], required_votes=2, second=NONE),
    consensus("consensus of nothing", [FOUND, "$inputs.second"], required_votes=1, found=NONE, second=NONE),
    consensus("consensus of batches", [FOUND, "$inputs.second"], required_votes=2, found=[THREE, ONE], second=[SECOND, THIRD]),
    difference("difference", THREE, SECOND),
    difference("difference of classes", THREE, THIRD, class_strict=True),
    difference("difference by places alone", THREE, THIRD, spatial_weight=1.0, class_mismatch_penalty=0.0),
    difference("difference with few allowed", THREE, SECOND, reject_cost=0.1, min_removed_to_verify=2),
    difference("difference from nothing", NONE, THREE),
    difference("difference to nothing", THREE, NONE),
    overlap("overlap", THREE, SECOND),
    overlap("overlap of much", OVERLAPPING, THREE, min_overlap=0.5),
    overlap("overlap of all", OVERLAPPING, OVERLAPPING, min_overlap=0.0),
    overlap("overlap with nothing", THREE, NONE),
    overlap("overlap of masks", MASKS, OTHER_MASKS),
    case("bounding_rect", step("bounding_rect@v1", predictions=FOUND), found=MASKS),
    case("bounding_rect of batches", step("bounding_rect@v1", predictions=FOUND), found=[MASKS, OTHER_MASKS]),
    case("dynamic_zone of four", step("dynamic_zone@v1", predictions=FOUND, required_number_of_vertices=4), found=OTHER_MASKS),
    case("dynamic_zone of three", step("dynamic_zone@v1", predictions=FOUND, required_number_of_vertices=3), found=MASKS),
    case("dynamic_zone of many", step("dynamic_zone@v1", predictions=FOUND, required_number_of_vertices=9), found=MASKS),
    case("dynamic_zone, larger", step("dynamic_zone@v1", predictions=FOUND, required_number_of_vertices=4, scale_ratio=1.5),
         out="$steps.s.zones", found=MASKS),
    case("dynamic_zone, fitted",
         step("dynamic_zone@v1", predictions=FOUND, required_number_of_vertices=4, apply_least_squares=True),
         out="$steps.s.zones", found=predictions(outlined((20, 20), (90, 35), (80, 100), (10, 90)))),
    rolled("rollup of matches"), rolled("rollup of matches, to the root", own=False),
    rolled("rollup of matches by their mean", confidence_strategy="mean"),
    rolled("rollup of matches that overlap much", overlap_threshold=0.9, confidence_strategy="min"),
    rolled("rollup of matches that overlap a little", overlap_threshold=0.1),
    rolled("rollup of nothing", found=NONE),
    case(
        "stitch_images",
        step("absolute_static_crop@v1", "left", images=IMAGE, x_center=60, y_center=60, width=120, height=120),
        step("absolute_static_crop@v1", "right", images=IMAGE, x_center=100, y_center=60, width=120, height=120),
        step("stitch_images@v1", image1="$steps.left.crops", image2="$steps.right.crops"),
        out="$steps.s.stitched_image",
        exact=False,
        image=WILD,
    ),
    case(
        "stitch_images of nothing alike",
        step("stitch_images@v1", image1=IMAGE, image2="$inputs.other"),
        out="$steps.s.stitched_image",
        image={"$picture": "ramp 100x80"},
        other=NOISE,
    ),
    *(
        case(
            f"stitch_ocr_detections by {algorithm}, {direction}",
            step("stitch_ocr_detections@v2", predictions=FOUND, stitching_algorithm=algorithm, reading_direction=direction,
                 delimiter=delimiter),
            found=LETTERS,
        )
        for algorithm, delimiter in (("tolerance", " "), ("otsu", ""), ("collimate", "-"))
        for direction in ("left_to_right", "right_to_left", "vertical_top_to_bottom", "vertical_bottom_to_top")
    ),
    case(
        "stitch_ocr_detections by gaps, of words",
        step("stitch_ocr_detections@v2", predictions=FOUND, stitching_algorithm="otsu", reading_direction="auto"),
        found=TEXTS,
    ),
    case(
        "stitch_ocr_detections by gaps, longer words",
        step("stitch_ocr_detections@v2", predictions=FOUND, stitching_algorithm="otsu", reading_direction="left_to_right",
             otsu_threshold_multiplier=3.0),
        found=LETTERS,
    ),
    case(
        "stitch_ocr_detections of climbing lines",
        step("stitch_ocr_detections@v2", predictions=FOUND, stitching_algorithm="collimate",
             reading_direction="left_to_right", collimate_tolerance=4),
        found=predictions(*(box(10 + 20 * place, 60 - 8 * place, 24 + 20 * place, 70 - 8 * place, letter)
                            for place, letter in enumerate("CLIMB"))),
    ),
    case(
        "stitch_ocr_detections of one",
        step("stitch_ocr_detections@v2", predictions=FOUND, stitching_algorithm="otsu", reading_direction="left_to_right"),
        found=[ONE, NONE],
    ),
)  # fmt: skip
