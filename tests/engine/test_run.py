"""What a run gives: batches, dimensions, gates, failures, time and cancellation."""

from __future__ import annotations

import copy
import os
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.toys import BatchDouble, Wait, toy_registry, toy_workflow
from workflow_engine import (
    AnyReference,
    Block,
    BlockManifest,
    Cancellation,
    Output,
    Plugin,
    RunCancelledError,
    RunTimeoutError,
    StepError,
    WorkflowInputError,
    compile,
    hookimpl,
    workers,
)

SPLIT = {"type": "toy/split@v1", "items": "$inputs.x"}
NUMBERS = [{"type": "WorkflowBatchInput", "name": "x"}, {"type": "WorkflowBatchInput", "name": "y"}]


def rows(workflow: Any, **inputs: Any) -> list[Any]:
    return [row["o"] for row in workflow.run(**inputs).outputs]


def test_a_parameter_joins_every_image() -> None:
    workflow = toy_workflow([{"type": "toy/add@v1", "a": "$inputs.x", "b": "$inputs.p"}], {"o": "$steps.s0.sum"})
    assert rows(workflow, x=[1, 2, 3]) == [6, 7, 8]
    assert rows(workflow, x=[1, 2], p=10) == [11, 12]


def test_opened_elements_come_back_as_nested_lists() -> None:
    workflow = toy_workflow([SPLIT, {"type": "toy/add@v1", "a": "$steps.s0.item"}], {"o": "$steps.s1.sum"})
    assert rows(workflow, x=[[1, 2], [], [3]]) == [[2, 3], [], [4]]


def test_three_dimensions_nest_three_deep_and_collapse_one_by_one() -> None:
    workflow = toy_workflow(
        [SPLIT, {"type": "toy/split@v1", "items": "$steps.s0.item"}, {"type": "toy/add@v1", "a": "$steps.s1.item"},
         {"type": "toy/join@v1", "items": "$steps.s2.sum", "title": "="}],
        {"o": "$steps.s2.sum", "joined": "$steps.s3.text"},
    )  # fmt: skip
    result = workflow.run(x=[[[1], [2, 3]], [[]], []])
    assert [row["o"] for row in result.outputs] == [[[2], [3, 4]], [[]], []]
    assert [row["joined"] for row in result.outputs] == [["=2", "=3,4"], ["="], []]


def test_an_outer_value_joins_every_element_under_it() -> None:
    workflow = toy_workflow(
        [SPLIT, {"type": "toy/split@v1", "items": "$steps.s0.item"},
         {"type": "toy/add@v1", "a": "$steps.s1.item", "b": "$inputs.y"}],
        {"o": "$steps.s2.sum"}, NUMBERS,
    )  # fmt: skip
    assert rows(workflow, x=[[[1], [2, 3]], [[4]]], y=[10, 20]) == [[[11], [12, 13]], [[24]]]


def test_a_batched_block_is_called_once_for_elements_of_any_depth() -> None:
    workflow = toy_workflow([SPLIT, {"type": "toy/batch_double@v1", "value": "$steps.s0.item"}], {"o": "$steps.s1.value"})
    BatchDouble.calls.clear()
    assert rows(workflow, x=[[1, 2], [], [3, 4, 5]]) == [[2, 4], [], [6, 8, 10]]
    assert BatchDouble.calls == [5]


def test_all_outputs_of_a_step_come_as_a_dict() -> None:
    workflow = toy_workflow([SPLIT], {"o": "$steps.s0.*"})
    assert rows(workflow, x=[["a"], []]) == [[{"item": "a", "place": 0}], []]


def test_lists_of_one_go_with_any_length_and_others_must_agree() -> None:
    workflow = toy_workflow([{"type": "toy/add@v1", "a": "$inputs.x", "b": "$inputs.y"}], {"o": "$steps.s0.sum"}, NUMBERS)
    assert rows(workflow, x=[1, 2, 3], y=7) == [8, 9, 10]
    with pytest.raises(WorkflowInputError, match=r"`x` has 3, `y` has 2"):
        workflow.run(x=[1, 2, 3], y=[1, 2])


def test_an_empty_batch_gives_no_rows() -> None:
    assert rows(toy_workflow([SPLIT], {"o": "$steps.s0.item"}), x=[]) == []


