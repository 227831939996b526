"""The worker of `engine.py`: one engine in one process, asked over standard input, one JSON line each way.

{"do": "load", "definition": ..., "meta": {"feed": ...}}   compile, make the inputs, warm up
{"do": "round"}                                            {"compile_ms": ..., "run_ms": ...}
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import supervision as sv

BLOCK_SECONDS = 0.15
WARMUP_SECONDS = 0.2
_unique = itertools.count()


def inputs_of(feed: dict[str, Any]) -> dict[str, Any]:
    """Deterministic images (BGR uint8) and boxes for a case."""
    rng = np.random.default_rng(0)
    data = {key: value for key, value in feed.items() if key not in ("image", "predictions")}
    if "image" in feed:
        n, width, height = feed["image"]["n"], feed["image"]["w"], feed["image"]["h"]
        data["image"] = [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(n)]
        if "predictions" in feed:
            data["predictions"] = [_boxes(rng, feed["predictions"]["boxes"], width, height) for _ in range(n)]
    return data


def _boxes(rng: np.random.Generator, count: int, width: int, height: int) -> sv.Detections:
    """Boxes with the data keys that detections of the field carry; both engines get the same."""
    corner = np.stack([rng.integers(0, width - 70, count), rng.integers(0, height - 70, count)], axis=1)
    xyxy = np.concatenate([corner, corner + rng.integers(32, 64, (count, 2))], axis=1).astype(np.float32)
    data: dict[str, Any] = {
        "class_name": np.array([f"class_{index % 3}" for index in range(count)]),
        "detection_id": np.array([f"det-{index:05d}" for index in range(count)]),
    }
    for key in ("parent_id", "root_parent_id"):
        data[key] = np.array(["image"] * count)
    for key in ("parent_coordinates", "root_parent_coordinates"):
        data[key] = np.zeros((count, 2), int)
    for key in ("image_dimensions", "parent_dimensions", "root_parent_dimensions"):
        data[key] = np.array([(height, width)] * count)
    data["prediction_type"] = np.array(["object-detection"] * count)
    return sv.Detections(xyxy=xyxy, confidence=np.full(count, 0.9, np.float32), class_id=np.arange(count) % 3, data=data)


def fresh(definition: dict[str, Any]) -> dict[str, Any]:
    """The same workflow under other step names, so that no cache of compiled graphs can answer."""
    number, text = next(_unique), json.dumps(definition)
    for step in definition["steps"]:
        name = step["name"]
        text = text.replace(f'"name": "{name}"', f'"name": "{name}_{number}"')
        text = text.replace(f"$steps.{name}.", f"$steps.{name}_{number}.").replace(
            f'"$steps.{name}"', f'"$steps.{name}_{number}"'
        )
    return json.loads(text)


class Ours:
    """This project's engine."""

    packages = ("florence-blocks", "supervision", "numpy", "pydantic")

    def compile(self, definition: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
        """A function that runs the definition."""
        from workflow_engine import compile

        workflow = compile(definition)
        return lambda inputs: workflow.run(inputs, on_error="raise")


class Peer:
    """The best-known executor, with one step at a time, as its own tests run it."""

    packages = ("roboflow-workflows", "inference", "supervision", "numpy", "pydantic")

    def compile(self, definition: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
        """A function that runs the definition."""
        from roboflow_workflows.execution_engine.core import ExecutionEngine

        engine = ExecutionEngine.init(
            workflow_definition=definition, max_concurrent_steps=1, executor=None,
            init_parameters={"workflows_core.model_manager": None, "workflows_core.api_key": None},
        )  # fmt: skip
        return lambda inputs: engine.run(runtime_parameters=inputs)


class Worker:
    """Holds the loaded case."""

    def __init__(self, engine: Ours | Peer) -> None:
        self.engine = engine

    def versions(self, request: dict[str, Any]) -> dict[str, str]:
        """The versions of the engine's packages."""
        found = {}
        for package in self.engine.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Compile a case and warm up."""
        self.definition, self.inputs = request["definition"], inputs_of(request["meta"]["feed"])
        self.run = self.engine.compile(copy.deepcopy(self.definition))
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < WARMUP_SECONDS or count < 3:
            self.run(self.inputs)
            count += 1
        each = (time.perf_counter() - started) / count
        self.repeats = max(1, int(BLOCK_SECONDS / each))
        return {}

    def round(self, request: dict[str, Any]) -> dict[str, float]:
        """One compilation of a definition never seen, and the mean of a block of runs."""
        definition = fresh(self.definition)
        started = time.perf_counter()
        self.engine.compile(definition)
        compiled = time.perf_counter()
        for _ in range(self.repeats):
            self.run(self.inputs)
        done = time.perf_counter()
        return {"compile_ms": (compiled - started) * 1e3, "run_ms": (done - compiled) * 1e3 / self.repeats}


def main() -> None:
    """Answer requests until standard input ends."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers, sys.stdout = sys.stdout, sys.stderr
    worker = Worker({"ours": Ours, "peer": Peer}[sys.argv[1]]())
    actions = {"versions": worker.versions, "load": worker.load, "round": worker.round}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer: Any = actions[request["do"]](request)
        except Exception as error:  # a missing block is a row of the table, not the end of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
