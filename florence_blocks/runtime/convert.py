"""A checkpoint of the former remote code, written anew in the layout of transformers' native Florence-2.

Weights get their native names, configs their native form, and the tokens that the former processor added every time it was
loaded are kept in the tokenizer. Nothing is left at its target that does not load.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AddedToken, AutoTokenizer, BartConfig, Florence2VisionConfig

from florence_blocks.locations import BINS
from florence_blocks.model_ids import DEMO_FOLDER, CheckpointError
from florence_blocks.runtime import checkpoint, generation, hub, preprocess
from florence_blocks.runtime.former import is_former, native_weights
from florence_blocks.runtime.quiet import without_retry_lines
from florence_blocks.scoring import CALIBRATION

IMAGE_TOKEN: Final = "<image>"
_TOKENIZER_FILES: Final = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
)  # fmt: skip
_PAIRS: Final = ("cap", "ncap", "dcap", "grounding", "seg")
_TOKENS: Final = (
    "<od>", "</od>", "<ocr>", "</ocr>",
    *(f"<loc_{bin_}>" for bin_ in range(BINS)),
    *(mark for pair in _PAIRS for mark in (f"<{pair}>", f"</{pair}>")),
    "<sep>", "<region_cap>", "</region_cap>", "<region_to_desciption>", "</region_to_desciption>", "<proposal>", "</proposal>",
    "<poly>", "</poly>", "<and>",
)  # fmt: skip
"""What the former processor added behind the tokenizer's own tokens, in its order and spelling."""

_SHARED: Final = "model.language_model.shared.weight"
_TIED: Final = ("model.language_model.encoder.embed_tokens.weight", "model.language_model.decoder.embed_tokens.weight")
_HEAD: Final = "lm_head.weight"
_BEFORE: Final = {"dim_embed": "embed_dim"}
_MARKING: Final = {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"}
"""Settings of the generation that are part of the model's config as well."""
_PADDED_LENGTH: Final = 20
"""What transformers wrote into every config as the length of answers; everybody who asked gave another."""
_POOLS: Final = ["spatial_avg_pool", "temporal_avg_pool"]


def convert(old: str, new: Path, *, revision: str | None = None) -> None:
    """Convert a checkpoint.

    Args:
        old: a folder or hub id.
        new: the folder that is written; it must not be there, or be empty.
        revision: of a hub repository.

    Raises:
        CheckpointError: it is no checkpoint of the former code, holds something the native classes have no place for, or the
            folder is not empty.
    """
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise CheckpointError(f"`{new}` is there already; a folder that is new or empty would fit")
    folder = _folder(old, revision)
    config = checkpoint.read_json(folder / "config.json")
    if config is None or not is_former(config):
        raise CheckpointError(f"`{old}` is no checkpoint in the layout of the former remote code; there is nothing to convert")
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=new.parent, prefix=".converting-") as scratch:
            made = Path(scratch) / "checkpoint"
            made.mkdir()
            _write(folder, config, made)
            checkpoint.load(str(made), device=torch.device("cpu"), dtype=torch.float32)
            if new.exists():
                new.rmdir()
            made.rename(new)
    except OSError as error:
        raise CheckpointError(f"`{new}` cannot be written: {error.strerror or error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"`{old}` cannot be converted: {error}") from error


def _folder(old: str, revision: str | None) -> Path:
    if Path(old).expanduser().is_dir():
        return Path(old).expanduser()
    try:
        with without_retry_lines():
            return hub.fetched(old, revision, (*hub.DESCRIPTIONS, *hub.WEIGHTS))
    except CheckpointError as error:
        raise CheckpointError(f"`{old}` cannot be converted: {error}") from error


def _write(folder: Path, config: Mapping[str, Any], made: Path) -> None:
    text: dict[str, Any] = dict(config.get("text_config") or {})
    weights = _weights(folder)
    head = weights.get(_HEAD)
    tied = head is None or torch.equal(head, weights[_SHARED])
    if tied:
        weights.pop(_HEAD, None)
    else:  # nothing is tied then
        weights |= {name: weights[_SHARED].clone() for name in _TIED}
    native: dict[str, Any] = {
        "architectures": ["Florence2ForConditionalGeneration"],
        "model_type": "florence2",
        "is_encoder_decoder": True,
        "tie_word_embeddings": tied,
        "dtype": str(weights[_SHARED].dtype).removeprefix("torch."),
        "text_config": {**_text_config(text), "tie_word_embeddings": tied},
        "vision_config": _vision_config(dict(config.get("vision_config") or {}), config.get("projection_dim")),
    }
    _write_json(made / "config.json", native)
    image_token = _write_tokenizer(folder, made)
    rows = max(len(weights[_SHARED]), image_token + 1)
    for name in {_SHARED, _HEAD, *_TIED} & weights.keys():
        weights[name] = _with_rows(weights[name], rows)
    native["image_token_id"] = image_token
    native["text_config"]["vocab_size"] = rows
    _write_json(made / "config.json", native)
    _write_json(made / checkpoint.GENERATION, _generation_config(folder, text))
    _write_json(made / "processor_config.json", _processor_config(folder))
    if (folder / CALIBRATION).is_file():
        shutil.copyfile(folder / CALIBRATION, made / CALIBRATION)
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})


