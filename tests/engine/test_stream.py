"""Streams: in order, with bounded memory, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest

from tests.engine.toys import toy_registry
from workflow_engine import (
    Block,
    BlockManifest,
    Image,
    ImageReference,
    Output,
    Plugin,
    Workflow,
    WorkflowInputError,
    compile,
    hookimpl,
)
from workflow_engine.errors import StepError
from workflow_engine.kinds import INTEGER


class SlowWidth(Block):
    """The width of an image; odd ones fail, and the earlier an image the longer it takes."""

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["toy/slow_width@v1"]
        image: ImageReference

    outputs = {"width": Output(INTEGER)}
    running, most, lock = 0, 0, threading.Lock()

    def run(self, image: Image) -> int:
        """The width."""
        with SlowWidth.lock:
            SlowWidth.running += 1
            SlowWidth.most = max(SlowWidth.most, SlowWidth.running)
        time.sleep(0.02 if image.width < 10 else 0.001)
        with SlowWidth.lock:
            SlowWidth.running -= 1
        if image.width % 2:
            raise ValueError("odd")
        return image.width


class Count(Block):
    """How many images came before."""

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["toy/count@v1"]
        image: ImageReference

    outputs = {"count": Output(INTEGER)}
    stateful = True

    def __init__(self) -> None:
        self.seen = 0

    def run(self, image: Image) -> int:
        """The count."""
        self.seen += 1
        return self.seen - 1


class Slow:
    """The plugin of these blocks."""

    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [SlowWidth, Count]


def workflow(kind: str = "slow_width") -> Workflow:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{"type": f"toy/{kind}@v1", "name": "s", "image": "$inputs.image"}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": f"$steps.s.{kind.split('_')[-1]}"}],
    }  # fmt: skip
    return compile(definition, registry=toy_registry(Plugin("slow", "toys 2", Slow())))


def image(width: int) -> Any:
    return np.zeros((4, width, 3), np.uint8)


def test_results_come_in_order_and_failures_with_them() -> None:
    items = list(workflow().stream((image(width) for width in range(2, 40)), batch=3, ahead=3))
    assert [item.index for item in items] == list(range(38))
    assert [item.outputs["o"] for item in items] == [None if width % 2 else width for width in range(2, 40)]
    assert all(bool(item.errors) == bool(width % 2) for item, width in zip(items, range(2, 40), strict=True))


def test_images_are_read_only_as_far_ahead_as_asked() -> None:
    read = []

    def images() -> Iterator[Any]:
        for width in range(2, 200, 2):
            read.append(width)
            yield image(width)

    with workflow().stream(images(), batch=4, ahead=2) as stream:
        for consumed, _ in zip(range(1, 30), stream, strict=False):
            assert len(read) <= 4 * (1 + (consumed - 1) // 4) + 2 * 4
    assert len(read) < 50


def test_runs_overlap() -> None:
    SlowWidth.most = 0
    list(workflow().stream([image(2)] * 12, batch=2, ahead=3))
    assert 1 < SlowWidth.most <= 3


def test_what_the_iterable_raises_comes_after_the_results_of_what_it_gave() -> None:
    def images() -> Iterator[Any]:
        yield from (image(2), image(4), image(6))
        raise OSError("the camera is gone")

    stream, seen = workflow().stream(images(), batch=2), []
    with pytest.raises(OSError, match="camera"):
        for item in stream:
            seen.append(item.outputs["o"])
    assert seen == [2, 4, 6] and next(stream, None) is None


def test_a_failure_that_shall_raise_does() -> None:
    with pytest.raises(StepError, match="odd"):
        list(workflow().stream([image(2), image(3)], on_error="raise"))


def test_totals_count_all_runs() -> None:
    stream = workflow().stream([image(width) for width in range(2, 12)], batch=3)
    list(stream)
    assert stream.totals.images == 10 and stream.totals.errors == 5 and stream.totals.steps["s"].done == 5


def test_every_stream_has_state_of_its_own_and_sees_its_images_in_order() -> None:
    counting = workflow("count")
    for _ in range(2):
        assert [item.outputs["o"] for item in counting.stream([image(2)] * 20, batch=3, ahead=4)] == list(range(20))


def test_a_wrong_input_is_told() -> None:
    with pytest.raises(WorkflowInputError, match="`image`"):
        workflow().stream([], input="picture")
    with pytest.raises(ValueError, match="at least 1"):
        workflow().stream([], batch=0)
