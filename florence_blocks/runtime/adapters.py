"""LoRA adapters (PEFT) merged into their base model.

Most adapters in use were trained on the checkpoints' former remote code, whose modules have other names than transformers'
native ones. Such an adapter is rewritten in native names first; the names it was trained on decide, not its own list of
targets.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Florence2ForConditionalGeneration

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."
_RENAMES: Final = (
    (r"^vision_tower\.", "model.vision_tower."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\b", "lm_head"),
    (r"^image_proj_norm\b", "model.multi_modal_projector.image_proj_norm"),
    (r"^image_pos_embed\.", "model.multi_modal_projector.image_position_embed."),
    (r"(vision_tower\.convs\.\d+)\.proj\b", r"\1.conv"),
    (r"\.(conv[12])\.fn\.dw\b", r".\1"),
    (r"\.(?:window|channel)_attn\.norm\b", ".norm1"),
    (r"\.(window_attn|channel_attn)\.fn\.", r".\1."),
    (r"\.ffn\.norm\b", ".norm2"),
    (r"\.ffn\.fn\.net\.", ".ffn."),
)
"""The names of the remote code, as patterns, and the native names in their place."""


class AdapterError(ValueError):
    """An adapter folder is not whole, or does not fit its base model."""


def native_name(name: str) -> str:
    """The native name of a module or weight of the remote code; a native name is its own."""
    for pattern, native in _RENAMES:
        name = re.sub(pattern, native, name)
    return name


def base_model(folder: Path) -> str:
    """The id of the model that an adapter was trained on.

    Raises:
        AdapterError: the folder does not say.
    """
    base = _config(folder).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise AdapterError(f"`{folder / CONFIG}` does not name its base model")
    return base


def merge(model: Florence2ForConditionalGeneration, folder: Path) -> Florence2ForConditionalGeneration:
    """Merge the adapter of a folder into a model.

    Raises:
        AdapterError: the adapter is not whole, or does not fit the model.
        ImportError: PEFT is not installed.
    """
    from peft import PeftModel

    if not (folder / WEIGHTS).is_file():
        raise AdapterError(f"`{folder}` holds no {WEIGHTS}; pickled weights are not loaded")
    weights = {key.removeprefix(_PREFIX): value for key, value in load_file(folder / WEIGHTS).items()}
    config = _config(folder)
    with tempfile.TemporaryDirectory() as scratch:
        if any(native_name(key) != key for key in weights):
            _write_native(config, weights, model, Path(scratch))
            folder = Path(scratch)
        try:
            merged: Florence2ForConditionalGeneration = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
        except (ValueError, RuntimeError) as error:
            raise AdapterError(str(error).strip().split("\n")[0]) from error
    return merged


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"`{folder / CONFIG}` cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise AdapterError(f"`{folder / CONFIG}` is not a JSON object")
    return config


def _write_native(
    config: dict[str, Any], weights: dict[str, Tensor], model: Florence2ForConditionalGeneration, folder: Path
) -> None:
    """Write an adapter of the remote code as an adapter of the native classes."""
    renamed = {native_name(key): value for key, value in weights.items()}
    targets = sorted({key.split(".lora_")[0] for key in renamed if ".lora_" in key})
    known = {name for name, _ in model.named_modules()}
    strange = [target for target in targets if target not in known]
    if strange:
        raise AdapterError(f"it changes `{strange[0]}`, which the base model does not have")
    native = {**config, "target_modules": targets, "exclude_modules": None}
    (folder / CONFIG).write_text(json.dumps(native), encoding="utf-8")
    save_file({f"{_PREFIX}{key}": value for key, value in renamed.items()}, folder / WEIGHTS)
