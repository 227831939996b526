"""Every setting of a generation config is obeyed as by transformers' `generate`, does not matter, or is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file
from transformers import Florence2ForConditionalGeneration, Florence2Processor, GenerationConfig

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.model_ids import CheckpointError
from florence_blocks.requests import MOST_BEAMS, Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.generation import HARMLESS, OBEYED, REFUSED, Generation
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

IMAGE = Image(draw_scene(4, width=200, height=160).image)
BASIC = {**json.loads((CHECKPOINT / "generation_config.json").read_text()), "max_new_tokens": 20}
CPU = torch.device("cpu")
OTHER = 900  # any token


@cache
def reference(weights: Path) -> tuple[Any, Any]:
    model = Florence2ForConditionalGeneration.from_pretrained(weights, dtype=torch.float32).eval()
    return model, Florence2Processor.from_pretrained(CHECKPOINT)


def reference_ids(weights: Path, settings: dict[str, Any], request: Request, seed: int | None = None) -> list[int]:
    """What `generate` gives under a generation config."""
    model, processor = reference(weights)
    model.generation_config = GenerationConfig.from_dict(settings)
    rgb = PilImage.fromarray(np.ascontiguousarray(request.image.array[:, :, ::-1]))
    inputs = processor(text=request.prompt, images=rgb, return_tensors="pt")
    if seed is not None:
        torch.manual_seed(seed)
    with torch.inference_mode():
        ids: list[int] = model.generate(**inputs)[0].tolist()[1:]
    return ids


@cache
def loaded(weights: Path) -> checkpoints.Checkpoint:
    return checkpoints.load(str(weights), device=CPU, dtype=torch.float32)


def changed(weights: Path = CHECKPOINT, **changes: Any) -> FlorenceModel:
    """The model with another generation config; None removes a setting."""
    return FlorenceModel(replace(loaded(weights), generation=Generation.of(merged(changes), 1444, CPU)))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of the embedded model with another generation config."""

    def make(**changes: Any) -> Path:
        shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
        (tmp_path / "generation_config.json").write_text(json.dumps(merged(changes)))
        return tmp_path

    return make


def merged(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**BASIC, **changes}.items() if value is not None}


def answered(model: FlorenceModel, requests: list[Request]) -> list[list[int]]:
    """The ids of answers, asked for together."""
    found = []
    for item in model.submit(requests):
        assert not isinstance(item, Exception), item
        (job,) = item._jobs
        search = job.done.result()
        found.append([token.id for token in search.answer.path()])
    return found


def requests(seed: int | None = None) -> list[Request]:
    settings = Settings(constrained=False, seed=seed)
    return [Request(TASKS[task], IMAGE, settings=settings) for task in ("caption", "object_detection")]


CHANGES: list[dict[str, Any]] = [
    {"max_new_tokens": None, "max_length": 9},
    {"max_new_tokens": 6, "max_length": 20},
    {"max_new_tokens": 30, "min_new_tokens": 25},
    {"max_new_tokens": 30, "min_length": 25},
    {"max_new_tokens": 30, "min_length": 29, "min_new_tokens": 21},
    {"forced_eos_token_id": [2, 1], "max_new_tokens": 5},
    {"forced_eos_token_id": [2, 40], "max_new_tokens": 5, "num_beams": 3},
    {"forced_eos_token_id": None, "max_new_tokens": 5},
    {"forced_bos_token_id": None, "begin_suppress_tokens": [0]},
    {"forced_bos_token_id": 40, "num_beams": 3},
    {"eos_token_id": [2, 268, 999]},
    {"eos_token_id": [2, 268, 999], "num_beams": 2},
    {"decoder_start_token_id": 0},
    {"decoder_start_token_id": None},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6, "num_beams": 2},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2, "num_beams": 3},
    {"bad_words_ids": [[325, 305], [334], [2]], "num_beams": 2},
    {"sequence_bias": [[[325], -9.0], [[268, 338], -20.0], [[86, 295], -9.0]]},
    {"suppress_tokens": [325, 334, 295]},
    {"begin_suppress_tokens": [36, 86]},
    {"exponential_decay_length_penalty": [3, 1.6], "num_beams": 2},
    {"renormalize_logits": True, "num_beams": 3, "suppress_tokens": [325, 334, 295]},
    {"remove_invalid_values": True, "num_beams": 3},
    *(
        {"num_beams": 3, "eos_token_id": [2, 268, 295, 312], **more}
        for more in (
            {"length_penalty": 2.0},
            {"length_penalty": -2.0},
            {"early_stopping": True, "length_penalty": 2.0},
            {"early_stopping": "never", "length_penalty": 2.0},
        )
    ),
]