# --------------------------------------------------------------------------- gates


def test_a_gate_skips_the_element_and_what_follows_it_and_says_why() -> None:
    workflow = toy_workflow(
        [{"type": "toy/gate@v1", "value": "$inputs.x", "next_steps": ["$steps.s1"]},
         {"type": "toy/echo@v1", "value": "$inputs.x"}, {"type": "toy/echo@v1", "value": "$steps.s1.value"}],
        {"o": "$steps.s2.value"},
    )  # fmt: skip
    result = workflow.run(x=[1, 0])
    assert [row["o"] for row in result.outputs] == [1, None]
    assert [(skip.step, skip.element, skip.reason) for skip in result.report.skips] == [
        ("s1", (1,), "the gate `s0` held it back"), ("s2", (1,), "the gate `s0` held it back")]  # fmt: skip


def test_an_inner_gate_makes_a_step_without_inner_inputs_run_per_inner_element() -> None:
    workflow = toy_workflow(
        [SPLIT, {"type": "toy/gate@v1", "value": "$steps.s0.item", "next_steps": ["$steps.s2"]},
         {"type": "toy/echo@v1", "value": "$inputs.p"}],
        {"o": "$steps.s2.value"},
    )  # fmt: skip
    assert rows(workflow, x=[[1, 0], [1]]) == [[5, None], [5]]


def test_a_gate_on_a_collapse_drops_inner_elements_or_skips_outer_ones() -> None:
    steps = [SPLIT, {"type": "toy/gate@v1", "value": "$steps.s0.item", "next_steps": ["$steps.s3"]},
             {"type": "toy/gate@v1", "value": "$inputs.y", "next_steps": ["$steps.s3"]},
             {"type": "toy/join@v1", "items": "$steps.s0.item"}]  # fmt: skip
    workflow = toy_workflow(steps, {"o": "$steps.s3.text"}, NUMBERS)
    assert rows(workflow, x=[[1, 0, 2], [3], [4]], y=[1, 0, 1]) == ["1,2", None, "4"]


def test_a_skipped_gate_skips_its_targets() -> None:
    steps = [{"type": "toy/gate@v1", "value": "$inputs.x", "next_steps": ["$steps.s1"]},
             {"type": "toy/gate@v1", "value": 1, "next_steps": ["$steps.s2"]},
             {"type": "toy/echo@v1", "value": "$inputs.x"}]  # fmt: skip
    assert rows(toy_workflow(steps, {"o": "$steps.s2.value"}), x=[1, 0]) == [1, None]


def test_a_block_that_accepts_missing_values_sees_none_for_them() -> None:
    steps = [{"type": "toy/gate@v1", "value": "$inputs.x", "next_steps": ["$steps.s1"]},
             {"type": "toy/echo@v1", "value": "$inputs.x"},
             {"type": "toy/first_of@v1", "values": ["$steps.s1.value", "$inputs.p"]}]  # fmt: skip
    assert rows(toy_workflow(steps, {"o": "$steps.s2.value"}), x=[1, 0]) == [1, 5]


NOTHING = {"type": "toy/nothing@v1", "value": "$inputs.x"}


def test_a_none_that_a_block_made_is_its_answer_and_no_value_for_the_next() -> None:
    workflow = toy_workflow([NOTHING, {"type": "toy/liar@v1", "value": "$steps.s0.value"}],
                            {"none": "$steps.s0.value", "o": "$steps.s1.number"})  # fmt: skip
    result = workflow.run(x=[1])
    assert result.outputs == [{"none": None, "o": None}]
    assert result.report.steps["s0"].done == 1 and result.report.steps["s1"].skipped == 1
    assert [(skip.step, skip.element, skip.reason) for skip in result.report.skips] == [("s1", (0,), "no value from `s0`")]


def test_a_null_in_a_batch_that_is_given_is_no_value_either() -> None:
    workflow = toy_workflow([{"type": "toy/echo@v1", "value": "$inputs.x"}], {"o": "$steps.s0.value"})
    result = workflow.run(x=[1, None])
    assert [row["o"] for row in result.outputs] == [1, None]
    assert [(skip.step, skip.element, skip.reason) for skip in result.report.skips] == [
        ("s0", (1,), "no value in `$inputs.x`")]  # fmt: skip


