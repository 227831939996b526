"""Answers that end at their token limit, or are cut by it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from florence_blocks.answers import Answer
from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.demo.calibrate import noisy
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

SCENE = draw_scene(41, shapes=3, words=1)
NOISY = noisy(SCENE, np.random.default_rng(4))
REGION = SCENE.shapes[0].box
ASKED: dict[str, dict[str, Any]] = {
    "caption": {}, "ocr": {}, "object_detection": {}, "ocr_with_regions": {}, "region_caption": {"region": REGION},
    "region_ocr": {"region": SCENE.words[0].box}, "region_segmentation": {"region": REGION},
    "phrase_segmentation": {"phrase": SCENE.shapes[0].name},
}  # fmt: skip
WAYS = {
    "greedy": Settings(max_new_tokens=200), "by lot": Settings(max_new_tokens=200, do_sample=True, seed=5),
    "beams": Settings(max_new_tokens=200, num_beams=3),
}  # fmt: skip


def answered(request: Request, limit: int | None = None, folder: Path = CHECKPOINT) -> Answer:
    """The answer within a limit."""
    limited = request if limit is None else replace(request, settings=replace(request.settings, max_new_tokens=limit))
    (answer,) = shared_model(str(folder), device="cpu").answer([limited])
    assert isinstance(answer, Answer)
    return answer


def confidences(answer: Answer) -> list[float]:
    """How sure an answer is, and every thing in it."""
    found = [answer.confidence, *(instance.confidence for instance in answer.instances)]
    return [confidence for confidence in found if confidence is not None]


@cache
def unhurried(task: str, way: str) -> tuple[Request, Answer, int]:
    """A request without a limit that matters, its answer, and how many tokens that has."""
    request = Request(TASKS[task], NOISY, settings=WAYS[way], **ASKED[task])
    answer = answered(request)
    assert not answer.truncated
    return request, answer, len(answer.token_probabilities)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("task", ASKED)
def test_an_answer_of_exactly_the_limit_is_whole_and_one_token_less_cuts_it(task: str, way: str) -> None:
    request, answer, length = unhurried(task, way)
    exactly = answered(request, length)
    assert exactly == answer and not exactly.truncated
    assert confidences(exactly) == pytest.approx(confidences(answer), rel=1e-3)
    cut = answered(request, length - 1)
    assert cut.truncated and len(cut.token_probabilities) == length - 1


@pytest.mark.parametrize("task", ["caption", "ocr", "region_caption", "region_ocr"])
def test_a_text_is_unsure_wherever_it_is_cut(task: str) -> None:
    request, answer, length = unhurried(task, "greedy")
    assert min(confidences(answer)) > 0.5
    for limit in range(1, length):
        cut = answered(request, limit)
        assert cut.truncated and max(confidences(cut)) < 0.1, cut.raw


@pytest.mark.parametrize("task", ["region_segmentation", "phrase_segmentation"])
def test_an_outline_is_unsure_wherever_it_is_cut(task: str) -> None:
    request, answer, length = unhurried(task, "greedy")
    assert min(confidences(answer)) > 0.3
    for limit in range(1, length):
        cut = answered(request, limit)
        assert cut.truncated and max(confidences(cut), default=0.0) < 0.1, cut.raw


@pytest.mark.parametrize("task", ["object_detection", "ocr_with_regions"])
def test_things_before_a_cut_are_as_sure_as_in_the_whole_answer(task: str) -> None:
    request, answer, length = unhurried(task, "greedy")
    for limit in range(2, length, 3):
        cut = answered(request, limit)
        assert (cut.truncated and len(cut.instances) < len(answer.instances)) or cut.instances == answer.instances
        for found, known in zip(cut.instances, answer.instances, strict=False):
            assert found == known and found.confidence == pytest.approx(known.confidence, rel=1e-3)


def test_without_a_forced_end_the_limit_leaves_an_answer_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    config = json.loads((folder / "generation_config.json").read_text())
    del config["forced_eos_token_id"]
    (folder / "generation_config.json").write_text(json.dumps(config))
    request, answer, length = unhurried("caption", "greedy")
    exactly, cut = answered(request, length, folder), answered(request, length - 1, folder)
    assert exactly == answer
    assert cut.truncated and cut.text == answer.text and cut.confidence == pytest.approx(0.0, abs=1e-6)


def test_a_limit_of_one_token_leaves_nothing_to_say() -> None:
    answer = answered(Request(TASKS["caption"], Image(SCENE.image)), 1)
    assert answer.truncated and answer.text == "" and max(confidences(answer)) < 0.1