# ---------------------------------------------------------------- weights


def _weights(folder: Path) -> dict[str, Tensor]:
    """All weights by their native names; of tied ones, the first."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError("it holds no safetensors; pickled weights are not loaded, because they can run code")
    try:
        weights = native_weights({name: weight for file in files for name, weight in load_file(file).items()})
    except Exception as error:  # whatever is in the files
        raise CheckpointError(f"its weights cannot be read: {str(error).strip() or type(error).__name__}") from error
    for name in (*_TIED, _HEAD):  # a file of tied weights holds only one of them, whichever came first
        if _SHARED not in weights and name in weights:
            weights[_SHARED] = weights[name]
    if _SHARED not in weights:
        raise CheckpointError("it holds no embeddings of tokens, `language_model.model.shared.weight`")
    for name in _TIED:
        if not torch.equal(weights.pop(name, weights[_SHARED]), weights[_SHARED]):
            raise CheckpointError(f"its `{name}` is another than its shared embeddings, which the native classes do not have")
    return weights


def _with_rows(table: Tensor, rows: int) -> Tensor:
    """A table of tokens with some more rows: their mean, which never is the most probable of all."""
    more = rows - len(table)
    if more <= 0:
        return table
    mean = table.float().mean(0, keepdim=True).to(table.dtype)
    return torch.cat([table, mean.expand(more, -1)])


# ---------------------------------------------------------------- configs


def _text_config(text: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that Bart knows, without those of the generation, which have a file of their own."""
    about_answers = generation.OBEYED | generation.HARMLESS | generation.REFUSED.keys()
    known = set(BartConfig().to_dict()) - (about_answers - _MARKING)
    kept = {name: value for name, value in text.items() if name in known and not name.startswith("_")}
    for name in ("architectures", "transformers_version", "torch_dtype", "dtype"):
        kept.pop(name, None)
    return {**kept, "model_type": "bart"}


def _vision_config(vision: Mapping[str, Any], projection: Any) -> dict[str, Any]:
    if vision.get("image_feature_source", _POOLS) != _POOLS:
        raise CheckpointError(f"its `image_feature_source` is {vision['image_feature_source']!r}; {_POOLS} would fit")
    known = set(Florence2VisionConfig().to_dict())
    kept = {_BEFORE.get(name, name): value for name, value in vision.items() if _BEFORE.get(name, name) in known}
    positions, times = vision.get("image_pos_embed"), vision.get("visual_temporal_embedding")
    if isinstance(positions, dict) and "max_pos_embeddings" in positions:
        kept["max_position_embeddings"] = positions["max_pos_embeddings"]
    if isinstance(times, dict) and "max_temporal_embeddings" in times:
        kept["max_temporal_embeddings"] = times["max_temporal_embeddings"]
    if "projection_dim" not in kept and projection is not None:
        kept["projection_dim"] = projection
    return {**kept, "model_type": "florence_vision"}


def _generation_config(folder: Path, text: Mapping[str, Any]) -> dict[str, Any]:
    """What the former code generated with: the settings of its text_config, under those of a file of their own."""
    found = {name: text[name] for name in sorted(generation.OBEYED) if text.get(name) is not None}
    if found.get("max_length") == _PADDED_LENGTH:
        del found["max_length"]
    told = checkpoint.read_json(folder / checkpoint.GENERATION) or {}
    found |= {name: value for name, value in told.items() if not name.startswith("_") and name != "transformers_version"}
    return found


def _processor_config(folder: Path) -> dict[str, Any]:
    images = checkpoint.image_settings(folder)
    left_out = ("auto_map", "processor_class", "_valid_processor_keys", "feature_extractor_type")
    known = preprocess.OBEYED | preprocess.HARMLESS | preprocess.REFUSED.keys()
    kept = {name: value for name, value in images.items() if name in known and name not in left_out}
    demo = checkpoint.read_json(DEMO_FOLDER / "processor_config.json") or {}
    return {**demo, "image_processor": {**kept, "image_processor_type": "CLIPImageProcessor"}}


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- the tokenizer


def _write_tokenizer(folder: Path, made: Path) -> int:
    """Write the tokenizer with all tokens of the former processor; the id of the image token."""
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, made / name)
    settings = checkpoint.read_json(made / "tokenizer_config.json") or {}
    kept = {name: value for name, value in settings.items() if name not in ("auto_map", "processor_class", "image_token")}
    _write_json(made / "tokenizer_config.json", kept)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(made, trust_remote_code=False, local_files_only=True)
        known = tokenizer.get_vocab()
        missing = [token for token in (*_TOKENS, IMAGE_TOKEN) if token not in known]
        if "<loc_0>" in known:  # it was saved with what the processor had added
            missing = [IMAGE_TOKEN] if IMAGE_TOKEN in missing else []
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in missing], special_tokens=True)
        tokenizer.save_pretrained(made)
    except Exception as error:  # whatever is in the files
        raise CheckpointError(f"its tokenizer cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    saved = checkpoint.read_json(made / "tokenizer_config.json") or {}
    _write_json(made / "tokenizer_config.json", {**saved, "image_token": IMAGE_TOKEN, "processor_class": "Florence2Processor"})
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
