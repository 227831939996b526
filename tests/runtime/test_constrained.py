"""Constrained decoding with real models: every answer can be read, and a well-formed one stays what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.parsing import parse, pieces
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS, Needs, Task
from tests.runtime.models import save_reduced
from workflow_engine.data import Image

CONSTRAINED = Settings(constrained=True, max_new_tokens=60, no_repeat_ngram_size=0)


def requests(task: Task, images: list[Image], settings: Settings) -> list[Request]:
    inputs = {
        Needs.PHRASE: {"phrase": "a red circle"}, Needs.CLASSES: {"classes": ("star", "circle")},
        Needs.REGION: {"region": (10.0, 20.0, 90.0, 120.0)}, Needs.TEXT: {"text": "circle"}, Needs.NOTHING: {},
    }  # fmt: skip
    return [Request(task, image, settings=settings, **inputs[task.needs]) for image in images]  # type: ignore[arg-type]


@pytest.mark.parametrize("beams", [1, 3])
def test_every_constrained_answer_of_a_random_model_can_be_read(tmp_path: Path, beams: int) -> None:
    save_reduced(tmp_path, layers=2)
    model = FlorenceModel(checkpoints.load(str(tmp_path), device=torch.device("cpu"), dtype=torch.float32))
    images = [Image(draw_scene(seed).image) for seed in range(4)]
    chosen = [replace(CONSTRAINED, num_beams=beams, do_sample=True, seed=seed) for seed in range(3)]
    asked = [request for task in TASKS.values() if task.name != "prompt" for settings in chosen
             for request in requests(task, images, settings)]  # fmt: skip
    found = 0
    for request, answer in zip(asked, model.answer(asked), strict=True):
        assert not isinstance(answer, Exception)
        found += len(answer.instances)
        text = answer.raw.removesuffix("</s>")
        whole = parse(request.task, pieces(answer.raw), request.image.size)
        assert answer.truncated or not whole.truncated, text
        assert all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in (found.box for found in answer.instances)), text
    assert found > 50
    model.close()


def test_well_formed_answers_stay_what_they_are() -> None:
    model = shared_model(str(CHECKPOINT), device="cpu")
    images = [Image(draw_scene(seed).image) for seed in range(100, 110)]
    for beams in (1, 3):
        free = Settings(num_beams=beams, constrained=False)
        asked = [request for task in TASKS.values() for request in requests(task, images, free)]
        kept = [replace(request, settings=replace(free, constrained=True)) for request in asked]
        for one, other in zip(model.answer(asked), model.answer(kept), strict=True):
            assert not isinstance(one, Exception) and not isinstance(other, Exception)
            if not one.truncated:
                assert one.raw == other.raw
