"""Checkpoints of the former remote code, written anew in the native layout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.model_ids import CheckpointError
from florence_blocks.requests import Request
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.convert import convert
from florence_blocks.runtime.former import native_name
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

RENAMES = [
    (r"^model\.vision_tower\.", "vision_tower."), (r"^model\.language_model\.", "language_model.model."),
    (r"^lm_head\.", "language_model.lm_head."),
    (r"^model\.multi_modal_projector\.image_projection\.weight$", "image_projection"),
    (r"^model\.multi_modal_projector\.image_position_embed\.", "image_pos_embed."),
    (r"^model\.multi_modal_projector\.", ""),
    (r"(convs\.\d+)\.conv\.", r"\1.proj."), (r"\.(conv[12])\.", r".\1.fn.dw."),
    (r"(spatial_block)\.norm1\.", r"\1.window_attn.norm."), (r"(channel_block)\.norm1\.", r"\1.channel_attn.norm."),
    (r"\.(window_attn|channel_attn)\.(qkv|proj)\.", r".\1.fn.\2."),
    (r"\.norm2\.", ".ffn.norm."), (r"\.ffn\.(fc[12])\.", r".ffn.fn.net.\1."),
]  # fmt: skip


def former_name(name: str) -> str:
    for native, former in RENAMES:
        name = re.sub(native, former, name)
    return name


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as the former remote code kept its checkpoints."""
    folder = tmp_path_factory.mktemp("former")
    for name in ("tokenizer.json", "tokenizer_config.json", "calibration.json"):
        shutil.copyfile(CHECKPOINT / name, folder / name)
    weights = {former_name(name): weight for name, weight in load_file(CHECKPOINT / "model.safetensors").items()}
    weights["image_projection"] = weights["image_projection"].t().contiguous()
    weights["language_model.lm_head.weight"] = weights["language_model.model.shared.weight"].clone()
    weights["language_model.final_logits_bias"] = torch.zeros(1, 1444)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write(folder / "config.json", former_config(json.loads((CHECKPOINT / "config.json").read_text())))
    images = json.loads((CHECKPOINT / "processor_config.json").read_text())["image_processor"]
    write(folder / "preprocessor_config.json", {**images, "auto_map": {"AutoProcessor": "processing_florence2.X"},
                                                "_valid_processor_keys": ["images"]})  # fmt: skip
    return folder


def former_config(config: dict[str, Any]) -> dict[str, Any]:
    vision = dict(config["vision_config"])
    vision["model_type"] = "davit"
    vision["dim_embed"] = vision.pop("embed_dim")
    vision["image_pos_embed"] = {"type": "learned_abs_2d", "max_pos_embeddings": vision.pop("max_position_embeddings")}
    times = vision.pop("max_temporal_embeddings")
    vision["visual_temporal_embedding"] = {"type": "COSINE", "max_temporal_embeddings": times}
    vision |= {"enable_checkpoint": False, "image_feature_source": ["spatial_avg_pool", "temporal_avg_pool"]}
    text = {**config["text_config"], "model_type": "florence2_language", "forced_bos_token_id": 0, "num_beams": 3,
            "no_repeat_ngram_size": 3, "max_length": 20, "early_stopping": False}  # fmt: skip
    return {**config, "text_config": text, "vision_config": vision, "torch_dtype": "float16",
            "auto_map": {"AutoModelForCausalLM": "modeling_florence2.Florence2ForConditionalGeneration"}}  # fmt: skip


def write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value))


def changed(former: Path, folder: Path) -> Path:
    shutil.copytree(former, folder)
    return folder


def answers(folder: Path) -> list[Any]:
    model = FlorenceModel(checkpoints.load(str(folder), device=torch.device("cpu"), dtype=torch.float32))
    image = Image(draw_scene(5).image)
    return model.answer([Request(TASKS[name], image) for name in ("caption", "object_detection", "ocr_with_regions")])


def test_every_weight_has_a_former_name_and_its_own_back() -> None:
    names = set(load_file(CHECKPOINT / "model.safetensors"))
    former_names = {former_name(name) for name in names}
    assert not former_names & names and {native_name(name) for name in former_names} == names


def test_a_former_checkpoint_is_told_how_it_is_converted(former: Path) -> None:
    with pytest.raises(CheckpointError, match=r"former remote code.*`workflow convert-checkpoint .* NEW`") as raised:
        checkpoints.load(str(former), device=torch.device("cpu"), dtype=torch.float32)
    assert len(str(raised.value)) < 500


