"""Forked processes: what needs no model goes on in them, and models say what to do instead of waiting for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

FLOW = """
    import multiprocessing, os, sys, threading, time
    import numpy as np
    from workflow_engine import compile

    def flow(*steps, **outputs):
        return compile({
            "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
            "steps": [{"name": f"s{n}", **step} for n, step in enumerate(steps)],
            "outputs": [{"type": "JsonField", "name": name, "selector": value} for name, value in outputs.items()],
        })

    images = [np.full((400, 400, 3), n, np.uint8) for n in range(24)]
    blur = flow({"type": "vision/image_blur@v1", "image": "$inputs.image"},
                {"type": "vision/contrast_equalization@v1", "image": "$inputs.image"},
                a="$steps.s0.image", b="$steps.s1.image")
    context = multiprocessing.get_context("fork")
"""


def said(program: str) -> str:
    """What a program prints; one that hangs fails."""
    text = textwrap.dedent(FLOW) + textwrap.dedent(program)
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_parallel_blocks_run_in_a_forked_child_and_in_its_child() -> None:
    program = """
        def child(depth):
            print(len(blur.run(image=images).outputs), flush=True)
            if depth:
                again = context.Process(target=child, args=(depth - 1,))
                again.start(); again.join(); sys.exit(again.exitcode)

        blur.run(image=images)
        first = context.Process(target=child, args=(1,))
        first.start(); first.join()
        print(len(blur.run(image=images).outputs))
        sys.exit(first.exitcode)
    """
    assert said(program).split() == ["24", "24", "24"]


def test_a_child_of_a_busy_process_has_pools_and_streams_of_its_own() -> None:
    program = """
        stream = blur.stream(iter(images * 3), batch=4)
        next(stream)
        busy = threading.Thread(target=lambda: [blur.run(image=images) for _ in range(3)])
        busy.start()
        pid = os.fork()
        if pid == 0:
            try:
                next(stream)
            except RuntimeError as error:
                print(error)
            stream.close()
            print(sum(1 for _ in blur.stream(iter(images))), flush=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        busy.join()
        print(1 + sum(1 for _ in stream))
    """
    lines = said(program).splitlines()
    assert "a forked one makes its own" in lines[0] and lines[1:] == ["24", "72"]


@pytest.mark.slow  # it imports torch twice
def test_models_compute_in_children_that_were_forked_before_and_say_spawn_in_those_forked_after() -> None:
    program = """
        from florence_blocks import Florence2
        from workflow_engine.errors import UnavailableError
        ocr = flow({"type": "florence/ocr@v1", "images": "$inputs.image"}, a="$steps.s0.text")
        model = None

        def child():
            try:
                loaded = model or Florence2.from_pretrained("florence-2-demo")
                print("answered", isinstance(loaded.ocr_image(images[0]), str))
            except RuntimeError as error:
                print("told", error)
            try:
                print("read", ocr.run(image=images).report.ok)
            except UnavailableError as error:  # once, and not for every image
                print("ended", error)
            print(len(blur.run(image=images).outputs), flush=True)

        def forked():
            process = context.Process(target=child)
            process.start(); process.join()
            assert process.exitcode == 0

        blur.run(image=images)
        forked()
        model = Florence2.from_pretrained("florence-2-demo")
        model.ocr_image(images[0])
        forked()
        pid = os.fork()
        if pid == 0:
            sys.exit(0)  # with everything that is done at an end
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), isinstance(model.ocr_image(images[0]), str))
    """
    answered, fine, first, told, failed, second, last = said(program).splitlines()
    assert (answered, fine, first) == ("answered True", "read True", "24")
    assert (
        told.startswith("told")
        and failed.startswith("ended")
        and all('get_context("spawn")' in line for line in (told, failed))
    )
    assert (second, last) == ("24", "0 True")
