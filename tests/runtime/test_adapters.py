"""PEFT adapters, of the native classes and of the former remote code (fault 12)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from florence_blocks.demo import CHECKPOINT
from florence_blocks.model_ids import CheckpointError
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.adapters import CONFIG, WEIGHTS
from florence_blocks.runtime.former import native_name

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # peft has much to say of adapters as odd as these

REMOTE = {  # native name: name in the remote code
    "model.language_model.decoder.layers.0.self_attn.out_proj": "language_model.model.decoder.layers.0.self_attn.out_proj",
    "model.language_model.encoder.layers.1.fc1": "language_model.model.encoder.layers.1.fc1",
    "model.vision_tower.convs.1.conv": "vision_tower.convs.1.proj",
    "model.vision_tower.blocks.0.0.spatial_block.window_attn.qkv":
        "vision_tower.blocks.0.0.spatial_block.window_attn.fn.qkv",
    "model.vision_tower.blocks.1.0.channel_block.channel_attn.proj":
        "vision_tower.blocks.1.0.channel_block.channel_attn.fn.proj",
    "model.vision_tower.blocks.1.0.channel_block.ffn.fc2": "vision_tower.blocks.1.0.channel_block.ffn.fn.net.fc2",
}  # fmt: skip


def load(source: Path | str) -> Any:
    return checkpoints.load(str(source), device=torch.device("cpu"), dtype=torch.float32).model


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of the native classes that changes every sort of module."""
    torch.manual_seed(0)
    tuned = get_peft_model(load(CHECKPOINT), LoraConfig(r=2, target_modules=list(REMOTE), init_lora_weights=False))
    tuned.save_pretrained(str(tmp_path))
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    return tmp_path


def configure(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def rename(folder: Path, names: dict[str, str]) -> None:
    weights = load_file(folder / WEIGHTS)
    for old, new in names.items():
        weights = {key.replace(f".model.{old}.", f".model.{new}."): value for key, value in weights.items()}
    save_file(weights, folder / WEIGHTS)


def test_an_adapter_is_merged_into_its_base(adapter: Path) -> None:
    base, tuned = load(CHECKPOINT).state_dict(), load(adapter).state_dict()
    assert {key for key in base if not torch.equal(base[key], tuned[key])} == {f"{name}.weight" for name in REMOTE}
    assert tuned.keys() == base.keys()


def test_an_adapter_of_the_remote_code_is_the_same_adapter(adapter: Path) -> None:
    wanted = load(adapter).state_dict()
    rename(adapter, REMOTE)
    configure(adapter, target_modules=["qkv", "proj", "out_proj", "fc1", "fc2", "dw", "o_proj", "linear", "Conv2d"])
    found = load(adapter).state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize(("remote", "native"), [
    ("vision_tower.blocks.2.8.channel_block.conv2.fn.dw", "model.vision_tower.blocks.2.8.channel_block.conv2"),
    ("vision_tower.blocks.0.0.spatial_block.window_attn.norm", "model.vision_tower.blocks.0.0.spatial_block.norm1"),
    ("vision_tower.blocks.0.0.channel_block.ffn.norm", "model.vision_tower.blocks.0.0.channel_block.norm2"),
    ("image_pos_embed.row_embeddings", "model.multi_modal_projector.image_position_embed.row_embeddings"),
    ("language_model.lm_head", "lm_head"),
    ("model.vision_tower.convs.0.norm", "model.vision_tower.convs.0.norm"),
])  # fmt: skip
def test_names_of_the_remote_code_have_native_ones(remote: str, native: str) -> None:
    assert native_name(remote) == native


def logits(model: Any) -> torch.Tensor:
    """What a model gives for an image, a prompt and the start of an answer."""
    torch.manual_seed(5)
    prompt = torch.cat([torch.full((1, 101), 1443), torch.randint(4, 440, (1, 9))], dim=1)
    answer = torch.randint(4, 440, (1, 6))
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=prompt, pixel_values=torch.randn(1, 3, 160, 160), decoder_input_ids=answer).logits
    return found