def test_none_arrives_where_it_is_meant_to_be_a_value() -> None:
    titled = {"type": "toy/titled@v1", "title": "$steps.s0.value", "text": "a"}
    first = {"type": "toy/first_of@v1", "values": ["$steps.s0.value", "$inputs.p"]}
    echoed = {"type": "toy/echo@v1", "value": "$inputs.p"}
    workflow = toy_workflow([NOTHING, titled, first, echoed],
                            {"t": "$steps.s1.text", "f": "$steps.s2.value", "e": "$steps.s3.value"})  # fmt: skip
    result = workflow.run(x=[1], p=None)
    assert result.outputs == [{"t": "None: a", "f": "nothing", "e": None}] and not result.report.skips


def test_a_collapse_leaves_out_what_has_no_value() -> None:
    nothing = {"type": "toy/nothing@v1", "value": "$steps.s0.item"}
    joined = {"type": "toy/join@v1", "items": "$steps.s1.value"}
    assert rows(toy_workflow([SPLIT, nothing, joined], {"o": "$steps.s2.text"}), x=[[1, 2], []]) == ["", ""]


# --------------------------------------------------------------------------- one value of all images

JOINED = {"type": "toy/join@v1", "items": "$inputs.x"}


def test_a_collapse_of_what_is_one_per_image_gives_one_per_run() -> None:
    workflow = toy_workflow([JOINED, {"type": "toy/echo@v1", "value": "$inputs.x"}], {"o": "$steps.s0.text"})
    assert workflow.run(x=[1, 2, 3]).outputs == [{"o": "1,2,3"}]
    assert workflow.run(x=[]).outputs == [{"o": ""}]


def test_a_value_of_the_run_is_in_every_row_and_joins_every_image() -> None:
    joined = {"type": "toy/echo@v1", "value": "$steps.s0.text"}
    both = {"type": "toy/titled@v1", "title": "$steps.s0.text", "text": "$inputs.x"}
    workflow = toy_workflow([JOINED, joined, both], {"o": "$steps.s1.value", "t": "$steps.s2.text"})
    assert workflow.run(x=["a", "b"]).outputs == [{"o": "a,b", "t": "a,b: a"}, {"o": "a,b", "t": "a,b: b"}]


def test_a_gate_on_images_leaves_some_out_of_the_list_of_the_run() -> None:
    gate = {"type": "toy/gate@v1", "value": "$inputs.x", "next_steps": ["$steps.s1"]}
    assert toy_workflow([gate, JOINED], {"o": "$steps.s1.text"}).run(x=[1, 0, 2]).outputs == [{"o": "1,2"}]


def test_a_dimension_opens_on_a_value_of_the_run() -> None:
    parts = {"type": "toy/split@v1", "items": "$steps.s0.text"}
    again = {"type": "toy/join@v1", "items": "$steps.s1.item", "title": "="}
    outputs = {"parts": "$steps.s1.item", "again": "$steps.s2.text"}
    workflow = toy_workflow([JOINED, parts, again], outputs)
    assert workflow.run(x=[1, 2]).outputs == [{"parts": ["1", ",", "2"], "again": "=1,,,2"}]
    beside = toy_workflow([JOINED, parts, again], {**outputs, "x": "$inputs.x"}).run(x=[1, 2]).outputs
    assert beside == [{"parts": ["1", ",", "2"], "again": "=1,,,2", "x": number} for number in (1, 2)]


def test_a_dimension_opens_on_a_parameter_where_nothing_is_batched() -> None:
    workflow = toy_workflow([{"type": "toy/split@v1", "items": "$inputs.p"}], {"o": "$steps.s0.item"}, [
        {"type": "WorkflowParameter", "name": "p"}])  # fmt: skip
    assert workflow.run(p=[1, 2]).outputs == [{"o": [1, 2]}]


