"""Gates: which steps go on for an image or a crop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from florence_blocks.vision.operations import Condition
from florence_blocks.vision.query import check_names
from workflow_engine.block import AnyReference, BlockManifest, FlowControl, Target, Value


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

        @model_validator(mode="after")
        def _asks_for_what_there_is(self) -> Self:
            check_names(self.condition_statement.names, self.evaluation_parameters, ".condition_statement")
            return self

    light = True

    def run(
        self, condition_statement: Condition, evaluation_parameters: dict[str, Any], next_steps: list[Target]
    ) -> Iterable[Target]:
        """The steps that go on for one element."""
        return next_steps if condition_statement(evaluation_parameters) else ()


class SwitchCase(FlowControl):
    """Let the step of the case that a value equals go on, or the default steps; the others are skipped.

    `{"type": "vision/switch_case@v1", "name": "sort", "value": "$steps.kind.top", "cases": {"invoice": "$steps.read"},
    "default_next_steps": ["$steps.describe"]}`
    """

    class Manifest(BlockManifest):
        """The fields of a switch."""

        type: Literal["vision/switch_case@v1", "roboflow_core/switch_case@v1", "SwitchCase"]
        value: Value[Any] = Field(description="what is compared, as text")
        cases: dict[str, Target] = Field(description="a step for each value")
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
