"""Models that a process shares are forgotten and come back; whoever waits for answers can stop and see how far it is."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from florence_blocks import Florence2
from florence_blocks.answers import Answer
from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import scheduler as schedulers
from florence_blocks.runtime import shared
from florence_blocks.runtime.encoding import Encoding
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.pending import outcomes
from florence_blocks.runtime.scheduler import ModelClosedError
from florence_blocks.tasks import TASKS
from workflow_engine import Run
from workflow_engine.data import Image

IMAGES = [Image(draw_scene(seed).image) for seed in range(300, 308)]
CAPTIONS = [Request(TASKS["caption"], image) for image in IMAGES]
LONG = Request(TASKS["caption"], IMAGES[0], settings=Settings(max_new_tokens=400, num_beams=4, no_repeat_ngram_size=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of its own, so that no other test shares its model."""
    for file in CHECKPOINT.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> Iterator[Florence2]:
    with Florence2.from_pretrained(folder, device="cpu") as loaded:
        yield loaded


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Holds the worker in front of every batch of images until it is set."""
    opened, features = threading.Event(), Encoding.features

    def held(encoding: Encoding, pixels: Any) -> Any:
        opened.wait(20)
        return features(encoding, pixels)

    monkeypatch.setattr(Encoding, "features", held)
    yield opened
    opened.set()


def addresses(folder: Path) -> list[shared.Address]:
    return [address for address in shared.loaded() if address.source == str(folder)]


# ------------------------------------------------------------------ forgetting


def test_a_closed_model_leaves_memory_and_comes_back_when_it_is_asked(model: Florence2, folder: Path) -> None:
    said = model.caption_image(IMAGES[0])
    weights = weakref.ref(model.model.model)
    (address,) = addresses(folder)
    assert address == (str(folder), None, "cpu", torch.float32) and shared.weight_bytes(address) > 1_000_000
    model.close()
    assert weights() is None and addresses(folder) == [] and shared.weight_bytes(address) == 0
    assert model.caption_image(IMAGES[0]) == said and addresses(folder) == [address]


def test_closing_twice_or_what_was_never_loaded_does_nothing(folder: Path) -> None:
    model = Florence2.from_pretrained(folder, device="cpu")
    model.close()
    model.close()
    assert not shared.close(shared.address_of(str(folder), device="cpu"))
    assert addresses(folder) == []


def test_a_with_block_forgets_its_model_at_its_end(folder: Path) -> None:
    with Florence2.from_pretrained(folder, device="cpu") as model:
        model.caption_image(IMAGES[0])
        assert len(addresses(folder)) == 1
    assert addresses(folder) == []


def test_all_models_are_forgotten_at_once(folder: Path) -> None:
    Florence2.from_pretrained(folder, device="cpu")
    Florence2.from_pretrained(folder, device="cpu", dtype="bfloat16")
    assert len(addresses(folder)) == 2
    assert shared.close_all() >= 2 and shared.loaded() == []


def test_what_was_asked_before_is_answered_before_a_model_goes(model: Florence2, gate: threading.Event) -> None:
    pending = model.model.submit(CAPTIONS)
    closing = threading.Thread(target=model.close)
    closing.start()
    gate.set()
    closing.join(20)
    assert not closing.is_alive()
    assert all(isinstance(answer, Answer) for answer in outcomes(pending))


def test_a_closed_model_takes_no_more_requests_and_says_so(model: Florence2) -> None:
    held = model.model
    model.close()
    with pytest.raises(ModelClosedError, match="the model is closed"):
        held.submit(CAPTIONS)


def test_a_model_that_is_closed_while_many_ask_answers_all_of_them(model: Florence2) -> None:
    said = model.caption_image(IMAGES[:2])
    going = [threading.Timer(0.15 * number, model.close) for number in range(3)]
    for timer in going:
        timer.start()
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(model.caption_image, [IMAGES[:2]] * 6))
    for timer in going:
        timer.join()
    assert answers == [said] * 6


def test_closing_a_model_of_ones_own_does_not_bring_it_back() -> None:
    checkpoint = shared.checkpoints.load(str(CHECKPOINT), device=torch.device("cpu"), dtype=torch.float32)
    model = Florence2(FlorenceModel(checkpoint))
    model.close()
    with pytest.raises(ModelClosedError):
        model.caption_image(IMAGES[0])


def test_a_place_for_models_holds_within_its_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "float16")
    with shared.placed(shared.Placement("cpu", torch.bfloat16)):
        assert shared.address_of("florence-2-demo")[2:] == ("cpu", torch.bfloat16)
        assert shared.address_of("florence-2-demo", dtype="float32").dtype == torch.float32
    assert shared.address_of("florence-2-demo", device="cpu").dtype == torch.float16


# ------------------------------------------------------------------ stopping, and how far it is


def test_whoever_waits_may_stop(model: Florence2, gate: threading.Event) -> None:
    asked = []

    def stopped() -> bool:
        asked.append(1)
        return True

    with pytest.raises(CancelledError):
        model.answer(CAPTIONS, stopped=stopped)
    assert asked


def test_what_is_stopped_leaves_the_model_at_its_next_step(model: Florence2) -> None:
    began = threading.Event()
    given = model.model.answer([LONG] * 3, stopped=began.is_set, progress=lambda encoded, answered: began.set())
    assert all(isinstance(answer, CancelledError) for answer in given)
    assert isinstance(model.answer(CAPTIONS[:1])[0], Answer)
    assert model.stats()["requests"] == 1


def test_images_that_are_encoded_count_as_progress(model: Florence2, gate: threading.Event) -> None:
    seen: list[tuple[int, int]] = []

    def progress(encoded: int, answered: int) -> None:
        seen.append((encoded, answered))
        gate.set()

    broken = Request(TASKS["phrase_grounding"], IMAGES[0], phrase="")
    given = model.model.answer([*CAPTIONS, broken], progress=progress)
    assert isinstance(given[-1], ValueError)
    assert seen[0] == (1, 1) and seen[-1] == (9, 9)
    assert seen == sorted(seen) and all(answered <= encoded for encoded, answered in seen)


def test_an_exception_of_whoever_watches_cancels_everything(model: Florence2, gate: threading.Event) -> None:
    def progress(encoded: int, answered: int) -> None:
        raise InterruptedError

    pending = model.model.submit(CAPTIONS)
    with pytest.raises(InterruptedError):
        outcomes(pending, progress=progress)
    gate.set()
    assert all(isinstance(answer, CancelledError) for answer in outcomes(pending))


def test_whoever_finds_no_room_in_the_line_may_stop(
    model: Florence2, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedulers, "LINE_CAPACITY", 2)
    narrow = FlorenceModel(model.model.checkpoint)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 2

    pending = narrow.submit(CAPTIONS, stopped=stopped)
    gate.set()
    given = outcomes(pending)
    narrow.close()
    assert isinstance(given[0], Answer) and isinstance(given[-1], CancelledError)


def test_an_exception_of_whoever_finds_no_room_takes_back_all_of_its_requests(
    model: Florence2, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> bool:
        raise InterruptedError

    monkeypatch.setattr(schedulers, "LINE_CAPACITY", 2)
    narrow = FlorenceModel(model.model.checkpoint)
    with pytest.raises(InterruptedError):
        narrow.submit(CAPTIONS, stopped=stopped)
    gate.set()
    narrow.close(finish=True)
    assert narrow.stats()["requests"] == 0


def test_a_run_that_somebody_outside_wants_to_end_is_stopped_for_all_its_listeners() -> None:
    wanted, told = threading.Event(), []
    run = Run(ended=wanted.is_set)
    with run.on_stop(lambda: told.append(1)):
        assert not run.stopped() and not told
        wanted.set()
        assert run.stopped() and run.stopped() and told == [1]
