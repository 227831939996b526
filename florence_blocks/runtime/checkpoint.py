"""Loading a checkpoint: from a folder, the hub, or an adapter with its base model.

Only transformers' native Florence-2 classes and only safetensors: no code and no pickle of a checkpoint is ever executed.
Whatever is wrong with a checkpoint is a `CheckpointError` when it is loaded, not a strange answer later.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoTokenizer, Florence2Config, Florence2ForConditionalGeneration, GenerationConfig

from florence_blocks.locations import BINS
from florence_blocks.model_ids import CheckpointError, resolve
from florence_blocks.runtime import adapters, hub
from florence_blocks.runtime.former import is_former
from florence_blocks.runtime.generation import Generation
from florence_blocks.runtime.memory import is_out_of_memory
from florence_blocks.runtime.preprocess import Preprocessor
from florence_blocks.runtime.quiet import without_reports, without_retry_lines
from florence_blocks.scoring import CALIBRATION, Curve

log = logging.getLogger(__name__)

GENERATION: Final = "generation_config.json"
PROCESSORS: Final = ("processor_config.json", "preprocessor_config.json")
MOST_LAYERS: Final = 100
"""More than any Florence-2 has in encoder, decoder or vision tower."""


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
        generation: how its answers are generated.
    """

    source: str
    model: Florence2ForConditionalGeneration
    tokenizer: Any
    preprocessor: Preprocessor
    image_tokens: int
    first_location: int
    calibration: Mapping[str, Curve]
    generation: Generation


def load(source: str, *, device: torch.device, dtype: torch.dtype, revision: str | None = None) -> Checkpoint:
    """Load a resolved checkpoint.

    Args:
        source: a folder or hub id, as `resolve` gives it.
        device: where the model goes.
        dtype: its precision.
        revision: of a hub repository.

    Raises:
        CheckpointError: it cannot be read or obeyed, or is not a Florence-2 in transformers' native format with safetensors.
    """
    try:
        loaded = _loaded(source, device, dtype, revision)
        return replace(loaded, source=source, model=nn.Module.to(loaded.model, device=device, dtype=dtype).eval())
    except Exception as error:
        if isinstance(error, CheckpointError):
            raise CheckpointError(f"`{source}` cannot be used: {error}") from error.__cause__
        if is_out_of_memory(error):
            raise CheckpointError(f"`{source}` does not fit into the memory of {device}") from error
        raise


def _loaded(source: str, device: torch.device, dtype: torch.dtype, revision: str | None) -> Checkpoint:
    folder = _local(source, revision, hub.DESCRIPTIONS)
    if (folder / adapters.CONFIG).is_file():
        return _with_adapter(source, revision, device)
    _check_config(folder, source)
    return _plain(_local(source, revision, (*hub.DESCRIPTIONS, *hub.WEIGHTS)), device, dtype)


