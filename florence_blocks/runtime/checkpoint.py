"""Finding and loading a checkpoint: short names, hub ids, local folders, adapters and the embedded model.

Only transformers' native Florence-2 classes and only safetensors: no code and no pickle of a checkpoint is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoTokenizer, Florence2ForConditionalGeneration
from transformers.utils import logging
from transformers.utils.hub import cached_file

from florence_blocks.demo import CHECKPOINT as DEMO_CHECKPOINT
from florence_blocks.locations import BINS
from florence_blocks.runtime import adapters
from florence_blocks.runtime.preprocess import Preprocessor
from florence_blocks.scoring import CALIBRATION, Curve

SHORT_NAMES: Final = {
    "florence-2-base": "florence-community/Florence-2-base",
    "florence-2-large": "florence-community/Florence-2-large",
    "florence-2-base-ft": "florence-community/Florence-2-base-ft",
    "florence-2-large-ft": "florence-community/Florence-2-large-ft",
}
"""Short names of the published checkpoints, in transformers' native format."""

DEMO: Final = "florence-2-demo"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be found or is not a Florence-2; the message says what was looked for and what would fit."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        source: the folder or hub id it was loaded from.
        model: the native model, in evaluation mode on its device.
        tokenizer: its tokenizer.
        preprocessor: turns images into its pixel values.
        image_tokens: how many features an image has in front of the prompt.
        calibration: the curves of its confidences, by task; see `scoring`.
        first_location: the id of `<loc_0>`; the other locations follow it.
    """

    source: str
    model: Florence2ForConditionalGeneration
    tokenizer: Any
    preprocessor: Preprocessor
    image_tokens: int
    first_location: int
    calibration: Mapping[str, Curve]


def resolve(model_id: str) -> str:
    """The folder or hub id that a model id stands for; one spelling for one checkpoint.

    Raises:
        CheckpointError: it looks like a folder and is none.
    """
    if model_id == DEMO:
        return str(DEMO_CHECKPOINT)
    if model_id in SHORT_NAMES:
        return SHORT_NAMES[model_id]
    if model_id.lower().removeprefix("microsoft/") in SHORT_NAMES:  # the same weights, in the former code's layout
        return SHORT_NAMES[model_id.lower().removeprefix("microsoft/")]
    path = Path(model_id).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if path.is_absolute() or model_id.startswith((".", "~")) or model_id.count("/") != 1:
        known = ", ".join([DEMO, *SHORT_NAMES])
        raise CheckpointError(f"`{model_id}` is no folder; a folder, a hub id (`owner/name`) or one of {known} would fit")
    return model_id


def load(source: str, *, device: torch.device, dtype: torch.dtype, revision: str | None = None) -> Checkpoint:
    """Load a resolved checkpoint.

    Raises:
        CheckpointError: it cannot be read, or is not a Florence-2 in transformers' native format with safetensors.
    """
    if (Path(source) / adapters.CONFIG).is_file():
        return _load_adapter(Path(source), device, dtype)
    _check_folder(Path(source))
    logging.disable_progress_bar()
    try:
        loaded: Any = Florence2ForConditionalGeneration.from_pretrained(
            source, revision=revision or "main", dtype=dtype, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        processor = _processor_config(source, revision)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"`{source}` cannot be loaded: {_first_line(error)}") from error
    model, loading = loaded
    if not isinstance(model, Florence2ForConditionalGeneration):
        raise CheckpointError(f"`{source}` is a {type(model).__name__}, not a Florence-2")
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers fills them with noise
        raise CheckpointError(
            f"`{source}` lacks {len(missing)} weights of a Florence-2, the first is `{missing[0]}`; "
            "a checkpoint of the former remote code has other names and has to be converted"
        )
    images = processor.get("image_processor", processor)
    return Checkpoint(
        source=source,
        model=nn.Module.to(model, device).eval(),
        tokenizer=tokenizer,
        preprocessor=Preprocessor.from_config(images),
        image_tokens=int(images["image_seq_length"]),
        first_location=_first_location(source, tokenizer),
        calibration=_calibration(Path(source) / CALIBRATION),
    )


def _calibration(file: Path) -> dict[str, Curve]:
    """The curves beside a local checkpoint; none where there is no file."""
    if not file.is_file():
        return {}
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        return {str(task): (float(slope), float(offset)) for task, (slope, offset) in read.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"`{file}` is not a slope and an offset per task: {error}") from None


def _first_location(source: str, tokenizer: Any) -> int:
    """The id of the first location; all of them are in one row in every Florence-2."""
    ids = tokenizer.convert_tokens_to_ids([f"<loc_{bin_}>" for bin_ in range(BINS)])
    if ids != list(range(ids[0], ids[0] + BINS)):
        raise CheckpointError(f"the tokenizer of `{source}` lacks the location tokens `<loc_0>` to `<loc_{BINS - 1}>`")
    return int(ids[0])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _check_folder(folder: Path) -> None:
    """Say what is wrong with a local folder before transformers does in its own words."""
    if not folder.is_dir():
        return
    config = folder / "config.json"
    if not config.is_file():
        raise CheckpointError(f"`{folder}` holds no config.json; a checkpoint saved with `save_pretrained` would fit")
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        raise CheckpointError(f"`{config}` is not a JSON object") from None
    if kind != "florence2":
        raise CheckpointError(f"`{folder}` is a checkpoint of type {kind!r}, not `florence2`")
    if not list(folder.glob("*.safetensors")):
        raise CheckpointError(f"`{folder}` holds no safetensors; pickled weights are not loaded")


def _processor_config(source: str, revision: str | None) -> dict[str, Any]:
    """The processor's settings as plain JSON; the reference's image class is not used."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if path is not None:
            config: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if "image_seq_length" in config.get("image_processor", config):
                return config
    raise ValueError("it has no processor_config.json or preprocessor_config.json with an image_seq_length")


def _load_adapter(folder: Path, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Load an adapter: its base model, with the adapter merged into the weights."""
    try:
        base = load(resolve(adapters.base_model(folder)), device=device, dtype=dtype)
        merged = adapters.merge(base.model, folder)
    except adapters.AdapterError as error:
        raise CheckpointError(f"the adapter `{folder}` cannot be used: {error}") from error
    except ImportError:
        raise CheckpointError(f"`{folder}` is an adapter; `pip install florence-blocks[peft]` loads adapters") from None
    return replace(base, source=str(folder), model=merged.eval())
