"""One model, many callers: shared batches, cancellation, deadlines, failures and what is left after them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.decoder import Lane
from florence_blocks.runtime.encoding import Encoding
from florence_blocks.runtime.generation import Generation
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.pending import Pending
from florence_blocks.runtime.scheduler import Scheduler, WorkerError
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

IMAGES = [Image(draw_scene(seed).image) for seed in range(4)]
CAPTIONS = [Request(TASKS["caption"], image) for image in IMAGES]
LONG = Request(TASKS["caption"], IMAGES[0], settings=Settings(max_new_tokens=400, num_beams=4, no_repeat_ngram_size=1))


@pytest.fixture
def model() -> Iterator[FlorenceModel]:
    loaded = FlorenceModel(checkpoints.load(str(CHECKPOINT), device=torch.device("cpu"), dtype=torch.float32))
    yield loaded
    loaded.close()


def asked(model: FlorenceModel, *requests: Request, **options: Any) -> list[Pending]:
    pending = model.submit(requests, **options)
    assert all(isinstance(item, Pending) for item in pending)
    return [item for item in pending if isinstance(item, Pending)]


class Gate:
    """Holds the worker before its next batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        features = Encoding.features

        def held(encoding: Encoding, pixels: Any) -> Any:
            self.open.wait(20)
            return features(encoding, pixels)

        monkeypatch.setattr(Encoding, "features", held)


