"""Toy blocks: the smallest block of every shape, through the same door as any plugin's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from workflow_engine import (
    AnyReference,
    Block,
    BlockManifest,
    FlowControl,
    Image,
    ImageReference,
    Output,
    Plugin,
    Reference,
    Registry,
    Target,
    Value,
    build_registry,
    compile,
    hookimpl,
    standard,
)
from workflow_engine.block import Accepts
from workflow_engine.kinds import IMAGE, INTEGER, STRING
from workflow_engine.workflow import Workflow


class Add(Block):
    """One answer per element; fails on negative sums when asked to."""

    class Manifest(BlockManifest):
        type: Literal["toy/add@v1", "toy/plus@v1"]
        a: Value[int]
        b: Value[Annotated[int, Field(le=100)]] = 1

    outputs = {"sum": Output(INTEGER)}

    def run(self, a: int, b: int) -> int:
        if a == 13:
            raise ValueError("13 is unlucky")
        return a + b


class Echo(Block):
    """Passes anything on."""

    class Manifest(BlockManifest):
        type: Literal["toy/echo@v1"]
        value: Value[Any]

    outputs = {"value": Output()}
    light = True

    def run(self, value: Any) -> Any:
        return value


class Split(Block):
    """Opens a dimension: one element per item."""

    class Manifest(BlockManifest):
        type: Literal["toy/split@v1"]
        items: AnyReference

    outputs = {"item": Output(), "place": Output(INTEGER)}
    dimension = 1

    def run(self, items: list[Any]) -> list[dict[str, Any]]:
        return [{"item": item, "place": place} for place, item in enumerate(items)]


class Join(Block):
    """Closes a dimension: the inner values as a list, beside an outer one."""

    class Manifest(BlockManifest):
        type: Literal["toy/join@v1"]
        items: AnyReference
        title: Value[str] = ""

    outputs = {"text": Output(STRING)}
    dimension = -1

    def run(self, items: list[Any], title: str) -> str:
        return title + ",".join(str(item) for item in items)


class Heads(Block):
    """Closes the dimension of one input by name, beside another one of which each has several."""

    class Manifest(BlockManifest):
        type: Literal["toy/heads@v1"]
        heads: AnyReference
        items: AnyReference

    outputs = {"text": Output(STRING)}
    dimension = -1
    inner = ("items",)

    def run(self, heads: Any, items: list[Any]) -> str:
        return f"{heads}: {items}"


class BatchDouble(Block):
    """One call for all elements; an odd one out fails alone."""

    calls: list[int] = []

    class Manifest(BlockManifest):
        type: Literal["toy/batch_double@v1"]
        value: Value[int]
        factor: Value[int] = 2

    outputs = {"value": Output(INTEGER)}
    batched = True

    def run(self, value: list[int], factor: list[int]) -> list[Any]:
        self.calls.append(len(value))
        return [ValueError("no") if v == 13 else v * f for v, f in zip(value, factor, strict=True)]


class Gate(FlowControl):
    """Lets its targets go on where the value is true."""

    class Manifest(BlockManifest):
        type: Literal["toy/gate@v1"]
        value: Value[Any]
        next_steps: list[Target]

    def run(self, value: Any, next_steps: list[Target]) -> Iterable[Target]:
        return next_steps if value else []


class FirstOf(Block):
    """Takes what is there."""

    class Manifest(BlockManifest):
        type: Literal["toy/first_of@v1"]
        values: list[AnyReference]

    outputs = {"value": Output()}
    accepts_missing = True

    def run(self, values: list[Any]) -> Any:
        return next((value for value in values if value is not None), "nothing")


class Titled(Block):
    """A field that may be null beside one that may not."""

    class Manifest(BlockManifest):
        type: Literal["toy/titled@v1"]
        title: Value[str | None] = None
        text: Value[str] = ""

    outputs = {"text": Output(STRING)}

    def run(self, title: str | None, text: str) -> str:
        return f"{title}: {text}"


class Wait(Block):
    """Sleeps, and notes how many of its kind sleep at once."""

    sleeping = 0
    most = 0
    lock = threading.Lock()

    class Manifest(BlockManifest):
        type: Literal["toy/wait@v1"]
        seconds: Value[float]
        after: Value[Any] = None

    outputs = {"done": Output()}

    def run(self, seconds: float, after: Any) -> bool:
        with self.lock:
            Wait.sleeping += 1
            Wait.most = max(Wait.most, Wait.sleeping)
        time.sleep(seconds)
        with self.lock:
            Wait.sleeping -= 1
        return True


class Liar(Block):
    """Answers what its outputs do not promise."""

    class Manifest(BlockManifest):
        type: Literal["toy/liar@v1"]
        value: Value[Any]

    outputs = {"number": Output(INTEGER)}

    def run(self, value: Any) -> Any:
        return value


class Nothing(Block):
    """Answers None, which is no value for whoever reads it."""

    class Manifest(BlockManifest):
        type: Literal["toy/nothing@v1"]
        value: Value[Any] = 0

    outputs = {"value": Output()}

    def run(self, value: Any) -> None:
        return None


class Width(Block):
    """Reads an image."""

    class Manifest(BlockManifest):
        type: Literal["toy/width@v1"]
        image: ImageReference
        texts: Annotated[dict[str, Annotated[Reference, Accepts(STRING)]], Field(default_factory=dict)]

    outputs = {"width": Output(INTEGER), "image": Output(IMAGE)}

    def run(self, image: Image, texts: dict[str, str]) -> dict[str, Any]:
        return {"width": image.width, "image": image}


TOYS = [Add, Echo, Split, Join, Heads, BatchDouble, Gate, FirstOf, Titled, Wait, Liar, Nothing, Width]


class ToyPlugin:
    """The plugin of the toys."""

    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return list(TOYS)


def toy_registry(*more: Any) -> Registry:
    plugins = [Plugin("standard", "engine 1", standard), Plugin("toys", "toys 1", ToyPlugin())]
    return build_registry([*plugins, *more])


def toy_workflow(steps: list[dict[str, Any]], outputs: dict[str, str], inputs: list[dict[str, Any]] | None = None) -> Workflow:
    """A workflow of toys; by default its inputs are the batches `x` and `y` and the parameter `p` (default 5)."""
    definition = {
        "version": "1.0",
        "inputs": inputs if inputs is not None else [
            {"type": "WorkflowBatchInput", "name": "x"},
            {"type": "WorkflowParameter", "name": "p", "default_value": 5},
        ],
        "steps": [{"name": f"s{index}", **step} for index, step in enumerate(steps)],
        "outputs": [{"type": "JsonField", "name": name, "selector": selector} for name, selector in outputs.items()],
    }  # fmt: skip
    return compile(definition, registry=toy_registry())


def problems_of(error: Any) -> list[str]:
    """The problems of a definition error, as text."""
    return [str(problem) for problem in error.value.problems]
