"""Gates: which steps go on for an image or a crop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from florence_blocks.vision.equality import same
from florence_blocks.vision.fields import Seconds
from florence_blocks.vision.operations import Condition
from florence_blocks.vision.query import check_names
from workflow_engine.block import AnyReference, BlockManifest, FlowControl, ImageReference, Target, Value
from workflow_engine.data import Image


class ContinueIf(FlowControl):
    """Let the next steps go on where a condition holds; elsewhere they are skipped.

    Two gates in front of one step must both let an element pass, and a gate on an image governs all its crops.

    `{"type": "vision/continue_if@v1", "name": "any", "next_steps": ["$steps.describe"],
    "evaluation_parameters": {"count": "$steps.how_many.count"},
    "condition_statement": {"type": "StatementGroup", "statements": [{"type": "BinaryStatement",
    "left_operand": {"type": "DynamicOperand", "operand_name": "count"}, "comparator": {"type": "(Number) >="},
    "right_operand": {"type": "StaticOperand", "value": 1}}]}}`
    """

    class Manifest(BlockManifest):
        """The fields of a gate."""

        type: Literal["vision/continue_if@v1", "roboflow_core/continue_if@v1", "ContinueIf"]
        condition_statement: Condition = Field(description="a StatementGroup of the query language")
        evaluation_parameters: dict[str, AnyReference] = Field(
            default_factory=dict, description="the values of the condition, by name"
        )
        next_steps: list[Target] = Field(description="the steps behind the gate: $steps.name")
        stop_delay: Value[Seconds] = Field(
            0.0, description="seconds for which the steps still go on after the condition held for the last time"
        )

        @model_validator(mode="after")
        def _asks_for_what_there_is(self) -> Self:
            check_names(self.condition_statement.names, self.evaluation_parameters, ".condition_statement")
            return self

    light = True

    def __init__(self) -> None:
        self._held: float | None = None

    @classmethod
    def remembers(cls, manifest: Any) -> bool:
        """A gate that closes later remembers when its condition held."""
        return bool(manifest.stop_delay != 0)

    def run(
        self,
        condition_statement: Condition,
        evaluation_parameters: dict[str, Any],
        next_steps: list[Target],
        stop_delay: float,
    ) -> Iterable[Target]:
        """The steps that go on for one element."""
        now = time.monotonic()
        if condition_statement(evaluation_parameters):
            self._held = now
            return next_steps
        return next_steps if stop_delay and self._held is not None and now - self._held <= stop_delay else ()


class SwitchCase(FlowControl):
    """Let the step of the case that a value equals go on, or the default steps; the others are skipped.

    `{"type": "vision/switch_case@v1", "name": "sort", "value": "$steps.kind.top", "cases": {"invoice": "$steps.read"},
    "default_next_steps": ["$steps.describe"]}`
    """

    class Manifest(BlockManifest):
        """The fields of a switch."""

        type: Literal["vision/switch_case@v1", "roboflow_core/switch_case@v1", "SwitchCase"]
        value: Value[Any] = Field(description="what is compared, as text")
        cases: dict[str, Target] = Field(default_factory=dict, description="a step for each value")
        case_insensitive: bool = Field(False, description="whether capital letters do not matter")
        default_next_steps: list[Target] = Field(default_factory=list, description="the steps where no case fits")

    light = True

    def run(
        self, value: Any, cases: dict[str, Target], case_insensitive: bool, default_next_steps: list[Target]
    ) -> Iterable[Target]:
        """The steps that go on for one element."""
        given = str(value).lower() if case_insensitive else str(value)
        found = (step for case, step in cases.items() if (case.lower() if case_insensitive else case) == given)
        return [step] if (step := next(found, None)) else default_next_steps


class RateLimiter(FlowControl):
    """Let the next steps go on at most once in so many seconds; by the time of the video where there is one.

    `{"type": "vision/rate_limiter@v1", "name": "now_and_then", "cooldown_seconds": 5, "depends_on": "$steps.how_many.count",
    "video_reference_image": "$inputs.image", "next_steps": ["$steps.write"]}`
    """

    class Manifest(BlockManifest):
        """The fields of a limiter."""

        type: Literal["vision/rate_limiter@v1", "roboflow_core/rate_limiter@v1"]
        cooldown_seconds: Value[Seconds] = 1.0
        depends_on: AnyReference = Field(description="the value whose coming is limited")
        video_reference_image: ImageReference | None = Field(None, description="the frame whose time counts")
        next_steps: list[Target] = Field(description="the steps behind the limiter: $steps.name")

    stateful = True

    def __init__(self) -> None:
        self._last: float | None = None

    def run(
        self, cooldown_seconds: float, depends_on: Any, video_reference_image: Image | None, next_steps: list[Target]
    ) -> Iterable[Target]:
        """The steps that go on for one element."""
        seconds = None if video_reference_image is None else video_reference_image.seconds
        now = time.monotonic() if seconds is None else seconds
        if self._last is not None and now - self._last < cooldown_seconds:
            return ()
        self._last = now
        return next_steps


class DeltaFilter(FlowControl):
    """Let the next steps go on where a value is another than it was for the image before.

    Values of every kind are compared by what they say: arrays, detections, images by their pixels. Identifiers that are made
    anew for every image, such as `detection_id`, do not count.

    `{"type": "vision/delta_filter@v1", "name": "changed", "image": "$inputs.image", "value": "$steps.how_many.count",
    "next_steps": ["$steps.write"]}`
    """

    class Manifest(BlockManifest):
        """The fields of a filter of changes."""

        type: Literal["vision/delta_filter@v1", "roboflow_core/delta_filter@v1"]
        image: ImageReference
        value: AnyReference
        next_steps: list[Target] = Field(description="the steps behind the filter: $steps.name")

    stateful = True

    def __init__(self) -> None:
        self._last: list[Any] = []

    def run(self, image: Image, value: Any, next_steps: list[Target]) -> Iterable[Target]:
        """The steps that go on for one element."""
        if self._last and same(self._last[0], value):
            return ()
        self._last = [value]
        return next_steps