def test_a_stream_whose_images_are_joined_is_one_run() -> None:
    steps = [{"type": "toy/width@v1", "image": "$inputs.image"}, {"type": "toy/join@v1", "items": "$steps.s0.width"}]
    inputs = [{"type": "WorkflowImage", "name": "image"}]
    images = [np.zeros((8, width, 3), np.uint8) for width in (10, 11, 12)]
    only = toy_workflow(steps, {"o": "$steps.s1.text"}, inputs)
    assert [item.outputs for item in only.stream(images, batch=1)] == [{"o": "10,11,12"}] * 3
    both = toy_workflow(steps, {"w": "$steps.s0.width", "o": "$steps.s1.text"}, inputs)
    assert [item.outputs["w"] for item in both.stream(images, batch=1)] == [10, 11, 12]


# --------------------------------------------------------------------------- failures


def test_a_failing_element_fails_alone_and_is_reported_with_step_element_and_cause() -> None:
    workflow = toy_workflow(
        [SPLIT, {"type": "toy/add@v1", "a": "$steps.s0.item"}, {"type": "toy/echo@v1", "value": "$steps.s1.sum"}],
        {"o": "$steps.s2.value"},
    )
    result = workflow.run(x=[[1], [2, 13]])
    assert [row["o"] for row in result.outputs] == [[2], [3, None]]
    (error,) = result.report.errors
    assert (error.step, error.block, error.element, error.type) == ("s1", "toy/add@v1", (1, 1), "ValueError")
    assert "unlucky" in error.message and not result.report.ok
    step = result.report.steps["s1"]
    assert (step.elements, step.done, step.skipped, step.failed) == (3, 2, 0, 1)
    assert result.report.steps["s2"].skipped == 1
    assert "`s1` failed" in result.report.skips[0].reason


def test_one_exception_in_a_batched_answer_fails_one_element() -> None:
    workflow = toy_workflow([{"type": "toy/batch_double@v1", "value": "$inputs.x"}], {"o": "$steps.s0.value"})
    result = workflow.run(x=[1, 13, 3])
    assert [row["o"] for row in result.outputs] == [2, None, 6]
    assert [error.element for error in result.report.errors] == [(1,)]


def test_raise_stops_at_the_first_failure_with_its_cause() -> None:
    workflow = toy_workflow([{"type": "toy/add@v1", "a": "$inputs.x"}], {"o": "$steps.s0.sum"})
    with pytest.raises(StepError, match=r"s0 \(toy/add@v1\), element \[1\]: ValueError: 13 is unlucky") as error:
        workflow.run(x=[1, 13], on_error="raise")
    assert isinstance(error.value.__cause__, ValueError) and error.value.element == (1,)


def test_a_block_that_breaks_its_promise_is_told_by_output_and_kind() -> None:
    result = toy_workflow([{"type": "toy/liar@v1", "value": "$inputs.x"}], {"o": "$steps.s0.number"}).run(x=[1, "one"])
    assert [row["o"] for row in result.outputs] == [1, None]
    assert "`number` is integer" in result.report.errors[0].message and "str" in result.report.errors[0].message


def test_a_value_that_does_not_fit_a_bound_field_fails_its_element() -> None:
    result = toy_workflow([{"type": "toy/add@v1", "a": 1, "b": "$inputs.x"}], {"o": "$steps.s0.sum"}).run(x=[1, 500])
    assert [row["o"] for row in result.outputs] == [2, None]
    assert "steps[0].b got 500" in result.report.errors[0].message


# --------------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "x: missing"),
        ({"x": [1], "z": 1}, "z: no such input"),
        ({"x": [1], "p": 500}, "p: 500 does not fit steps\\[0\\].b"),
        ({"x": [1], "p": None}, "p: None does not fit"),
        ({"x": [1], "p": "9" * 5000}, "p: '9{199}\\.\\.\\. does not fit"),
        ({"x": [1], "p": 10**5000}, "p: a number of many digits does not fit"),
    ],
)
def test_wrong_inputs_are_told_before_anything_runs(inputs: dict[str, Any], said: str) -> None:
    workflow = toy_workflow([{"type": "toy/add@v1", "a": "$inputs.x", "b": "$inputs.p"}], {"o": "$steps.s0.sum"})
    with pytest.raises(WorkflowInputError, match=said):
        workflow.run(**inputs)


