"""Which steps get a thread: those that are worth one."""

from __future__ import annotations

import threading
import time
from typing import Any, Literal

import pytest

from tests.engine.toys import Echo
from workflow_engine import (
    Block,
    BlockManifest,
    Cancellation,
    Output,
    Plugin,
    Value,
    build_registry,
    compile,
    hookimpl,
    standard,
)
from workflow_engine.plan import Pace


class Where(Block):
    """The thread it runs on, after so many seconds."""

    class Manifest(BlockManifest):
        type: Literal["test/where@v1"]
        value: Value[Any]
        seconds: Value[float] = 0.0

    outputs = {"thread": Output()}

    def run(self, value: Any, seconds: float) -> str:
        time.sleep(seconds)
        return threading.current_thread().name


class WhereBatched(Where):
    """The same, as a model would be asked."""

    class Manifest(BlockManifest):
        type: Literal["test/where_batched@v1"]
        value: Value[Any]

    batched = True

    def run(self, value: list[Any]) -> list[str]:
        return [threading.current_thread().name] * len(value)


class _Blocks:
    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [Where, WhereBatched, Echo]


def threads(*steps: dict[str, Any], runs: int) -> list[dict[str, str]]:
    """Where every step ran, run by run, in a run that somebody may cancel."""
    known = build_registry([Plugin("standard", "tests", standard), Plugin("where", "tests", _Blocks())])
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowParameter", "name": "v", "default_value": 1}],
        "steps": [{"name": f"s{place}", "value": "$inputs.v", **step} for place, step in enumerate(steps)],
        "outputs": [
            {"type": "JsonField", "name": f"s{place}", "selector": f"$steps.s{place}.thread"} for place in range(len(steps))
        ],
    }
    workflow = compile(definition, registry=known)
    return [workflow.run(cancellation=Cancellation()).outputs[0] for _ in range(runs)]


def test_a_step_that_was_quick_runs_on_the_calling_thread_from_then_on() -> None:
    first, *_, last = threads({"type": "test/where@v1"}, {"type": "test/where@v1"}, runs=30)
    here = threading.current_thread().name
    assert all(name.startswith("workflow-step-") for name in first.values())
    assert set(last.values()) == {here}


def test_slow_steps_and_those_that_wait_for_a_model_keep_their_threads() -> None:
    steps = {"type": "test/where@v1", "seconds": 0.01}, {"type": "test/where_batched@v1"}
    for row in threads(*steps, runs=3):
        assert all(name.startswith("workflow-step-") for name in row.values())


def test_a_pace_is_the_longest_of_late() -> None:
    pace = Pace()
    assert pace.expected(10) is None
    pace.note(0, 5.0)
    assert pace.expected(10) is None
    pace.note(2, 1.0)
    assert pace.expected(10) == pytest.approx(5.0)
    pace.note(10, 0.1)
    assert pace.expected(10) == pytest.approx(2.5)
    for _ in range(100):
        pace.note(10, 0.1)
    assert pace.expected(10) == pytest.approx(0.1, rel=0.01)