def test_an_image_is_encoded_once_whoever_asks(model: FlorenceModel) -> None:
    copy = Image(IMAGES[0].array.copy())
    requests = [CAPTIONS[0], Request(TASKS["ocr"], IMAGES[0]), Request(TASKS["object_detection"], copy)]
    threads = [threading.Thread(target=model.answer, args=(requests,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = model.stats()
    assert stats["images_encoded"] == 1 and stats["requests"] == 12 and stats["feature_hits"] == 11


def test_features_are_dropped_when_their_bytes_are_used_up(model: FlorenceModel) -> None:
    model.answer(CAPTIONS[:1])
    cache = model.scheduler.features
    one = cache.size
    cache.limit = 2 * one
    model.answer(CAPTIONS)
    assert cache.size == 2 * one and IMAGES[3].digest in cache and IMAGES[0].digest not in cache


def test_a_short_answer_does_not_wait_for_a_long_one(model: FlorenceModel) -> None:
    slow = Request(TASKS["caption"], IMAGES[0], settings=Settings(max_new_tokens=400, num_beams=3, no_repeat_ngram_size=1))
    (first,) = asked(model, slow)
    time.sleep(0.05)
    (answer,) = model.answer(CAPTIONS[1:2])
    assert not isinstance(answer, Exception)
    assert model.stats()["requests"] >= 1
    first.cancel()


def test_a_cancelled_request_frees_its_place(model: FlorenceModel) -> None:
    pending = asked(model, LONG)[0]
    while not any(lane.seats for lane in model.scheduler._lanes.values()):
        time.sleep(0.001)
    pending.cancel()
    with pytest.raises(CancelledError):
        pending.result()
    while any(lane.seats for lane in model.scheduler._lanes.values()):
        time.sleep(0.001)
    assert model.answer(CAPTIONS[:1])[0] is not None


def test_a_deadline_fails_the_request_and_nobody_else(model: FlorenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    (first,) = asked(model, CAPTIONS[0])
    (late,) = asked(model, CAPTIONS[1], deadline=time.monotonic() + 0.05)
    time.sleep(0.1)
    gate.open.set()
    with pytest.raises(TimeoutError, match="deadline"):
        late.result()
    assert first.result().text


def test_a_single_request_overtakes_a_crowd(model: FlorenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, entered = Gate(monkeypatch), list[Any]()
    prompts = Encoding.prompts

    def noted(encoding: Encoding, ids: Any, features: Any) -> Any:
        entered.extend(ids)
        return prompts(encoding, ids, features)

    monkeypatch.setattr(Encoding, "prompts", noted)
    model.scheduler._encoding.budget = 1.0  # one request in a batch
    crowd = asked(model, *[Request(TASKS["caption"], Image(draw_scene(100 + n).image)) for n in range(30)])
    (single,) = asked(model, Request(TASKS["ocr"], IMAGES[0]))
    gate.open.set()
    for item in [single, *crowd]:
        item.result()
    assert entered.index(single._jobs[0].ids) <= 4


def test_running_out_of_memory_halves_the_batch_and_everybody_is_answered(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = model.answer(CAPTIONS)
    prompts = Encoding.prompts

    def small(encoding: Encoding, ids: Any, features: Any) -> Any:
        if len(ids) > 2:
            raise torch.OutOfMemoryError("no memory for that many")
        return prompts(encoding, ids, features)

    monkeypatch.setattr(Encoding, "prompts", small)
    before = model.scheduler._encoding.budget
    assert model.answer(CAPTIONS) == wanted
    assert model.scheduler._encoding.budget < before and "budget is halved" in caplog.text


def test_running_out_of_memory_in_the_decode_begins_again_with_fewer(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = model.answer(CAPTIONS)
    step = Lane.step

    def small(lane: Lane) -> Any:
        if len(lane.seats) > 2:
            raise torch.OutOfMemoryError("no memory for that many")
        return step(lane)

    monkeypatch.setattr(Lane, "step", small)
    model.scheduler._decode_bytes = 4 * max(p._jobs[0].plan.memory(128) for p in asked(model, *CAPTIONS[:1]))
    assert model.answer(CAPTIONS) == wanted


def test_a_request_that_fails_alone_fails_alone(model: FlorenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Encoding.prompts
    poison = model.prompt_ids(Request(TASKS["ocr"], IMAGES[0]).prompt)

    def picky(encoding: Encoding, ids: Any, features: Any) -> Any:
        if poison in ids:
            raise RuntimeError("that one is broken")
        return prompts(encoding, ids, features)

    monkeypatch.setattr(Encoding, "prompts", picky)
    answers = model.answer([CAPTIONS[0], Request(TASKS["ocr"], IMAGES[0]), CAPTIONS[1]])
    assert isinstance(answers[1], RuntimeError) and not any(isinstance(answers[place], Exception) for place in (0, 2))


def test_a_step_that_fails_fails_the_request_that_caused_it_among_eight_callers(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [Request(TASKS[name], image) for name in ("caption", "ocr") for image in IMAGES]
    wanted = model.answer(requests)
    poison, step, together = model.prompt_ids(requests[5].prompt), Lane.step, list[int]()

    def picky(lane: Lane) -> Any:
        together.append(len(lane.seats))
        if any(seat.owner.ids == poison and seat.owner.digest == IMAGES[1].digest and seat.length > 3 for seat in lane.seats):
            raise IndexError("index out of range in self")
        return step(lane)

    monkeypatch.setattr(Lane, "step", picky)
    answers: dict[int, Any] = {}
    gate = Gate(monkeypatch)
    model.scheduler.features.limit = 0  # so that all of them wait behind the gate
    model.scheduler.features.put(b"", torch.zeros(1))
    callers = [
        threading.Thread(target=lambda place, request: answers.update({place: model.answer([request])[0]}), args=item)
        for item in enumerate(requests)
    ]
    for caller in callers:
        caller.start()
    gate.open.set()
    for caller in callers:
        caller.join()
    assert isinstance(answers.pop(5), IndexError)
    assert answers == {place: answer for place, answer in enumerate(wanted) if place != 5}
    assert max(together) > 1 and all(lane.seats for key, lane in model.scheduler._lanes.items() if key[2] is not None)
    assert model.answer(requests[:5]) == wanted[:5]


def test_requests_that_cannot_be_decoded_are_refused_among_eight_callers(model: FlorenceModel) -> None:
    region, image = (10.0, 10.0, 60.0, 60.0), IMAGES[0]
    bad = [
        Request(TASKS["region_classification"], image, region=region, names=("star", "long " * 2000)),
        Request(TASKS["object_detection"], image, names=("long " * 2000,)),
        Request(TASKS["phrase_grounding"], image, phrase="word " * 10_000),
        Request(TASKS["prompt"], image, text="word " * 100_000),
        Request(TASKS["prompt"], image, text="half \ud83d"),
        Request(TASKS["region_caption"], image, region=(float("nan"), 0, 5, 5)),
        Request(TASKS["caption"], None),  # type: ignore[arg-type]
        Request(TASKS["region_caption"], image, region=(5, 5, 5, 9)),
    ]
    wanted = model.answer(CAPTIONS)
    answers: dict[int, Any] = {}

    def call(place: int) -> None:
        answers[place] = model.answer([CAPTIONS[place % 4], bad[place], CAPTIONS[(place + 1) % 4]])

    callers = [threading.Thread(target=call, args=(place,)) for place in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for place, (first, wrong, last) in answers.items():
        assert first == wanted[place % 4] and last == wanted[(place + 1) % 4]
        assert isinstance(wrong, Exception) and not isinstance(wrong, WorkerError)


def test_a_prompt_may_fill_every_position_beside_an_image(model: FlorenceModel) -> None:
    room = 512 - model.checkpoint.image_tokens
    text, count = "a", len(model.prompt_ids("a"))
    text += " a" * (room - count)
    full, over = (Request(TASKS["prompt"], IMAGES[0], text=words) for words in (text, text + " a"))
    answer, refused = model.answer([full, over])
    assert not isinstance(answer, Exception)
    assert isinstance(refused, ValueError) and f"{room + 1} tokens; {room} fit" in str(refused)


def test_an_answer_is_never_longer_than_the_decoder_has_positions(model: FlorenceModel) -> None:
    (pending,) = asked(model, Request(TASKS["caption"], IMAGES[0], settings=Settings(max_new_tokens=10**30)))
    assert pending._jobs[0].plan.rules.limit <= 512 and pending.result().text


def test_a_device_that_fails_every_step_fails_every_request_and_the_worker_goes_on(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = model.answer(CAPTIONS)
    with monkeypatch.context() as broken:
        broken.setattr(Lane, "step", lambda lane: (_ for _ in ()).throw(RuntimeError("the device fell off")))
        answers = model.answer(CAPTIONS)
    assert all(isinstance(answer, RuntimeError) and "device fell off" in str(answer) for answer in answers)
    assert model.answer(CAPTIONS) == wanted


def test_a_batch_that_fails_while_it_sits_down_leaves_no_seat_behind(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = model.answer(CAPTIONS)
    admit = Lane.admit

    def picky(lane: Lane, seats: Any, encoded: Any) -> None:
        admit(lane, seats, encoded)
        if len(seats) > 1:
            raise RuntimeError("too many at once")

    monkeypatch.setattr(Lane, "admit", picky)
    before = model.stats()["requests"]
    assert model.answer(CAPTIONS) == wanted
    assert model.stats()["requests"] == before + len(CAPTIONS)


def test_a_dead_worker_is_replaced_and_those_who_waited_are_answered(
    model: FlorenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = model.answer(CAPTIONS)
    take = Scheduler._take
    deaths = iter([True])

    def deadly(scheduler: Scheduler) -> Any:
        scheduler._encoding.budget = 1.0  # one request in a batch
        batch = take(scheduler)
        if batch and next(deaths, False):
            raise SystemExit("the thread was ended")
        return batch

    monkeypatch.setattr(Scheduler, "_take", deadly)
    answers = model.answer(CAPTIONS)
    assert isinstance(answers[0], WorkerError) and "thread was ended" in str(answers[0])
    assert answers[1:] == wanted[1:]


def test_a_closed_model_says_so(model: FlorenceModel) -> None:
    (pending,) = asked(model, LONG)
    model.close()
    with pytest.raises(RuntimeError, match="closed"):
        pending.result()
    with pytest.raises(RuntimeError, match="closed"):
        model.submit(CAPTIONS)


def test_an_idle_worker_goes_home_and_comes_back(model: FlorenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("florence_blocks.runtime.scheduler.IDLE_SECONDS", 0.01)
    first = model.answer(CAPTIONS[:1])
    while model.scheduler._worker is not None:
        time.sleep(0.005)
    assert model.answer(CAPTIONS[:1]) == first


def test_drawn_answers_are_repeatable_alone_and_in_company(model: FlorenceModel) -> None:
    def drawn(seed: int, beams: int) -> Request:
        settings = Settings(do_sample=True, seed=seed, num_beams=beams, max_new_tokens=24)
        return Request(TASKS["more_detailed_caption"], IMAGES[1], settings=settings)

    told = {**model.model.generation_config.to_dict(), "temperature": 8.0}
    generation = Generation.of(told, len(model.tokenizer), model.device)
    hot = FlorenceModel(replace(model.checkpoint, generation=generation))
    for beams in (1, 3):
        requests = [drawn(seed, beams) for seed in range(6)]
        alone = [hot.answer([request])[0] for request in requests]
        assert hot.answer([*CAPTIONS, *requests])[4:] == alone
        assert len({answer.raw for answer in alone if not isinstance(answer, Exception)}) > 1


def test_an_unreadable_image_fails_its_own_request(model: FlorenceModel) -> None:
    def unreadable() -> Any:
        raise ValueError("that is no image")

    answers = model.answer([CAPTIONS[0], Request(TASKS["caption"], Image(unreadable)), CAPTIONS[1]])
    assert isinstance(answers[1], ValueError) and "no image" in str(answers[1])
    assert not isinstance(answers[0], Exception) and not isinstance(answers[2], Exception)


def test_images_that_wait_are_preprocessed_ahead(model: FlorenceModel) -> None:
    model.scheduler._encoding.budget = 1.0
    images = [Image(np.random.default_rng(seed).integers(0, 256, (400, 400, 3), dtype=np.uint8)) for seed in range(6)]
    answers = model.answer([Request(TASKS["ocr"], image, settings=Settings(max_new_tokens=4)) for image in images])
    assert not any(isinstance(answer, Exception) for answer in answers) and not model.scheduler._ahead


def test_a_process_ends_cleanly_in_the_middle_of_the_work() -> None:
    code = (
        "from florence_blocks.demo import draw_scene\n"
        "from florence_blocks.requests import Request\n"
        "from florence_blocks.runtime.shared import shared_model\n"
        "from florence_blocks.tasks import TASKS\n"
        "from workflow_engine.data import Image\n"
        "shared_model('florence-2-demo').submit([Request(TASKS['caption'], Image(draw_scene(n).image)) for n in range(200)])\n"
        "raise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stderr == ""
