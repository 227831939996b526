"""Errors, results, workflows and images in other processes: pickled, deep-copied, and sent through a process pool."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import florence_blocks
import workflow_engine
from tests.engine.toys import Add, ToyPlugin, toy_registry, toy_workflow
from workflow_engine import (
    Image,
    ImageError,
    Kind,
    Plugin,
    Problem,
    RunReport,
    RunResult,
    StepError,
    Workflow,
    WorkflowInputError,
    compile,
    hookimpl,
    registry,
)

COPIES: list[Callable[[Any], Any]] = [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy]
copies = pytest.mark.parametrize("copied", COPIES, ids=["pickled", "deep-copied"])

ELSEWHERE = {"florence_blocks.adapters", "florence_blocks.demo.__main__"}
"""Adapters need the runtimes they are for; the main module runs."""

ARGUMENTS: dict[str, Any] = {
    "str": "what went wrong",
    "Sequence[Problem]": [Problem("steps[0].a", "no such field", "did you mean `b`?"), Problem("", "nothing")],
    "RunReport | None": RunReport(seconds=1.5),
    "tuple[int, ...]": (3, 1),
}
"""A value for every type that the constructor of an error takes."""


def error_classes() -> Iterator[type[Exception]]:
    """Every exception class of both packages."""
    for package in (workflow_engine, florence_blocks):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if any(found.name.startswith(name) for name in ELSEWHERE):
                continue
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == found.name:
                    yield value


def made(kind: type[Exception]) -> Exception:
    """An error of a class, with a value for each argument of its constructor."""
    if not inspect.isfunction(kind.__init__):
        return kind("what went wrong", 3)
    _, *parameters = inspect.signature(kind.__init__).parameters.values()
    by_place = [ARGUMENTS[one.annotation] for one in parameters if one.kind is not one.KEYWORD_ONLY]
    by_name = {one.name: ARGUMENTS[one.annotation] for one in parameters if one.kind is one.KEYWORD_ONLY}
    return kind(*by_place, **by_name)


@copies
def test_every_error_of_both_packages_survives_a_copy(copied: Callable[[Any], Any]) -> None:
    kinds = list(error_classes())
    assert {"StepError", "WorkflowInputError", "PluginError", "ImageError", "CheckpointError", "PromptError", "QueryError",
            "VideoError", "KeptError"} <= {kind.__name__ for kind in kinds}  # fmt: skip
    for kind in kinds:
        error = made(kind)
        again = copied(error)
        assert type(again) is kind and str(again) == str(error) and again.args == error.args, kind
        assert vars(again) == vars(error), kind


def add(a: int) -> Workflow:
    return toy_workflow([{"type": "toy/add@v1", "a": "$inputs.x", "b": a}], {"o": "$steps.s0.sum"})


def run_there(workflow: Workflow, inputs: dict[str, Any], on_error: Any = "report") -> RunResult:
    return workflow.run(inputs, on_error=on_error)


GREY = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowImage", "name": "image"}],
    "steps": [{"type": "vision/convert_grayscale@v1", "name": "s", "image": "$inputs.image"}],
    "outputs": [
        {"type": "JsonField", "name": "o", "selector": "$steps.s.image"},
        {"type": "JsonField", "name": "same", "selector": "$inputs.image"},
    ],
}


def written(folder: Path, name: str = "a.png") -> Path:
    path = folder / name
    cv2.imwrite(str(path), np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
    return path


def test_a_process_pool_takes_workflows_and_gives_results_and_errors_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        sums = pool.submit(run_there, add(2), {"x": [1, 13]})
        images = pool.submit(run_there, compile(GREY), {"image": [path]})
        failed = pool.submit(run_there, add(2), {"x": [1, 13]}, "raise")
        wrong = pool.submit(run_there, add(2), {"y": [1]})
        assert sums.result(60).outputs == [{"o": 3}, {"o": None}]
        assert [error.message for error in sums.result().report.errors] == ["13 is unlucky"]
        (row,) = images.result(60).outputs
        assert row["o"].size == (4, 6) and row["same"].name == "a.png"
        with pytest.raises(StepError, match=r"s0 \(toy/add@v1\), element \[1\]: ValueError: 13 is unlucky") as step:
            failed.result(60)
        assert (step.value.step, step.value.block, step.value.element) == ("s0", "toy/add@v1", (1,))
        with pytest.raises(WorkflowInputError, match="2 problems") as inputs:
            wrong.result(60)
        assert [problem.place for problem in inputs.value.problems] == ["y", "x"]


@copies
def test_results_of_images_given_by_path_are_copied_with_their_pixels(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    path = written(tmp_path)
    result = compile(GREY).run(image=path)
    again = copied(result)
    path.unlink()
    assert again.to_json() == result.to_json() and again.report == result.report
    one, other = again.outputs[0]["same"], result.outputs[0]["same"]
    assert (one.array == other.array).all() and one.digest == other.digest and one.origin == other.origin
    assert not one.array.flags.writeable and one.array is not other.array


@copies
def test_an_image_is_copied_before_it_was_read_and_with_its_transparency(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((5, 7, 4), 100, np.uint8))
    again = copied(Image.load(path))
    path.unlink()
    assert again.size == (7, 5) and again.alpha.tolist() == [[100] * 7] * 5 and not again.alpha.flags.writeable
    crop = copied(again.crop(2, 1, 5, 4))
    assert crop.parent.size == (7, 5) and (crop.origin.x, crop.origin.y) == (2, 1) and crop.alpha.shape == (3, 3)
    array = copied(Image.load(np.full((5, 7, 4), 100, np.uint8)))
    assert array.alpha.shape == (5, 7)


@copies
def test_the_copy_of_a_broken_image_says_what_was_wrong_when_it_is_used(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    again = copied(Image.load(path))
    with pytest.raises(ImageError, match=r"broken.png` cannot be decoded"):
        _ = again.array


@copies
def test_a_workflow_and_its_plan_are_copied_by_compiling_again(copied: Callable[[Any], Any]) -> None:
    workflow = add(2)
    again = copied(workflow)
    assert again.run(x=[1, 2]).outputs == [{"o": 3}, {"o": 4}]
    assert again.plan.steps[0].block is not workflow.plan.steps[0].block
    assert copied(workflow.plan).steps[0].constants == workflow.plan.steps[0].constants
    watched = copied(workflow.watched())
    assert [item.name for item in watched.plan.outputs] == ["o", "$steps.s0"]
    assert watched.run(x=[1]).outputs == [{"o": 3, "$steps.s0": {"sum": 3}}]


def test_a_copy_does_not_change_with_the_definition_it_was_made_of() -> None:
    definition = {"version": "1.0", "inputs": [{"type": "WorkflowParameter", "name": "x"}],
                  "steps": [{"type": "toy/add@v1", "name": "s", "a": "$inputs.x", "b": 2}],
                  "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.sum"}]}  # fmt: skip
    workflow = compile(definition, registry=toy_registry())
    definition["steps"][0]["b"] = 50  # type: ignore[index]
    assert copy.deepcopy(workflow).run(x=1).outputs == workflow.run(x=1).outputs == [{"o": 3}]


@copies
def test_streamed_images_are_copied(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    path = written(tmp_path)
    with compile(GREY).stream([path]) as stream:
        (item,) = stream
        totals = stream.totals
    again = copied(item)
    assert again.source == path and (again.outputs["o"].array == item.outputs["o"].array).all()
    assert copied(totals) == totals


@copies
def test_results_keep_the_kinds_that_no_installed_plugin_brings(copied: Callable[[Any], Any]) -> None:
    known = toy_registry(Plugin("shout", "shout 1", Shouting()))
    workflow = compile(
        {"version": "1.0", "inputs": [{"type": "WorkflowParameter", "name": "x"}],
         "steps": [{"type": "toy/echo@v1", "name": "s", "value": "$inputs.x"}],
         "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.value"}]},
        registry=known,
    )  # fmt: skip
    result = workflow.run(x=Loud("hey"))
    assert copied(result).to_json() == result.to_json() == [{"o": "HEY!"}]


class Loud:
    """A value of a kind of its own."""

    def __init__(self, text: str) -> None:
        self.text = text


def is_loud(value: Any) -> bool:
    return isinstance(value, Loud)


def shouted(value: Any) -> str:
    return f"{value.text.upper()}!"


class Shouting:
    """A plugin with a kind of its own."""

    @hookimpl
    def workflow_engine_kinds(self) -> list[Kind]:
        return [Kind("loud", accepts=is_loud, serialise=shouted)]


def test_the_installed_registry_is_the_same_in_every_copy() -> None:
    assert pickle.loads(pickle.dumps(registry())) is registry() is copy.deepcopy(registry())


def test_a_registry_of_blocks_without_importable_names_cannot_be_sent_and_says_so() -> None:
    class Hidden(ToyPlugin):
        @hookimpl
        def workflow_engine_blocks(self) -> list[Any]:
            return [type("Add2", (Add,), {})]

    known = registry().plus(Plugin("hidden", "hidden 1", Hidden()))
    with pytest.raises(pickle.PicklingError, match="plugin `hidden` of hidden 1 cannot be found by other processes"):
        pickle.dumps(known)
    assert copy.deepcopy(known) is known


def test_every_class_of_blocks_and_manifests_is_found_by_its_name() -> None:
    for block in dict.fromkeys(registry().blocks.values()):
        assert pickle.loads(pickle.dumps(block)) is block
        assert pickle.loads(pickle.dumps(block.Manifest)) is block.Manifest, block