def _local(source: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The folder of a source; of a hub id, the folder in its cache."""
    if Path(source).is_dir():
        return Path(source)
    with without_retry_lines():
        return hub.fetched(source, revision, patterns)


def _plain(folder: Path, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """A checkpoint that is no adapter; its weights come last, so that wrong settings are told at once."""
    config = _config(folder)
    rows = config.text_config.vocab_size
    tokenizer = _tokenizer(folder, rows)
    images = image_settings(folder)
    preprocessor = Preprocessor.from_config(images)
    return Checkpoint(
        source=str(folder),
        tokenizer=tokenizer,
        preprocessor=preprocessor,
        image_tokens=_image_tokens(images, config.vision_config, preprocessor.size),
        first_location=_first_location(tokenizer),
        calibration=_calibration(folder / CALIBRATION),
        generation=Generation.of(_generation_config(folder, config), rows, device),
        model=_model(folder, config, dtype),
    )


def _with_adapter(source: str, revision: str | None, device: torch.device) -> Checkpoint:
    """An adapter merged into its base model, in full precision."""
    folder = _local(source, revision, (*hub.DESCRIPTIONS, *hub.WEIGHTS))
    try:
        config = adapters.config_of(folder)
        named = adapters.base_model(config)
        base = _base(named, config.get("revision"), device)
        _check_tokens(folder, base.tokenizer)
        merged = adapters.merge(base.model, folder)
    except adapters.AdapterError as error:
        raise CheckpointError(f"the adapter does not fit: {error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"the base model of the adapter, `{named}`: {error}") from error.__cause__
    except ImportError:
        raise CheckpointError("it is an adapter; `pip install 'peft>=0.15'` brings what loads adapters") from None
    own = folder / CALIBRATION
    return replace(base, model=merged, calibration=_calibration(own) if own.is_file() else base.calibration)


def _check_tokens(folder: Path, tokenizer: Any) -> None:
    """See that the tokenizer beside an adapter, if there is one, has no tokens that its base lacks."""
    added = (read_json(folder / "tokenizer.json") or {}).get("added_tokens") or []
    known = tokenizer.get_vocab()
    strange = [token["content"] for token in added if isinstance(token, dict) and token.get("content") not in known]
    if strange:
        raise CheckpointError(
            f"its tokenizer has {len(strange)} tokens that its base model lacks, the first is {strange[0]!r}; "
            "merge it where it was trained, and use the merged checkpoint"
        )


def _base(named: str, revision: Any, device: torch.device) -> Checkpoint:
    """The base model of an adapter."""
    source = resolve(named)
    kept = revision if isinstance(revision, str) and source == named else None  # a short name has revisions of its own
    folder = _local(source, kept, hub.DESCRIPTIONS)
    if (folder / adapters.CONFIG).is_file():
        raise CheckpointError("it is an adapter itself; merge it into its own base model first")
    _check_config(folder, source)
    return _plain(_local(source, kept, (*hub.DESCRIPTIONS, *hub.WEIGHTS)), device, torch.float32)


# ---------------------------------------------------------------- the parts of a folder


def read_json(file: Path) -> dict[str, Any] | None:
    """A file as a JSON object; None where there is no file."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"its {file.name} is not a JSON object ({error})") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"its {file.name} is not a JSON object")
    return found


def _check_config(folder: Path, source: str) -> None:
    """Say what is wrong with a checkpoint before transformers does in its own words."""
    config = read_json(folder / "config.json")
    if config is None:
        raise CheckpointError("it holds no config.json; a checkpoint saved with `save_pretrained` would fit")
    if is_former(config):
        raise CheckpointError(
            "it has the layout of the former remote code, which transformers' Florence-2 does not read; "
            f"`workflow convert-checkpoint {source} NEW` writes it anew in the folder NEW, which would fit"
        )
    if config.get("model_type") != "florence2":
        raise CheckpointError(f"it is a checkpoint of type {config.get('model_type')!r}, not `florence2`")
    text = config.get("text_config")
    kind = text.get("model_type", "bart") if isinstance(text, dict) else "bart"
    if kind != "bart":
        raise CheckpointError(f"its text_config is of type {kind!r}; the language model of a Florence-2 is of type `bart`")


def _model(folder: Path, config: Any, dtype: torch.dtype) -> Florence2ForConditionalGeneration:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError("it holds no safetensors; pickled weights are not loaded")
    model: Florence2ForConditionalGeneration
    try:
        _check_shapes(files, config)
        with without_reports():
            loaded: Any = Florence2ForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
                local_files_only=True,
            )  # fmt: skip
    except Exception as error:  # transformers reads the files without checks of its own
        if isinstance(error, CheckpointError) or is_out_of_memory(error):
            raise
        raise CheckpointError(f"transformers cannot load it: {_first_line(error)}") from error
    model, told = loaded
    _check_weights(model, told)
    return model


_PRECISIONS = ("F64", "F32", "F16", "BF16")
"""How safetensors calls the precisions that weights may be stored in; quantised ones mean nothing without their scales."""


def _check_shapes(files: Sequence[Path], config: Any) -> None:
    """Compare the shapes in the files with those of the config, before there is memory for either."""
    layers = (config.text_config.encoder_layers, config.text_config.decoder_layers, sum(config.vision_config.depths))
    if max(layers) > MOST_LAYERS:
        raise CheckpointError(f"its config.json asks for {max(layers)} layers; {MOST_LAYERS} at most would fit")
    with torch.device("meta"):
        wanted = Florence2ForConditionalGeneration(config).state_dict()
    for file in files:
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            for name in names:
                if name in wanted:
                    _check_weight(name, weights.get_slice(name), wanted[name])


def _check_weight(name: str, stored: Any, wanted: torch.Tensor) -> None:
    """Compare one weight in a file with that of the model."""
    found = stored.get_shape()
    if found != list(wanted.shape):
        raise CheckpointError(f"its weight `{name}` is {found} where its config.json makes it {list(wanted.shape)}")
    precision = stored.get_dtype()
    if wanted.is_floating_point() and precision not in _PRECISIONS:
        raise CheckpointError(f"its weight `{name}` is stored as {precision}; {', '.join(_PRECISIONS)} would fit")


