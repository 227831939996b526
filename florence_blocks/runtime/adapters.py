"""LoRA adapters (PEFT) merged into their base model.

Most adapters in use were trained on the checkpoints' former remote code, whose modules have other names than transformers'
native ones. Such an adapter is rewritten in native names first; the names it was trained on decide, not its own list of
targets. Every weight of an adapter has to find its place, and every place its weight.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Florence2ForConditionalGeneration

from florence_blocks.runtime.former import native_name, native_weights

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."


class AdapterError(ValueError):
    """An adapter folder is not whole, or does not fit its base model."""


def config_of(folder: Path) -> dict[str, Any]:
    """The config of an adapter.

    Raises:
        AdapterError: the folder holds none.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"`{folder / CONFIG}` cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise AdapterError(f"`{folder / CONFIG}` is not a JSON object")
    return config


def base_model(config: Mapping[str, Any]) -> str:
    """The id of the model that an adapter was trained on.

    Raises:
        AdapterError: its config does not say.
    """
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise AdapterError(f"its {CONFIG} does not name its base model, `base_model_name_or_path`")
    return base


def merge(model: Florence2ForConditionalGeneration, folder: Path) -> Florence2ForConditionalGeneration:
    """Merge the adapter of a folder into a model.

    Raises:
        AdapterError: the adapter is not whole, or does not fit the model.
        ImportError: PEFT is not installed.
    """
    from peft import PeftModel, set_peft_model_state_dict

    weights = _weights(folder)
    config = _config(folder)
    if any(native_name(name) != name for name in weights):
        weights = _as_native(config, weights)
    try:
        tuned = PeftModel(model, config)
        if not hasattr(tuned.base_model, "merge_and_unload"):
            raise AdapterError(f"an adapter of type {config.peft_type} cannot be merged; LoRA would fit")
        given = {f"{_PREFIX}{name}": weight for name, weight in weights.items()}
        _compare(tuned, given)
        set_peft_model_state_dict(tuned, given)
        _untie(tuned)
        merged: Florence2ForConditionalGeneration = tuned.merge_and_unload()
        _check_merged(merged)
    except AdapterError:
        raise
    except Exception as error:  # PEFT reads the folder's settings without checks of its own
        raise AdapterError(str(error).strip().split("\n")[0] or type(error).__name__) from error
    return merged


def _check_merged(model: nn.Module) -> None:
    """See that a sound adapter and base were not merged by a factor that is no number."""
    for name, weight in model.named_parameters():
        if not math.isfinite(float(weight.detach().sum(dtype=torch.float32))):
            raise AdapterError(f"its settings make `{name}` values that are no numbers; a finite `lora_alpha` would fit")


def _weights(folder: Path) -> dict[str, Tensor]:
    """The weights by their names in the base model."""
    if not (folder / WEIGHTS).is_file():
        raise AdapterError(f"`{folder}` holds no {WEIGHTS}; pickled weights are not loaded")
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"`{folder / WEIGHTS}` cannot be read: {error}") from error
    if not weights:
        raise AdapterError(f"`{folder / WEIGHTS}` holds no weights")
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise AdapterError(f"`{name}` holds values that are no numbers; it was damaged or the training diverged")
    return {name.removeprefix(_PREFIX): weight for name, weight in weights.items()}


def _config(folder: Path) -> Any:
    """The config as PEFT has it."""
    from peft import PeftConfig

    try:
        config = PeftConfig.from_pretrained(str(folder))
    except Exception as error:  # PEFT reads it without checks of its own
        raise AdapterError(f"`{folder / CONFIG}` cannot be read: {str(error).strip() or type(error).__name__}") from error
    if config.is_prompt_learning:
        raise AdapterError(f"an adapter of type {config.peft_type} changes the prompt, not the weights; LoRA would fit")
    if getattr(config, "layer_replication", None):
        raise AdapterError("it repeats layers (`layer_replication`), which is not supported")
    return config


def _as_native(config: Any, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Write the config of an adapter of the remote code in native names; its weights in native names."""
    try:
        renamed = native_weights(weights)
    except ValueError as error:
        raise AdapterError(str(error)) from error
    former = sorted({name.split(".lora_")[0] for name in weights if ".lora_" in name})
    if not former:
        raise AdapterError(f"an adapter of the former remote code is of type LORA; {config.peft_type} is not supported")
    config.target_modules = [native_name(module) for module in former]
    config.rank_pattern = _native_pattern(config.rank_pattern, former)
    config.alpha_pattern = _native_pattern(config.alpha_pattern, former)
    config.modules_to_save = _native_modules(config.modules_to_save or (), weights) or None
    config.exclude_modules = config.layers_to_transform = config.layers_pattern = None
    return renamed


def _native_pattern(pattern: Mapping[str, Any] | None, modules: Sequence[str]) -> dict[str, Any]:
    """What PEFT's patterns say about modules of the remote code, by the native name of each."""
    from peft.utils.other import get_pattern_key

    found = {}
    for module in modules:
        key = get_pattern_key(list(pattern or ()), module)
        if pattern and key in pattern:
            found[native_name(module)] = pattern[key]
    return found


def _native_modules(saved: Sequence[str], weights: Mapping[str, Tensor]) -> list[str]:
    """The modules that the adapter holds whole, by their native names."""
    found = set()
    for name in weights:
        for module in saved:
            path = re.match(rf"(.*\.)?{re.escape(module)}(?=\.)", name)
            if path and ".lora_" not in name:
                found.add(native_name(path.group(0)))
    return sorted(found)


def _compare(tuned: Any, given: Mapping[str, Tensor]) -> None:
    """See that the weights of an adapter are those that its config promises for the base model."""
    from peft import get_peft_model_state_dict

    wanted = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    every = {**tuned.state_dict(), **wanted}
    fitting = sum(name in every for name in given)
    strange = sorted(name.removeprefix(_PREFIX) for name in given if name not in every)
    if strange:
        raise AdapterError(
            f"{fitting} of its {len(given)} weights fit the base model; it changes `{strange[0]}`, which the base model does "
            "not have; weights with the names of transformers' Florence-2 or of its former remote code would fit"
        )
    missing = sorted(name.removeprefix(_PREFIX) for name in wanted if name not in given)
    if missing:
        raise AdapterError(
            f"it lacks {len(missing)} of the {len(wanted)} weights that its config promises, the first is `{missing[0]}`"
        )
    for name, weight in given.items():
        if weight.shape != every[name].shape:
            raise AdapterError(
                f"`{name.removeprefix(_PREFIX)}` is {list(weight.shape)} where its config and the base model make it "
                f"{list(every[name].shape)}; an adapter of this rank that was trained on this model would fit"
            )


def _untie(tuned: Any) -> None:
    """Give every layer that is adapted weights of its own: what is tied to it (embeddings, `lm_head`) is to stay as it is."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    uses = Counter(id(parameter) for _, parameter in tuned.named_parameters(remove_duplicate=False))
    for layer in list(tuned.modules()):
        if not isinstance(layer, BaseTunerLayer):
            continue
        base = layer.get_base_layer()
        for name, parameter in list(base.named_parameters(recurse=False)):
            if uses[id(parameter)] > 1:
                setattr(base, name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
                tuned.get_base_model().config.tie_word_embeddings = False
