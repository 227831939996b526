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
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.adapters import CONFIG, WEIGHTS, native_name
from florence_blocks.runtime.checkpoint import CheckpointError

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


def test_an_adapter_of_another_model_is_refused(adapter: Path) -> None:
    rename(adapter, {"model.language_model.encoder.layers.1.fc1": "language_model.model.encoder.layers.11.fc1"})
    with pytest.raises(CheckpointError, match=r"changes `model.language_model.encoder.layers.11.fc1`"):
        load(adapter)


def test_an_adapter_that_is_not_whole_is_refused(adapter: Path) -> None:
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights are not loaded"):
        load(adapter)
    configure(adapter, base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="does not name its base model"):
        load(adapter)


def test_a_checkpoint_with_other_names_is_refused(tmp_path: Path) -> None:
    for file in CHECKPOINT.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(CHECKPOINT / "model.safetensors")
    save_file({key.replace(".conv1.", ".conv1.fn.dw."): value for key, value in weights.items()},
              tmp_path / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(CheckpointError, match="former remote code"):
        load(tmp_path)
