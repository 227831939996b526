"""Inputs of any name, those of options and of Python among them, by keyword, by dict and in streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.engine.toys import toy_registry
from workflow_engine import Workflow, WorkflowInputError, compile

OPTIONS = ["on_error", "timeout", "cancellation", "allow_urls", "allow_files", "allow_webhooks"]
OPTIONS_OF_STREAMS = [*(name for name in OPTIONS if name != "cancellation"), "input", "batch", "ahead"]
OTHERS = ["self", "inputs", "images", "parameters", "named", "args", "a-b", "class", "0", "method", "keywords"]
PIXELS = np.zeros((4, 7, 3), np.uint8)


def workflow(name: str, *, image: str = "picture", default: Any = ()) -> Workflow:
    """A workflow of an image and a parameter."""
    parameter = {"type": "WorkflowParameter", "name": name, **({} if default == () else {"default_value": default})}
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": image}, parameter],
        "steps": [
            {"type": "toy/echo@v1", "name": "s", "value": f"$inputs.{name}"},
            {"type": "toy/width@v1", "name": "w", "image": f"$inputs.{image}"},
        ],
        "outputs": [
            {"type": "JsonField", "name": "o", "selector": "$steps.s.value"},
            {"type": "JsonField", "name": "w", "selector": "$steps.w.width"},
        ],
    }
    return compile(definition, registry=toy_registry())


@pytest.mark.parametrize("name", sorted({*OPTIONS, *OPTIONS_OF_STREAMS, *OTHERS}))
def test_an_input_of_any_name_is_given_in_a_dict(name: str) -> None:
    made = workflow(name)
    assert made.run({name: 3, "picture": PIXELS}).outputs == [{"o": 3, "w": 7}]
    assert made.run({name: 3, "picture": PIXELS}, timeout=60, allow_urls=False).outputs == [{"o": 3, "w": 7}]
    with made.stream([PIXELS, PIXELS], {name: 3}, batch=1, timeout=60) as stream:
        assert [item.outputs["o"] for item in stream] == [3, 3]


@pytest.mark.parametrize("name", OTHERS)
def test_an_input_that_is_no_option_is_given_as_a_keyword_too(name: str) -> None:
    made = workflow(name)
    assert made.run(picture=PIXELS, **{name: 3}).outputs == [{"o": 3, "w": 7}]
    with made.stream([PIXELS], **{name: 3}) as stream:
        assert [item.outputs["o"] for item in stream] == [3]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_keyword_that_is_an_option_and_an_input_is_refused_whatever_its_value(name: str) -> None:
    for value in (None, "report", False, 3):
        with pytest.raises(WorkflowInputError, match=rf"{name}: .* an option .*run\({{...}}\)"):
            workflow(name, default=1).run(picture=PIXELS, **{name: value})


@pytest.mark.parametrize("name", OPTIONS_OF_STREAMS)
def test_so_it_is_in_a_stream(name: str) -> None:
    for value in (None, "report", 8):
        with pytest.raises(WorkflowInputError, match=rf"{name}: .* an option .*stream\(images, {{...}}\)"):
            workflow(name, default=1).stream([PIXELS], **{name: value})


def test_options_that_are_inputs_keep_their_defaults_and_stay_options_beside_a_dict() -> None:
    made = workflow("timeout", default=9)
    assert made.run(picture=PIXELS).outputs == made.run({"picture": PIXELS}, timeout=60).outputs == [{"o": 9, "w": 7}]
    assert [item.outputs["o"] for item in made.stream([PIXELS], batch=1)] == [9]


def test_an_image_input_may_have_the_name_of_an_option() -> None:
    for name in ("input", "images", "timeout", "batch"):
        made = workflow("by", image=name)
        assert [item.outputs["w"] for item in made.stream([PIXELS], by=1)] == [7]
        assert made.run({name: PIXELS, "by": 1}).outputs == [{"o": 1, "w": 7}]


def test_what_is_given_twice_is_told() -> None:
    made = workflow("by")
    with pytest.raises(WorkflowInputError, match="by: given twice: in the dict, and as a keyword"):
        made.run({"by": 1, "picture": PIXELS}, by=2)
    with pytest.raises(WorkflowInputError, match="picture: given twice: the images of the stream"):
        made.stream([PIXELS], by=1, picture=PIXELS)
    with pytest.raises(WorkflowInputError, match="a dict by name, not a list"):
        made.stream([PIXELS], [1])  # type: ignore[arg-type]