SORTS: dict[str, dict[str, Any]] = {
    "linear": {"target_modules": ["q_proj", "fc1", "qkv"]},
    "output": {"target_modules": ["lm_head", "q_proj"]},
    "embeddings": {"target_modules": ["shared", "embed_tokens"]},
    "embeddings of the decoder": {"target_modules": ["decoder.embed_tokens", "lm_head"]},
    "convolutions": {"target_modules": ["conv"]},
    "whole modules": {"target_modules": ["v_proj"], "modules_to_save": ["lm_head", "image_proj_norm"]},
    "whole embeddings": {"target_modules": ["v_proj"], "modules_to_save": ["shared"]},
    "dora": {"target_modules": ["q_proj", "fc2"], "use_dora": True},
    "rank-stabilised": {"target_modules": ["q_proj", "fc2"], "use_rslora": True},
    "biases": {"target_modules": ["q_proj"], "bias": "all"},
    "biases of its own": {"target_modules": ["q_proj"], "bias": "lora_only"},
    "patterns": {"target_modules": ["q_proj", "fc1"], "rank_pattern": {"fc1": 5}, "alpha_pattern": {r"encoder.*q_proj": 30}},
    "fan in": {"target_modules": ["q_proj", "fc1"], "fan_in_fan_out": True},
    "single tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 6]},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sort", SORTS)