def test_a_missing_parameter_without_default_is_an_error_and_a_null_default_is_not() -> None:
    step = {"type": "toy/echo@v1", "value": "$inputs.q"}
    with pytest.raises(WorkflowInputError, match="q: missing"):
        toy_workflow([step], {}, [{"type": "WorkflowParameter", "name": "q"}]).run()
    optional = [{"type": "WorkflowParameter", "name": "q", "default_value": None}]
    assert rows(toy_workflow([step], {"o": "$steps.s0.value"}, optional)) == [None]


WIDTH = toy_workflow(
    [{"type": "toy/width@v1", "image": "$inputs.image"}], {"o": "$steps.s0.width"},
    [{"type": "WorkflowImage", "name": "image"}],
)  # fmt: skip


def test_images_come_in_every_form(tmp_path: Path) -> None:
    from PIL import Image as PilImage

    pixels = np.zeros((4, 7, 3), np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pixels)
    data = path.read_bytes()
    import base64

    text = base64.b64encode(data).decode()
    grey, bgra = pixels[:, :, 0], np.zeros((4, 7, 4), np.uint8)
    forms = [path, str(path), data, text, f"data:image/png;base64,{text}", {"type": "base64", "value": text}, pixels, grey,
             bgra, PilImage.new("RGB", (7, 4))]  # fmt: skip
    assert rows(WIDTH, image=forms) == [7] * len(forms)


@pytest.mark.parametrize(
    "wrong",
    ["missing.png", "", "a\0b", "x" * 300, ".", None, 5, object(), np.zeros((4, 7, 3)), np.zeros((0, 7, 3), np.uint8), b"",
     {"type": "base64"}, {"type": "file", "value": 7}, {}],
)  # fmt: skip
def test_what_is_no_image_fails_alone_with_its_place(wrong: Any) -> None:
    good = np.zeros((4, 7, 3), np.uint8)
    result = WIDTH.run(image=[good, wrong, good])
    assert [row["o"] for row in result.outputs] == [7, None, 7]
    (error,) = result.report.errors
    assert (error.step, error.element, error.type) == ("$inputs.image", (1,), "ImageError") and error.message
    (alone,) = WIDTH.run(image=wrong).report.errors
    assert alone.element == (0,) and alone.message == error.message


def test_files_that_cannot_be_read_fail_alone(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((4, 7, 3), np.uint8))
    (tmp_path / "d.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    names = ["good", "d", "dangling", "empty", "pipe"]
    result = WIDTH.run(image=[tmp_path / f"{name}.png" for name in names])
    assert [row["o"] for row in result.outputs] == [7, None, None, None, None]
    told = [error.message for error in result.report.errors]
    wanted = ["is a folder", "a link to nothing", "cannot be decoded", "a device or a pipe"]
    assert all(said in message for said, message in zip(wanted, told, strict=True))


def test_lists_in_place_of_images_are_nested_wrongly() -> None:
    good = np.zeros((4, 7, 3), np.uint8)
    with pytest.raises(WorkflowInputError, match=r"image\[0\]: a list is not an image"):
        WIDTH.run(image=[[good, good], [good]])


def test_urls_are_refused_unless_allowed() -> None:
    assert "allow_urls" in WIDTH.run(image="http://127.0.0.1:9/a.png").report.errors[0].message
    result = WIDTH.run(image="http://127.0.0.1:9/a.png", allow_urls=True)
    assert "cannot be fetched" in result.report.errors[0].message


def test_a_broken_image_fails_alone() -> None:
    result = WIDTH.run(image=[b"not an image", np.zeros((4, 7, 3), np.uint8)])
    assert [row["o"] for row in result.outputs] == [None, 7]
    assert result.report.errors[0].step == "$inputs.image" and result.report.errors[0].element == (0,)
    with pytest.raises(StepError, match="cannot be decoded"):
        WIDTH.run(image=b"not an image", on_error="raise")


# --------------------------------------------------------------------------- time


def waits(*seconds: float) -> Any:
    return toy_workflow([{"type": "toy/wait@v1", "seconds": s} for s in seconds], {"o": "$steps.s0.done"}, [])


def test_independent_steps_run_side_by_side() -> None:
    Wait.most = 0
    assert rows(waits(0.1, 0.1, 0.1)) == [True]
    assert Wait.most == 3


def test_a_timeout_ends_the_run_with_what_it_did() -> None:
    workflow = toy_workflow(
        [{"type": "toy/wait@v1", "seconds": 0.0}, {"type": "toy/wait@v1", "seconds": 30.0, "after": "$steps.s0.done"}], {}, []
    )
    started = time.monotonic()
    with pytest.raises(RunTimeoutError, match="1 of 2 steps") as error:
        workflow.run(timeout=0.3)
    assert time.monotonic() - started < 5
    assert error.value.report is not None and list(error.value.report.steps) == ["s0"]


def test_a_timeout_is_a_number_of_seconds_however_large() -> None:
    workflow = toy_workflow([{"type": "toy/wait@v1", "seconds": 0.0}], {}, [])
    assert workflow.run(timeout=float("inf")).report.ok
    with pytest.raises(ValueError, match="timeout=nan"):
        workflow.run(timeout=float("nan"))


def test_a_run_is_cancelled_from_another_thread() -> None:
    cancellation = Cancellation()
    threading.Timer(0.1, cancellation.cancel).start()
    started = time.monotonic()
    with pytest.raises(RunCancelledError):
        waits(30.0).run(cancellation=cancellation)
    assert time.monotonic() - started < 5


def test_a_cancellation_before_the_start_runs_nothing() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(RunCancelledError, match="0 of 1 steps"):
        waits(0.0).run(cancellation=cancellation)


def test_one_workflow_runs_from_many_threads_at_once() -> None:
    workflow = toy_workflow([SPLIT, {"type": "toy/add@v1", "a": "$steps.s0.item"}], {"o": "$steps.s1.sum"})
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: rows(workflow, x=[[n, n + 1]])})) for n in range(20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [[n + 1, n + 2]] for n in range(20, 40)}


