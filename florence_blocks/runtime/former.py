"""The layout of the checkpoints' former remote code: its names of modules and weights, and the native ones in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

_RENAMES: Final = (
    (r"^vision_tower\b", "model.vision_tower"),
    (r"^language_model\.model\b", "model.language_model"),
    (r"^language_model\.lm_head\b", "lm_head"),
    (r"^image_projection$", "model.multi_modal_projector.image_projection.weight"),
    (r"^image_proj_norm\b", "model.multi_modal_projector.image_proj_norm"),
    (r"^image_pos_embed\b", "model.multi_modal_projector.image_position_embed"),
    (r"^visual_temporal_embed\b", "model.multi_modal_projector.visual_temporal_embed"),
    (r"(vision_tower\.convs\.\d+)\.proj\b", r"\1.conv"),
    (r"\.(conv[12])\.fn\.dw\b", r".\1"),
    (r"\.(?:window|channel)_attn\.norm\b", ".norm1"),
    (r"\.(window_attn|channel_attn)\.fn\.", r".\1."),
    (r"\.ffn\.norm\b", ".norm2"),
    (r"\.ffn\.fn\.net\.", ".ffn."),
)
"""The names of the remote code, as patterns, and the native names in their place."""

_TRANSPOSED: Final = "image_projection"
"""A parameter of the remote code that is the weight of a linear layer in the native classes."""

_LOGIT_BIAS: Final = "language_model.final_logits_bias"
"""Zeros in every published checkpoint; the native classes have no place for it."""


def native_name(name: str) -> str:
    """The native name of a module or weight of the remote code; a native name is its own."""
    for pattern, native in _RENAMES:
        name = re.sub(pattern, native, name)
    return name


def native_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the remote code by their native names.

    Raises:
        ValueError: one of them has no place in the native classes.
    """
    found = {}
    for name, weight in weights.items():
        if name == _LOGIT_BIAS:
            if weight.any():
                raise ValueError(f"`{name}` is not zero, and the native classes have no place for it")
            continue
        found[native_name(name)] = weight.t().contiguous() if name == _TRANSPOSED else weight
    return found


def is_former(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one of the remote code."""
    text, vision = config.get("text_config"), config.get("vision_config")
    return (isinstance(text, dict) and text.get("model_type") == "florence2_language") or (
        isinstance(vision, dict) and "dim_embed" in vision
    )