def test_a_merged_adapter_gives_what_the_unmerged_one_gives(tmp_path: Path, sort: str) -> None:
    torch.manual_seed(0)
    tuned: Any = get_peft_model(load(CHECKPOINT), LoraConfig(**{"r": 4, "init_lora_weights": False, **SORTS[sort]}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad and "lora_" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.save_pretrained(str(tmp_path), save_embedding_layers=False)
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    wanted, base = logits(tuned.eval()), logits(load(CHECKPOINT))
    found = logits(load(tmp_path))
    assert (wanted - base).abs().max() > 0.1
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_an_adapter_of_the_output_leaves_the_embeddings_alone(tmp_path: Path) -> None:
    tuned = get_peft_model(load(CHECKPOINT), LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False))
    tuned.save_pretrained(str(tmp_path))
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    base, found = load(CHECKPOINT), load(tmp_path)
    assert torch.equal(found.get_input_embeddings().weight, base.get_input_embeddings().weight)
    assert not torch.equal(found.lm_head.weight, base.lm_head.weight)


def test_patterns_of_the_remote_code_are_renamed(tmp_path: Path) -> None:
    ranks, alphas = {"convs.1.conv": 3, "window_attn.qkv": 5}, {"ffn.fc2": 3, "window_attn.qkv": 40}
    config = LoraConfig(r=2, target_modules=list(REMOTE), init_lora_weights=False, rank_pattern=ranks, alpha_pattern=alphas)
    get_peft_model(load(CHECKPOINT), config).save_pretrained(str(tmp_path))
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    wanted = logits(load(tmp_path))
    rename(tmp_path, REMOTE)
    configure(tmp_path, target_modules=["qkv", "proj"], rank_pattern={"convs.1.proj": 3, "window_attn.fn.qkv": 5},
              alpha_pattern={"ffn.fn.net.fc2": 3, r".*\.fn\.qkv": 40})  # fmt: skip
    assert torch.equal(logits(load(tmp_path)), wanted)


def test_whole_modules_of_the_remote_code_are_found(tmp_path: Path) -> None:
    saved = ["lm_head", "image_proj_norm"]
    tuned = get_peft_model(load(CHECKPOINT), LoraConfig(r=2, target_modules=list(REMOTE), modules_to_save=saved))
    tuned.save_pretrained(str(tmp_path))
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    weights = load_file(tmp_path / WEIGHTS)
    weights = {key: value + 0.1 if ".lora_" not in key else value for key, value in weights.items()}
    save_file(weights, tmp_path / WEIGHTS)
    wanted = logits(load(tmp_path))
    former = {
        "model.lm_head.": "model.language_model.lm_head.",
        "model.model.multi_modal_projector.image_proj": "model.image_proj",
    }
    for native, remote in former.items():
        weights = {key.replace(native, remote): value for key, value in weights.items()}
    save_file(weights, tmp_path / WEIGHTS)
    rename(tmp_path, REMOTE)
    assert torch.equal(logits(load(tmp_path)), wanted)


def test_weights_that_fit_nothing_are_told(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    save_file(
        {key.replace("model.model.language", "model.transformer.language"): value for key, value in weights.items()},
        adapter / WEIGHTS,
    )
    with pytest.raises(CheckpointError, match=r"8 of its 12 weights fit the base model; it changes `transformer.* would fit"):
        load(adapter)


def test_an_adapter_of_another_model_is_refused(adapter: Path) -> None:
    rename(adapter, {"model.language_model.encoder.layers.1.fc1": "language_model.model.encoder.layers.11.fc1"})
    with pytest.raises(CheckpointError, match=r"10 of its 12 weights .* `model.language_model.encoder.layers.11.fc1.lora_A"):
        load(adapter)


def test_an_adapter_of_another_width_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    name = next(key for key in weights if key.endswith("out_proj.lora_A.weight"))
    save_file({**weights, name: torch.zeros(2, 768)}, adapter / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"out_proj.lora_A.weight` is \[2, 768\] where .* \[2, 128\]"):
        load(adapter)


def test_weights_that_are_missing_are_told(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    kept = dict(sorted(weights.items())[3:])
    save_file(kept, adapter / WEIGHTS)
    with pytest.raises(CheckpointError, match="lacks 3 of the 12 weights that its config promises"):
        load(adapter)


def test_weights_that_are_no_numbers_are_told(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    save_file({key: value * torch.nan for key, value in weights.items()}, adapter / WEIGHTS)
    with pytest.raises(CheckpointError, match="no numbers"):
        load(adapter)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_model_name_or_path": "./not/here"}, "base model of the adapter, `./not/here`"),
        ({"base_model_name_or_path": 3}, "base_model_name_or_path"),
        ({"peft_type": "PROMPT_TUNING"}, "LoRA would fit"),
        ({"peft_type": "A_NEW_ONE"}, "adapter_config.json` cannot be read"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"r": -3}, "does not fit"),
        ({"lora_alpha": float("nan")}, "no numbers"),
        ({"lora_alpha": float("inf")}, "no numbers"),
        ({"target_modules": ["no_such_module"]}, "no_such_module"),
    ],
)
def test_an_adapter_config_that_cannot_be_obeyed_is_told(adapter: Path, changes: dict[str, Any], said: str) -> None:
    configure(adapter, **changes)
    with pytest.raises(CheckpointError, match=said):
        load(adapter)


def test_an_adapter_of_a_depthwise_convolution_is_refused(tmp_path: Path) -> None:
    target = ["blocks.1.0.spatial_block.conv1"]
    get_peft_model(load(CHECKPOINT), LoraConfig(r=64, target_modules=target)).save_pretrained(str(tmp_path))
    configure(tmp_path, base_model_name_or_path="florence-2-demo")
    with pytest.raises(CheckpointError, match="groups"):
        load(tmp_path)


def test_an_adapter_of_an_adapter_is_refused(adapter: Path) -> None:
    configure(adapter, base_model_name_or_path=str(adapter))
    with pytest.raises(CheckpointError, match="an adapter itself"):
        load(adapter)


def test_tokens_that_the_base_lacks_are_told(adapter: Path) -> None:
    told = json.loads((CHECKPOINT / "tokenizer.json").read_text())
    (adapter / "tokenizer.json").write_text(json.dumps(told))
    load(adapter)
    told["added_tokens"].append({"id": 1444, "content": "<invoice>", "special": True})
    (adapter / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="1 tokens that its base model lacks, the first is '<invoice>'"):
        load(adapter)


def test_an_adapter_brings_its_own_calibration(adapter: Path) -> None:
    def curves() -> Any:
        return checkpoints.load(str(adapter), device=torch.device("cpu"), dtype=torch.float32).calibration

    assert curves() == checkpoints.load(str(CHECKPOINT), device=torch.device("cpu"), dtype=torch.float32).calibration
    (adapter / "calibration.json").write_text(json.dumps({"caption": [2.0, -1.0]}))
    assert curves() == {"caption": (2.0, -1.0)}


def test_an_adapter_that_is_not_whole_is_refused(adapter: Path) -> None:
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights are not loaded"):
        load(adapter)
    configure(adapter, base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="does not name its base model"):
        load(adapter)