# --------------------------------------------------------------------------- properties

nested = st.lists(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=3), max_size=3)


@settings(max_examples=60, deadline=None)
@given(nested)
def test_any_nesting_comes_back_in_its_own_shape_and_the_input_stays_as_it_was(x: list[Any]) -> None:
    workflow = toy_workflow(
        [SPLIT, {"type": "toy/split@v1", "items": "$steps.s0.item"}, {"type": "toy/add@v1", "a": "$steps.s1.item", "b": 0},
         {"type": "toy/join@v1", "items": "$steps.s2.sum"}],
        {"o": "$steps.s2.sum", "x": "$inputs.x", "j": "$steps.s3.text"},
    )  # fmt: skip
    before = copy.deepcopy(x)
    result = workflow.run(x=x)
    if len(x) != 1:
        assert [row["o"] for row in result.outputs] == x
        assert [row["x"] for row in result.outputs] == before == x
        assert [row["j"] for row in result.outputs] == [[",".join(map(str, inner)) for inner in image] for image in x]
    assert result.report.steps["s2"].elements == sum(len(inner) for image in x for inner in image)


class Halve(Block):
    """Half of an even number, on whatever thread."""

    class Manifest(BlockManifest):
        type: Literal["toy/halve@v1"]
        value: AnyReference

    outputs = {"half": Output()}
    parallel = True
    threads: ClassVar[set[int]] = set()

    def run(self, value: int) -> int:
        Halve.threads.add(threading.get_ident())
        time.sleep(0.001)
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value // 2


class Halves:
    """The plugin of `Halve`."""

    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [Halve]


def halves() -> Any:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": "x"}],
        "steps": [{"type": "toy/halve@v1", "name": "h", "value": "$inputs.x"}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.h.half"}],
    }  # fmt: skip
    return compile(definition, registry=toy_registry(Plugin("halves", "toys 3", Halves())))


def test_elements_on_several_threads_come_out_as_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count", lambda: 4)
    result = halves().run(x=list(range(50)))
    assert [row["o"] for row in result.outputs] == [None if value % 2 else value // 2 for value in range(50)]
    assert [error.element for error in result.report.errors] == [(value,) for value in range(1, 50, 2)]
    assert len(Halve.threads) > 1


def test_a_strict_run_on_several_threads_raises_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count", lambda: 4)
    with pytest.raises(StepError, match="3 is odd"):
        halves().run(x=[2, 4, 3, *range(6, 60, 2), 7, 8], on_error="raise")
