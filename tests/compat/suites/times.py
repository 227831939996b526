"""Time and memory."""

from __future__ import annotations

from tests.compat.writing import BLOCKS, IMAGE, RAMP, WIDTH, case, op, step

CASES = (
    case(
        "current time",
        step("current_time@v1"),
        step("property_definition@v1", "iso", data="$steps.s.timestamp", operations=[op("TimestampToISOFormat")]),
        out=("$steps.s.iso_string", "$steps.iso.output"),
    ),
    case(
        "delta filter",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("delta_filter@v1", "gate", image=IMAGE, value="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, BLOCKS, RAMP, RAMP, BLOCKS],
    ),
    case(
        "rate limiter",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("rate_limiter@v1", "gate", cooldown_seconds=60, depends_on="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, RAMP, BLOCKS],
    ),
    case(
        "rate limiter without a pause",
        step("property_definition@v1", "w", data=IMAGE, operations=WIDTH),
        step("rate_limiter@v1", "gate", cooldown_seconds=0, depends_on="$steps.w.output", next_steps=["$steps.s"]),
        step("convert_grayscale@v1", image=IMAGE),
        out="$steps.s.image",
        image=[BLOCKS, RAMP],
    ),
)
