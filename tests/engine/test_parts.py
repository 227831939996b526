"""The unit of failure: elements of a batch that raises, and parts of an answer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from workflow_engine import (
    AnyReference,
    Block,
    BlockManifest,
    Output,
    Partly,
    Plugin,
    StepError,
    compile,
    hookimpl,
    registry,
)


class Halves(Block):
    """One call for all elements, which raises for whatever is no number."""

    class Manifest(BlockManifest):
        type: Literal["parts/halves@v1"]
        value: AnyReference

    outputs = {"half": Output()}
    batched = True
    calls: ClassVar[list[int]] = []

    def run(self, value: list[Any]) -> list[Any]:
        self.calls.append(len(value))
        return [one / 2 for one in value]


class Counting(Halves):
    """The same, with a memory that a second call would spoil."""

    class Manifest(BlockManifest):
        type: Literal["parts/counting@v1"]
        value: AnyReference

    stateful = True


class Inverses(Block):
    """The inverse of every number of a list; those that have none are parts that failed."""

    class Manifest(BlockManifest):
        type: Literal["parts/inverses@v1"]
        value: AnyReference

    outputs = {"inverses": Output()}

    def run(self, value: list[float]) -> Any:
        failed = {f"value[{place}]": ZeroDivisionError("nothing is left") for place, one in enumerate(value) if one == 0}
        answer = [1 / one if one else None for one in value]
        return Partly(answer, failed) if failed else answer


class Parts:
    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [Halves, Counting, Inverses]


def flow(block: str, output: str) -> Any:
    known = registry().plus(Plugin("parts", "tests", Parts()))
    return compile({
        "version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": "x"}],
        "steps": [{"type": f"parts/{block}@v1", "name": "s", "value": "$inputs.x"}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": f"$steps.s.{output}"}],
    }, registry=known)  # fmt: skip


@pytest.mark.parametrize("bad", ["a text", {}, [1]])
def test_a_batch_that_raises_fails_only_the_elements_it_raises_for(bad: Any) -> None:
    result = flow("halves", "half").run(x=[2, 4, bad, 6, 8, bad, 10])
    assert [row["o"] for row in result.outputs] == [1, 2, None, 3, 4, None, 5]
    assert [error.element for error in result.report.errors] == [(2,), (5,)]
    assert {error.type for error in result.report.errors} == {"TypeError"}


def test_a_batch_that_does_not_raise_is_called_once() -> None:
    Halves.calls.clear()
    assert [row["o"] for row in flow("halves", "half").run(x=[2, 4]).outputs] == [1, 2]
    assert Halves.calls == [2]


def test_a_block_with_a_memory_is_not_called_again() -> None:
    Counting.calls.clear()
    result = flow("counting", "half").run(x=[2, "a", 4])
    assert [row["o"] for row in result.outputs] == [None] * 3 and len(Counting.calls) == 1


def test_an_answer_with_failed_parts_is_there_and_the_report_names_them() -> None:
    result = flow("inverses", "inverses").run(x=[[1, 2], [0, 4, 0]])
    assert [row["o"] for row in result.outputs] == [[1, 0.5], [None, 0.25, None]]
    assert [(error.element, error.part) for error in result.report.errors] == [((1,), "value[0]"), ((1,), "value[2]")]
    step = result.report.steps["s"]
    assert (step.elements, step.done, step.failed) == (2, 2, 0) and not result.report.ok
    assert str(result.report.errors[0]) == "s (parts/inverses@v1), element [1], value[0]: ZeroDivisionError: nothing is left"
    assert result.report.to_json()["errors"][1]["part"] == "value[2]"


def test_a_strict_run_ends_at_a_failed_part() -> None:
    with pytest.raises(StepError, match=r"value\[0\]") as caught:
        flow("inverses", "inverses").run(x=[[1], [0]], on_error="raise")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
