"""Gates: which steps go on for an image or a crop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from florence_blocks.vision.operations import Condition
from workflow_engine.block import AnyReference, BlockManifest, FlowControl, Target


class ContinueIf(FlowControl):
    """Let the next steps go on where a condition holds; elsewhere they are skipped.

    Two gates in front of one step must both let an element pass, and a gate on an image governs all its crops.
    """

    class Manifest(BlockManifest):
        """The fields of a gate."""

        type: Literal["vision/continue_if@v1", "roboflow_core/continue_if@v1", "ContinueIf"]
        condition_statement: Condition = Field(description="a StatementGroup of the query language")
        evaluation_parameters: dict[str, AnyReference] = Field(
            default_factory=dict, description="the values of the condition, by name"
        )
        next_steps: list[Target] = Field(description="the steps behind the gate: $steps.name")

    light = True

    def run(
        self, condition_statement: Condition, evaluation_parameters: dict[str, Any], next_steps: list[Target]
    ) -> Iterable[Target]:
        """The steps that go on for one element."""
        return next_steps if condition_statement(evaluation_parameters) else ()