def test_a_converted_checkpoint_answers_as_the_native_one(former: Path, tmp_path: Path) -> None:
    shutil.copyfile(CHECKPOINT / "generation_config.json", former / "generation_config.json")
    changes = ["num_beams", "no_repeat_ngram_size"]  # of the text_config, where the file of its own is silent
    convert(str(former), tmp_path / "new")
    told = json.loads((tmp_path / "new" / "generation_config.json").read_text())
    assert [told[name] for name in changes] == [1, 3] and "max_length" not in told
    native = changed(CHECKPOINT, tmp_path / "native")
    write(native / "generation_config.json", told)
    assert answers(tmp_path / "new") == answers(native)
    (former / "generation_config.json").unlink()


def test_plain_transformers_loads_a_converted_checkpoint(former: Path, tmp_path: Path) -> None:
    convert(str(former), tmp_path)
    model: Any = Florence2ForConditionalGeneration.from_pretrained(tmp_path)
    native: Any = Florence2ForConditionalGeneration.from_pretrained(CHECKPOINT)
    assert all(torch.equal(weight, native.state_dict()[name]) for name, weight in model.state_dict().items())
    assert (model.generation_config.num_beams, model.generation_config.forced_bos_token_id) == (3, 0)
    processor: Any = Florence2Processor.from_pretrained(tmp_path)
    assert processor.num_image_tokens == 101 and processor.image_token_id == 1443


def test_tokens_that_the_former_processor_added_are_kept(former: Path, tmp_path: Path) -> None:
    old = changed(former, tmp_path / "old")
    tokenizer = json.loads((old / "tokenizer.json").read_text())
    own = [token for token in tokenizer["added_tokens"] if token["id"] < 4]
    tokenizer["added_tokens"] = own
    write(old / "tokenizer.json", tokenizer)
    words = len(tokenizer["model"]["vocab"])
    weights = load_file(old / "model.safetensors")
    for name in ("language_model.model.shared.weight", "language_model.lm_head.weight"):
        weights[name] = torch.cat([weights[name][:words], torch.randn(1024, 128, dtype=torch.float16)])
    weights["language_model.final_logits_bias"] = torch.zeros(1, words + 1024)
    save_file(weights, old / "model.safetensors")
    convert(str(old), tmp_path / "new")
    found = checkpoints.load(str(tmp_path / "new"), device=torch.device("cpu"), dtype=torch.float32)
    ids = found.tokenizer.convert_tokens_to_ids(["<od>", "<loc_0>", "<loc_999>", "<cap>", "<and>", "<image>"])
    assert ids == [words, words + 4, words + 1003, words + 1004, words + 1023, words + 1024]
    assert found.first_location == words + 4 and found.model.config.image_token_id == words + 1024
    table = found.model.lm_head.weight
    assert len(table) == words + 1025 and torch.allclose(table[-1], table[:-1].mean(0), atol=1e-3)


def test_an_output_of_its_own_stays_apart_from_the_embeddings(former: Path, tmp_path: Path) -> None:
    old = changed(former, tmp_path / "old")
    weights = load_file(old / "model.safetensors")
    weights["language_model.lm_head.weight"] += 1
    save_file(weights, old / "model.safetensors")
    convert(str(old), tmp_path / "new")
    model = checkpoints.load(str(tmp_path / "new"), device=torch.device("cpu"), dtype=torch.float32).model
    assert torch.allclose(model.lm_head.weight, model.get_input_embeddings().weight + 1, atol=1e-2)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickled weights are not loaded"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 40), "weights cannot be read"),
        (lambda f: save_file({"language_model.final_logits_bias": torch.ones(1)}, f / "model.safetensors"), "is not zero"),
        (lambda f: save_file({"x": torch.ones(1)}, f / "model.safetensors"), "no embeddings"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "image_seq_length"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer"),
        (lambda f: shutil.copyfile(CHECKPOINT / "config.json", f / "config.json"), "nothing to convert"),
    ],
)
def test_what_cannot_be_converted_is_told_and_nothing_is_left(
    former: Path, tmp_path: Path, break_it: Callable[[Path], Any], said: str
) -> None:
    old = changed(former, tmp_path / "old")
    break_it(old)
    with pytest.raises(CheckpointError, match=said):
        convert(str(old), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_the_command_converts_and_writes_over_nothing(former: Path, tmp_path: Path) -> None:
    def command(*arguments: Any) -> subprocess.CompletedProcess[str]:
        code = "from workflow_engine.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    assert "convert-checkpoint" in command("--help").stdout
    done = command("convert-checkpoint", former, tmp_path / "new")
    assert done.returncode == 0 and (tmp_path / "new" / "model.safetensors").is_file(), done.stderr
    again = command("convert-checkpoint", former, tmp_path / "new")
    assert again.returncode == 2 and "new or empty would fit" in again.stderr
    nothing = command("convert-checkpoint", tmp_path, tmp_path / "other")
    assert nothing.returncode == 2 and "nothing to convert" in nothing.stderr