@pytest.fixture(scope="module")
def hazy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that are less sure, so that beams and limits make a difference."""
    return with_weights(tmp_path_factory.mktemp("hazy"), r"decoder\.layers\.2\.final_layer_norm", lambda weight: weight * 0.2)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in which every token has a twin with the same embedding, so that candidates tie exactly."""
    return with_weights(tmp_path_factory.mktemp("twins"), r"shared\.weight", twinned)


def with_weights(folder: Path, names: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """A copy of the embedded model with some weights changed."""
    shutil.copytree(CHECKPOINT, folder, dirs_exist_ok=True)
    weights = load_file(CHECKPOINT / "model.safetensors")
    changed = {name: change(weight) for name, weight in weights.items() if re.search(names, name)}
    assert changed
    save_file({**weights, **changed}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def twinned(table: torch.Tensor) -> torch.Tensor:
    twin = table.clone()
    twin[5:440:2] = twin[4:439:2]
    twin[445:1443:2] = twin[444:1442:2]
    return twin


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_answers_follow_the_generation_config_as_those_of_generate(hazy: Path, changes: dict[str, Any]) -> None:
    asked = requests()
    wanted = [reference_ids(hazy, merged(changes), request) for request in asked]
    assert answered(changed(hazy, **changes), asked) == wanted


SAMPLING: list[dict[str, Any]] = [
    {},
    {"temperature": 3.0},
    {"temperature": 3.0, "top_k": 3},
    {"temperature": 3.0, "top_k": 0},
    {"temperature": 2.0, "top_p": 0.6},
    {"temperature": 2.0, "min_p": 0.2},
    {"temperature": 2.0, "top_h": 0.5},
    {"temperature": 2.0, "typical_p": 0.5},
    {"temperature": 3.0, "top_k": 0, "epsilon_cutoff": 0.01},
    {"temperature": 3.0, "top_k": 0, "eta_cutoff": 0.01},
    {"temperature": 2.0, "renormalize_logits": True, "repetition_penalty": 1.3, "remove_invalid_values": True},
    {"temperature": 2.0, "num_beams": 2, "top_k": 5},
    {"temperature": 2.0, "num_beams": 3, "top_p": 0.5, "eos_token_id": [2, 300]},
]


@pytest.mark.parametrize("changes", SAMPLING, ids=str)
def test_drawn_tokens_are_those_that_generate_draws(changes: dict[str, Any]) -> None:
    changes = {**changes, "do_sample": True, "max_new_tokens": 20}
    asked = requests(seed=7)
    wanted = [reference_ids(CHECKPOINT, merged(changes), request, seed=7) for request in asked]
    assert answered(changed(**changes), asked) == wanted


def test_a_request_that_draws_finds_the_settings_of_drawing() -> None:
    changes = {"temperature": 3.0, "top_k": 4, "max_new_tokens": 20}
    asked = [Request(TASKS["caption"], IMAGE, settings=Settings(constrained=False, seed=3, do_sample=True))]
    wanted = reference_ids(CHECKPOINT, merged({**changes, "do_sample": True}), asked[0], seed=3)
    assert answered(changed(**changes), asked) == [wanted]


def test_the_longest_answer_is_as_long_as_that_of_generate() -> None:
    changes = {"max_new_tokens": 512, "min_new_tokens": 512}
    asked = requests()[:1]
    wanted = reference_ids(CHECKPOINT, merged(changes), asked[0])
    assert len(wanted) == 512
    assert answered(changed(**changes), asked) == [wanted]


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_equal_candidates_come_in_the_order_of_generate(twins: Path, beams: int) -> None:
    changes = {"num_beams": beams, "max_new_tokens": 30}
    asked = requests()
    wanted = [reference_ids(twins, merged(changes), request) for request in asked]
    assert answered(changed(twins, **changes), asked) == wanted


def test_every_setting_of_transformers_has_a_decision() -> None:
    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    assert known <= OBEYED | HARMLESS | REFUSED.keys()
    assert not (OBEYED & HARMLESS or OBEYED & REFUSED.keys() or HARMLESS & REFUSED.keys())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_return_sequences": 3, "num_beams": 3}, "`num_return_sequences` = 3, .* 1 would fit"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha"),
        ({"guidance_scale": 1.5}, "guidance_scale"),
        ({"encoder_no_repeat_ngram_size": 3}, "encoder_no_repeat_ngram_size"),
        ({"encoder_repetition_penalty": 1.2}, "encoder_repetition_penalty"),
        ({"stop_strings": ["x"]}, "stop_strings"),
        ({"max_time": 2.0}, "max_time"),
        ({"a_setting_of_the_future": 3}, "a_setting_of_the_future"),
        ({"num_beams": 10**6}, f"from 1 to {MOST_BEAMS}"),
        ({"num_beams": 2.5}, "whole number"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": None, "max_length": 1}, "max_length"),
        ({"do_sample": True, "temperature": -1.0}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"early_stopping": "soon"}, "early_stopping"),
        ({"eos_token_id": None}, "eos_token_id"),
        ({"eos_token_id": [2, 99999]}, "ids of tokens from 0 to 1443"),
        ({"suppress_tokens": [-1]}, "suppress_tokens"),
        ({"suppress_tokens": [2]}, "suppress"),
        ({"bad_words_ids": [[]]}, "bad_words_ids"),
        ({"sequence_bias": {"x": 1}}, "sequence_bias"),
        ({"exponential_decay_length_penalty": [3]}, "generation config"),
        ({"decoder_start_token_id": [0, 1]}, "one token would fit"),
    ],
)
def test_a_setting_that_cannot_be_obeyed_is_refused_when_the_model_is_loaded(
    folder: Callable[..., Path], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        checkpoints.load(str(folder(**changes)), device=CPU, dtype=torch.float32)


def test_settings_about_speed_and_by_products_do_not_matter() -> None:
    changes = {"use_cache": False, "output_scores": True, "num_assistant_tokens": 3, "cache_implementation": "static"}
    asked = requests()
    assert answered(changed(**changes), asked) == answered(changed(), asked)


def test_the_settings_are_those_of_the_folder(folder: Callable[..., Path]) -> None:
    model = FlorenceModel(checkpoints.load(str(folder(max_new_tokens=None, max_length=9)), device=CPU, dtype=torch.float32))
    assert [len(ids) for ids in answered(model, requests())] == [8, 8]


def test_a_generation_config_that_cannot_be_read_is_told(folder: Callable[..., Path]) -> None:
    broken = folder()
    (broken / "generation_config.json").write_text('{"num_beams": ')
    with pytest.raises(CheckpointError, match=r"generation_config.json is not a JSON object"):
        checkpoints.load(str(broken), device=CPU, dtype=torch.float32)


def test_beams_have_a_bound() -> None:
    with pytest.raises(ValueError, match=f"`num_beams` is .* at most {MOST_BEAMS}"):
        Settings(num_beams=MOST_BEAMS + 1)
