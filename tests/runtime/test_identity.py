"""Answers in a batch are the answers alone, and those of transformers' `generate`, token for token."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from PIL import Image as PilImage
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.parsing import pieces
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime.model import Pending
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS
from tests.runtime.models import save_reduced
from workflow_engine.data import Image

MARGIN = 1e-4
"""Where the reference's best two choices are nearer than this, rounding decides and either is right."""

IMAGES = [Image(draw_scene(seed, width=width, height=height).image) for seed, width, height in
          ((1, 160, 160), (2, 320, 200), (3, 97, 211))]  # fmt: skip


def mixed_requests(settings: Settings) -> list[Request]:
    """Every sort of prompt about every image, short and long."""
    requests = []
    for number, image in enumerate(IMAGES):
        width, height = image.size
        region = (width * 0.1, height * 0.2, width * 0.7, height * 0.9)
        requests += [
            Request(TASKS["caption"], image, settings=settings),
            Request(TASKS["object_detection"], image, settings=settings),
            Request(TASKS["ocr_with_regions"], image, settings=settings),
            Request(TASKS["region_caption"], image, region=region, settings=settings),
            Request(TASKS["phrase_grounding"], image, phrase="a red circle and " * number + "a square", settings=settings),
            Request(TASKS["open_vocabulary_detection"], image, classes=("star", "green circle"), settings=settings),
        ]  # fmt: skip
    return requests


@pytest.fixture(scope="module", params=["demo", "base", "large"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model, and random weights in the published layouts at reduced width."""
    if request.param == "demo":
        return CHECKPOINT
    folder: Path = tmp_path_factory.mktemp(request.param)
    save_reduced(folder, layers=6 if request.param == "base" else 12)
    return folder


@cache
def reference(folder: Path) -> tuple[Any, Any]:
    model = Florence2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return model, Florence2Processor.from_pretrained(folder)


@cache
def reference_ids(folder: Path, request: Request) -> tuple[list[int], float]:
    """The ids of transformers' `generate`, and its least margin between the best two choices on the way."""
    model, processor = reference(folder)
    settings = {name: value for name, value in asdict(request.settings).items() if value is not None and name != "constrained"}
    rgb = PilImage.fromarray(np.ascontiguousarray(request.image.array[:, :, ::-1]))
    inputs = processor(text=request.prompt, images=rgb, return_tensors="pt")
    with torch.inference_mode():
        out = model.generate(**inputs, **settings, return_dict_in_generate=True, output_scores=True)
    margins = [float(top[0] - top[1]) for score in out.scores for top in score.float().topk(2, dim=-1).values
               if torch.isfinite(top).all()]  # fmt: skip
    return [i for i in out.sequences[0].tolist()[1:] if i != 1], min(margins, default=1.0)


@pytest.mark.parametrize("beams", [1, 3])
def test_mixed_batches_are_token_identical_to_the_reference_and_to_single_requests(folder: Path, beams: int) -> None:
    ours = shared_model(str(folder), device="cpu")
    requests = mixed_requests(Settings(num_beams=beams, max_new_tokens=20, constrained=False))
    together = ours.answer(requests)
    compared = 0
    for request, answer in zip(requests, together, strict=True):
        assert not isinstance(answer, Exception)
        ids, margin = reference_ids(folder, request)
        alone = ours.answer([request])[0]
        assert not isinstance(alone, Exception)
        if margin > MARGIN:
            compared += 1
            assert answer.raw == "".join(ours._detokenize(ids)), request.prompt
            assert alone == answer, request.prompt
    assert compared >= len(requests) // 2


SETTINGS = st.builds(
    Settings, num_beams=st.sampled_from([1, 2, 3]), max_new_tokens=st.sampled_from([1, 2, 7, 24]),
    no_repeat_ngram_size=st.sampled_from([0, 1, 2, 3]), constrained=st.just(False),
)  # fmt: skip


@settings_(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mixture_in_any_order_of_arrival_is_token_identical_to_the_reference(folder: Path, data: st.DataObject) -> None:
    ours = shared_model(str(folder), device="cpu")
    known = mixed_requests(Settings(constrained=False))
    requests = [replace(known[number], settings=settings) for number, settings in
                data.draw(st.lists(st.tuples(st.integers(0, len(known) - 1), SETTINGS), min_size=1, max_size=12))]  # fmt: skip
    pauses = data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.002, 0.02]), min_size=len(requests), max_size=len(requests)))
    pending = []
    for request, pause in zip(requests, pauses, strict=True):
        pending += ours.submit([request])
        time.sleep(pause)
    for request, item in zip(requests, pending, strict=True):
        assert isinstance(item, Pending)
        ids, margin = reference_ids(folder, request)
        if margin > MARGIN:
            assert item.result().raw == "".join(ours._detokenize(ids)), request


def test_prompts_have_the_ids_of_the_reference_processor(folder: Path) -> None:
    ours, (_, processor) = shared_model(str(folder), device="cpu"), reference(folder)
    for request in mixed_requests(Settings(constrained=False)):
        wanted = processor(text=request.prompt, images=PilImage.new("RGB", (8, 8)), return_tensors="pt").input_ids[0].tolist()
        front = ours.checkpoint.image_tokens
        assert wanted[:front] == [ours.model.config.image_token_id] * front
        assert ours.prompt_ids(request.prompt) == wanted[front:]


def test_requests_of_different_settings_share_a_call() -> None:
    ours = shared_model(str(CHECKPOINT), device="cpu")
    short, long = (Request(TASKS["caption"], IMAGES[0], settings=Settings(max_new_tokens=n)) for n in (3, 60))
    first, second = ours.answer([short, long])
    assert not isinstance(first, Exception) and not isinstance(second, Exception)
    assert first.truncated and not second.truncated and len(first.text) < len(second.text)


def test_a_request_that_is_wrong_in_itself_fails_alone() -> None:
    ours = shared_model(str(CHECKPOINT), device="cpu")
    good = Request(TASKS["caption"], IMAGES[0])
    results = ours.answer([Request(TASKS["region_caption"], IMAGES[0]), good])
    assert isinstance(results[0], ValueError) and results[1] == ours.answer([good])[0]
    assert ours.answer([]) == []


def test_a_prompt_too_long_for_the_encoder_is_told() -> None:
    ours = shared_model(str(CHECKPOINT), device="cpu")
    (result,) = ours.answer([Request(TASKS["phrase_grounding"], IMAGES[0], phrase="Q" * 2000)])
    assert isinstance(result, ValueError) and "fit beside an image" in str(result)


def test_characters_split_over_tokens_stay_whole() -> None:
    ours = shared_model(str(CHECKPOINT), device="cpu")
    for text in ("café", "汉字 ok", "emoji 🙂!", "STOP<loc_5><loc_6>é"):
        ids = [i for piece in pieces(text) for i in ours.tokenizer(piece, add_special_tokens=False).input_ids]
        got = ours._detokenize(ids)
        assert len(got) == len(ids) and "".join(got) == text
