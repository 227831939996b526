"""Answers of blocks in the types of numpy and torch, and the tracebacks of those that fail."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image as PilImage

from tests.engine.toys import toy_registry
from workflow_engine import AnyReference, Block, BlockManifest, Image, Output, Plugin, RunResult, StepError, compile, hookimpl
from workflow_engine.kinds import (
    BOOLEAN,
    FLOAT,
    FLOAT_ZERO_TO_ONE,
    IMAGE,
    INTEGER,
    LIST_OF_VALUES,
    OBJECT_DETECTION,
    STRING,
    Kind,
)

PIXELS = np.zeros((4, 6, 3), np.uint8)


class Hooks:
    """The plugin of one block."""

    def __init__(self, block: type[Block]) -> None:
        self.block = block

    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [self.block]


def answering(answer: Callable[[Any], Any], *kinds: Kind, names: tuple[str, ...] = ("o",), **attributes: Any) -> type[Block]:
    """A block with this answer."""

    class Answer(Block):
        class Manifest(BlockManifest):
            type: Literal["toy/answer@v1"]
            value: AnyReference

        outputs = {name: Output(*kinds) for name in names}

        def run(self, value: Any) -> Any:
            return answer(value)

    for name, value in attributes.items():
        setattr(Answer, name, value)
    return Answer


def run(block: type[Block], values: list[Any], on_error: Any = "report") -> RunResult:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": "x"}],
        "steps": [{"type": "toy/answer@v1", "name": "s", "value": "$inputs.x"}],
        "outputs": [{"type": "JsonField", "name": name, "selector": f"$steps.s.{name}"} for name in block.outputs],
    }  # fmt: skip
    known = toy_registry(Plugin("answer", "toys 2", Hooks(block)))
    return compile(definition, registry=known).run({"x": values}, on_error=on_error)


TAKEN: list[tuple[Any, tuple[Kind, ...], Any]] = [
    (np.int64(3), (INTEGER,), 3),
    (np.uint8(3), (FLOAT,), 3),
    (np.float32(0.5), (FLOAT,), 0.5),
    (np.float64(0.5), (FLOAT_ZERO_TO_ONE,), 0.5),
    (np.float16(0.5), (FLOAT, INTEGER), 0.5),
    (np.bool_(True), (BOOLEAN,), True),
    (np.str_("a"), (STRING,), "a"),
    (np.array(3), (INTEGER,), 3),
    (torch.tensor(0.5), (FLOAT,), 0.5),
    (torch.tensor(True), (BOOLEAN,), True),
    (np.array([1, 2]), (LIST_OF_VALUES,), [1, 2]),
    (np.eye(2), (LIST_OF_VALUES,), [[1.0, 0.0], [0.0, 1.0]]),
    (torch.tensor([1, 2]), (LIST_OF_VALUES,), [1, 2]),
    (np.array([]), (LIST_OF_VALUES,), []),
    (np.float32(0.5), (), 0.5),
]


@pytest.mark.parametrize(("value", "kinds", "wanted"), TAKEN, ids=lambda value: type(value).__name__)
def test_numbers_and_arrays_become_those_of_python(value: Any, kinds: tuple[Kind, ...], wanted: Any) -> None:
    for block in (
        answering(lambda _: value, *kinds),
        answering(lambda _: {"o": value, "p": value}, *kinds, names=("o", "p")),
        answering(lambda values: [value for _ in values], *kinds, batched=True),
    ):
        result = run(block, [0])
        assert result.report.ok, result.report.errors
        got = result.outputs[0]["o"]
        assert got == wanted and type(got) is type(wanted)


def test_arrays_stand_for_the_lists_of_batches_and_of_new_dimensions() -> None:
    doubled = run(answering(lambda values: np.array(values) * 2, INTEGER, batched=True), [1, 2])
    assert doubled.outputs == [{"o": 2}, {"o": 4}]
    opened = run(answering(lambda value: np.arange(value), INTEGER, dimension=1), [2, 3])
    assert opened.outputs == [{"o": [0, 1]}, {"o": [0, 1, 2]}]


REFUSED: list[tuple[Any, tuple[Kind, ...], str]] = [
    (PIXELS, (IMAGE,), r"an array \[4, 6, 3\] of uint8; `image.derive\(pixels\)` .* or `Image\(pixels\)`"),
    (torch.zeros(3, 4, 6), (IMAGE,), r"an array \[3, 4, 6\] of torch.float32; `image.derive"),
    (PilImage.new("RGB", (2, 2)), (IMAGE,), r"`Image.load\(picture\)` would fit"),
    (np.zeros((2, 4)), (OBJECT_DETECTION,), r"an array \[2, 4\] of float64; `supervision.Detections` would fit"),
    (np.array([0.5]), (FLOAT,), r"an array \[1\] of float64; one number, `value.item\(\)`, would fit"),
    (np.float32(0.5), (INTEGER,), "the output `o` is integer, but the block gave a float"),
    (sv.Detections.empty(), (LIST_OF_VALUES,), "gave a Detections; a list would fit"),
]


@pytest.mark.parametrize(("value", "kinds", "said"), REFUSED)
def test_what_does_not_fit_is_told_with_what_would(value: Any, kinds: tuple[Kind, ...], said: str) -> None:
    with pytest.raises(StepError, match=said):
        run(answering(lambda _: value, *kinds), [0], on_error="raise")


def test_values_of_other_types_are_still_what_they_were() -> None:
    image, found = Image(PIXELS), sv.Detections(xyxy=np.ones((1, 4)))
    assert run(answering(lambda _: image, IMAGE), [0]).outputs[0]["o"] is image
    assert len(run(answering(lambda _: found, OBJECT_DETECTION), [0]).outputs[0]["o"]) == 1
    assert run(answering(lambda _: PIXELS), [0]).outputs[0]["o"] is PIXELS


def unlucky(value: Any) -> Any:
    if value == 13:
        raise ValueError("13 is unlucky") from KeyError("thirteen")
    return value


def test_an_error_of_an_element_keeps_its_traceback() -> None:
    (error,) = run(answering(unlucky, INTEGER), [1, 13]).report.errors
    assert 'raise ValueError("13 is unlucky")' in error.traceback and "KeyError: 'thirteen'" in error.traceback
    assert __file__ in error.traceback and error.traceback.endswith("ValueError: 13 is unlucky\n")
    assert "Traceback" not in str(error) and error == type(error)("s", "toy/answer@v1", (1,), "ValueError", "13 is unlucky")
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert again.traceback == error.traceback


def test_an_error_that_raises_keeps_it_too() -> None:
    with pytest.raises(StepError) as error:
        run(answering(unlucky, INTEGER), [13], on_error="raise")
    assert isinstance(error.value.__cause__, ValueError)
    assert 'raise ValueError("13 is unlucky")' in pickle.loads(pickle.dumps(error.value)).traceback


def test_tracebacks_are_within_bounds() -> None:
    def deep(value: Any) -> Any:
        if value:
            return deep(value - 1) + 1
        raise ValueError("x" * 100_000)

    (error,) = run(answering(deep, INTEGER), [200]).report.errors
    assert len(error.traceback) <= 10_000
