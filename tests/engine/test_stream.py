"""Streams: in order, with bounded memory, whatever happens on the way."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as PilImage

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


# --------------------------------------------------------------------------- what is taken, and when


SEEN = compile(
    {"version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}], "steps": [],
     "outputs": [{"type": "JsonField", "name": "o", "selector": "$inputs.image"}]},
    registry=toy_registry(),
)  # fmt: skip


def frame(number: int) -> Any:
    return np.full((4, 6, 3), 10 * number, np.uint8)


def png(number: int) -> bytes:
    return cv2.imencode(".png", frame(number))[1].tobytes()


def from_numpy(folder: Path) -> Iterator[Any]:
    buffer = np.zeros((4, 6, 3), np.uint8)
    for number in range(6):
        buffer[:] = frame(number)
        yield buffer


def from_torch(folder: Path) -> Iterator[Any]:
    buffer = torch.zeros(3, 4, 6, dtype=torch.uint8)
    for number in range(6):
        buffer.fill_(10 * number)
        yield buffer


def from_pil(folder: Path) -> Iterator[Any]:
    picture = PilImage.new("RGB", (6, 4))
    for number in range(6):
        picture.paste((10 * number,) * 3, (0, 0, 6, 4))
        yield picture


def from_pil_that_is_closed(folder: Path) -> Iterator[Any]:
    for number in range(6):
        with PilImage.open(io.BytesIO(png(number))) as picture:
            yield picture


def from_bytes(folder: Path) -> Iterator[Any]:
    buffer = bytearray(len(png(0)) + 64)
    for number in range(6):
        buffer[:] = png(number).ljust(len(buffer), b"\0")
        yield memoryview(buffer)


def from_a_file_object(folder: Path) -> Iterator[Any]:
    file = io.BytesIO()
    for number in range(6):
        file.seek(0)
        file.truncate()
        file.write(png(number))
        yield file


def from_one_path(folder: Path) -> Iterator[Any]:
    path = folder / "frame.png"
    for number in range(6):
        path.write_bytes(png(number))
        yield path
    path.unlink()


def from_one_object(folder: Path) -> Iterator[Any]:
    buffer = {"type": "numpy_object", "value": np.zeros((4, 6, 3), np.uint8)}
    for number in range(6):
        buffer["value"][:] = frame(number)  # type: ignore[index]
        yield buffer


CAMERAS = [from_numpy, from_torch, from_pil, from_pil_that_is_closed, from_bytes, from_a_file_object, from_one_path,
           from_one_object]  # fmt: skip


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.__name__)
@pytest.mark.parametrize("batch", [1, 4, 8])
def test_a_camera_may_fill_its_buffer_anew(camera: Any, batch: int, tmp_path: Path) -> None:
    items = list(SEEN.stream(camera(tmp_path), batch=batch))
    assert [int(item.outputs["o"].array.max()) for item in items] == [0, 10, 20, 30, 40, 50]


def test_results_of_a_run_do_not_change_with_the_buffer_it_was_given() -> None:
    buffer = frame(1).copy()
    result = SEEN.run(image=buffer)
    buffer[:] = 0
    assert int(result.outputs[0]["o"].array.max()) == 10


BOTH = compile(
    {"version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowImage", "name": "mark"}],
     "steps": [],
     "outputs": [{"type": "JsonField", "name": name, "selector": f"$inputs.{name}"} for name in ("image", "mark")]},
    registry=toy_registry(),
)  # fmt: skip


def test_an_image_for_all_images_is_taken_once() -> None:
    mark = frame(9).copy()
    stream = BOTH.stream(from_numpy(Path()), input="image", mark=mark, batch=2)
    mark[:] = 0
    items = list(stream)
    assert [int(item.outputs["mark"].array.max()) for item in items] == [90] * 6
    assert len({id(item.outputs["mark"].array.base) for item in items}) == 1
    assert all(item.errors for item in BOTH.stream([frame(1), frame(2)], input="image", mark="missing.png"))


UNREADABLE = [None, 7, "missing.png", "", b"no image", np.zeros((0, 3, 3), np.uint8), [frame(1)], object(), {"type": "url"}]


def test_what_cannot_be_read_fails_alone_and_is_named_by_its_place_in_the_stream() -> None:
    given = [part for wrong in UNREADABLE for part in (image(2), wrong)]
    items = list(workflow().stream(given, batch=4))
    assert [item.outputs["o"] for item in items] == [2, None] * len(UNREADABLE)
    assert [item.source is source for item, source in zip(items, given, strict=True)] == [True] * len(given)
    for item in items:
        assert [error.element for error in item.errors] == ([(item.index,)] if item.index % 2 else [])
        assert [skip.element for skip in item.skips] == ([] if not item.index % 2 else [(item.index,)])


def test_a_step_that_fails_is_named_by_its_place_in_the_stream() -> None:
    items = list(workflow().stream([image(2)] * 9 + [image(3)], batch=4))
    assert [error.element for error in items[9].errors] == [(9,)] and "element [9]" in str(items[9].errors[0])
    with pytest.raises(StepError, match=r"element \[9\]") as raised:
        list(workflow().stream([image(2)] * 9 + [image(3)], batch=4, on_error="raise"))
    assert raised.value.element == (9,)
    with pytest.raises(StepError, match=r"element \[5\]: ImageError: `missing.png` is not a file"):
        list(workflow().stream([image(2)] * 5 + ["missing.png"], batch=4, on_error="raise"))


def test_wrong_inputs_end_a_stream() -> None:
    with pytest.raises(WorkflowInputError, match="no such input"):
        list(workflow().stream([image(2)], batch=4, size=3))