def _check_weights(model: nn.Module, told: Mapping[str, Any]) -> None:
    """See that every weight of the model came from the file; transformers fills what did not with noise."""
    missing, strange = sorted(told["missing_keys"]), sorted(told["unexpected_keys"])
    if missing:
        besides = f", and holds `{strange[0]}`, which is none" if strange else ""
        raise CheckpointError(f"it lacks {len(missing)} weights of a Florence-2, the first is `{missing[0]}`{besides}")
    if strange:
        log.warning(
            "%d weights are not used, since a Florence-2 has none of these names; the first is %s", len(strange), strange[0]
        )
    for name, weight in model.named_parameters():
        if not math.isfinite(float(weight.detach().sum(dtype=torch.float32))):
            raise CheckpointError(f"its weight `{name}` holds values that are no numbers; the file is damaged")


def _tokenizer(folder: Path, rows: int) -> Any:
    """The tokenizer, for a model with so many rows of tokens."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        ids = tokenizer.get_vocab().values()
    except Exception as error:  # as above
        raise CheckpointError(f"its tokenizer cannot be loaded: {_first_line(error)}; "
                              "tokenizer.json beside the weights would fit") from error  # fmt: skip
    if max(ids, default=0) >= rows:
        raise CheckpointError(f"its tokenizer has ids up to {max(ids)}, and its model {rows} rows of tokens")
    if tokenizer.bos_token is None or tokenizer.eos_token is None:
        raise CheckpointError("its tokenizer names no tokens for begin and end (`bos_token`, `eos_token`)")
    return tokenizer


def _first_location(tokenizer: Any) -> int:
    """The id of the first location; all of them are in one row in every Florence-2."""
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary.get(f"<loc_{bin_}>") for bin_ in range(BINS)]
    if ids[0] is None or ids != list(range(ids[0], ids[0] + BINS)):
        raise CheckpointError(f"its tokenizer lacks the location tokens `<loc_0>` to `<loc_{BINS - 1}>` in one row")
    return int(ids[0])


def image_settings(folder: Path) -> dict[str, Any]:
    """The settings of the image processor as plain JSON; the reference's image class is not used."""
    for name in PROCESSORS:
        config = read_json(folder / name) or {}
        if config.get("num_additional_image_tokens"):
            raise CheckpointError(f"its {name} asks for `num_additional_image_tokens`, which is not supported; 0 would fit")
        images = config.get("image_processor", config)
        if isinstance(images, dict) and "image_seq_length" in images:
            return images
    raise CheckpointError(f"it holds no {' or '.join(PROCESSORS)} with an `image_seq_length`")


def _image_tokens(images: Mapping[str, Any], vision: Any, size: tuple[int, int]) -> int:
    """How many features an image has: one for every place of the last map, and their mean."""
    sides = list(size)
    for patch, stride, padding in zip(vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True):
        sides = [(side + 2 * padding - patch) // stride + 1 for side in sides]
    if max(sides) > vision.max_position_embeddings:
        raise CheckpointError(f"images of {size[1]}x{size[0]} have {max(sides)} positions along a side, and the model "
                              f"{vision.max_position_embeddings}")  # fmt: skip
    wanted, told = math.prod(sides) + 1, images["image_seq_length"]
    if told != wanted:
        raise CheckpointError(f"its `image_seq_length` is {told!r}, and images of {size[1]}x{size[0]} have {wanted} features")
    return wanted


def _config(folder: Path) -> Any:
    try:
        return Florence2Config.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as above
        raise CheckpointError(f"its config.json does not fit: {_first_line(error)}") from error


def _generation_config(folder: Path, config: Florence2Config) -> dict[str, Any]:
    """What is said about the generation; transformers itself passes over a file that it cannot read."""
    told = read_json(folder / GENERATION)
    try:
        found = GenerationConfig.from_model_config(config) if told is None else GenerationConfig.from_dict(told)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"its {GENERATION} does not fit: {_first_line(error)}") from error
    return dict(found.to_diff_dict()) if told is None else told


def _calibration(file: Path) -> dict[str, Curve]:
    """The curves beside a checkpoint; none where there is no file."""
    read = read_json(file) or {}
    try:
        curves = {task: (float(slope), float(offset)) for task, (slope, offset) in read.items()}
    except (ValueError, TypeError):
        raise CheckpointError(f"its {file.name} is not a slope and an offset per task") from None
    if not all(math.isfinite(number) for curve in curves.values() for number in curve):
        raise CheckpointError(f"its {file.name} holds a number that is none")
    return curves


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
