"""Detections into detections."""

from __future__ import annotations

from tests.compat.writing import FOUND, MASKS, NONE, ONE, THREE, case, detection, dynamic, keep, op, statement, step

CASES = (
    case(
        "detections_filter by confidence",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("confidence")), "(Number) >=", 0.5)),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter by class",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("class_name")), "in (Sequence)", ["star"])),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter or",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                statement(dynamic("_", detection("class_name")), "==", "circle"),
                statement(dynamic("_", detection("confidence")), "(Number) >", 0.8),
                operator="or",
            ),
        ),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detections_filter negated",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("x_min")), "(Number) <", 50, negate=True)),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_filter by parameter",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                {
                    "type": "BinaryStatement",
                    "left_operand": dynamic("_", detection("size")),
                    "comparator": {"type": "(Number) >"},
                    "right_operand": dynamic("least"),
                }
            ),
            operations_parameters={"least": "$inputs.least"},
        ),
        out="$steps.s.predictions",
        found=THREE,
        least=700,
    ),
    case(
        "detections_filter with masks",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(statement(dynamic("_", detection("class_name")), "!=", "star")),
        ),
        out="$steps.s.predictions",
        found=MASKS,
    ),
    case(
        "detections_filter in a zone",
        step(
            "detections_filter@v1",
            predictions=FOUND,
            operations=keep(
                statement(dynamic("_", detection("center")), "(Detection) in zone", [[0, 0], [90, 0], [90, 120], [0, 120]])
            ),
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "per_class_confidence_filter",
        step("per_class_confidence_filter@v1", predictions=FOUND, class_thresholds={"star": 0.5, "circle": 0.7}),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "per_class_confidence_filter with a default",
        step("per_class_confidence_filter@v1", predictions=FOUND, class_thresholds={"star": 0.5}, default_threshold=0.65),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detection_offset",
        step("detection_offset@v1", predictions=FOUND, offset_width=10, offset_height=6),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detection_offset beyond the image",
        step("detection_offset@v1", predictions=FOUND, offset_width=80, offset_height=80),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detection_offset in percent",
        step("detection_offset@v1", predictions=FOUND, offset_width=20, offset_height=50, units="Percent (%)"),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("SortDetections", mode="x_min", ascending=False), op("DetectionsShift", shift_x=5, shift_y=-3)],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation renames",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("DetectionsRename", class_map={"star": "sun"}, strict=False)],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation renames strictly",
        step(
            "detections_transformation@v1",
            predictions=FOUND,
            operations=[op("DetectionsRename", class_map={"star": "sun", "circle": "moon"})],
        ),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation offsets",
        step("detections_transformation@v1", predictions=FOUND, operations=[op("DetectionsOffset", offset_x=10, offset_y=4)]),
        out="$steps.s.predictions",
        found=THREE,
    ),
    case(
        "detections_transformation selects",
        step("detections_transformation@v1", predictions=FOUND, operations=[op("DetectionsSelection", mode="right_most")]),
        out="$steps.s.predictions",
        found=[THREE, NONE],
    ),
    case(
        "detections_combine",
        step("detections_combine@v1", prediction_one=FOUND, prediction_two="$inputs.other"),
        out="$steps.s.predictions",
        found=THREE,
        other=ONE,
    ),
    case(
        "detections_combine with none",
        step("detections_combine@v1", prediction_one=FOUND, prediction_two="$inputs.other"),
        out="$steps.s.predictions",
        found=THREE,
        other=NONE,
    ),
    case("detections_merge", step("detections_merge@v1", predictions=FOUND), out="$steps.s.predictions", found=THREE),
    case(
        "detections_merge of a class",
        step("detections_merge@v1", predictions=FOUND, class_name="all"),
        out="$steps.s.predictions",
        found=[THREE, ONE],
    ),
    case("detections_merge of none", step("detections_merge@v1", predictions=FOUND), out="$steps.s.predictions", found=NONE),
)
