"""Vision and encoder: images as features, and features with prompts as encoder states, in batches within a cost budget."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from florence_blocks.runtime.checkpoint import Checkpoint

BATCH_SECONDS: Final = 0.25
"""How long one batch should take at the device's matrix rate: long enough to fill it, short enough not to stall others."""


@cache
def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a matrix product on a device, measured once."""
    size = 768 if device.type == "cpu" else 4096
    matrix = torch.ones((size, size), device=device, dtype=dtype)
    best = math.inf
    for _ in range(8):  # the first ones wake threads and clocks
        started = time.perf_counter()
        (matrix @ matrix).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


class Encoding:
    """The encoding side of a checkpoint.

    Attributes:
        budget: floating-point operations of one batch.
        image_cost: floating-point operations of an image, about.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._model = checkpoint.model
        self._device, self._dtype = checkpoint.model.device, checkpoint.model.dtype
        self.budget = BATCH_SECONDS * matrix_rate(self._device, self._dtype)
        self.image_cost = _vision_cost(checkpoint.model.config.vision_config, checkpoint.preprocessor.size)
        self._token_cost = 2.0 * _size(self._model.model.language_model.encoder.layers)

    def prompt_cost(self, ids: Sequence[int]) -> float:
        """Floating-point operations of a prompt and its image in the encoder, about."""
        return self._token_cost * (self.checkpoint.image_tokens + len(ids))

    @torch.inference_mode()
    def features(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """Features `[image tokens, width]` of preprocessed images `[3, height, width]`."""
        step, found = max(1, int(self.budget / self.image_cost)), []
        for first in range(0, len(pixels), step):
            batch = torch.stack(list(pixels[first : first + step])).to(self._device, self._dtype)
            seen = self._model.model.vision_tower(batch)
            states = getattr(seen, "last_hidden_state", seen)  # before transformers 5 the tower gives the states themselves
            encoded: Tensor = self._model.model.multi_modal_projector(states)
            found += [row.clone() for row in encoded] if len(encoded) > 1 else [encoded[0]]
        return found

    @torch.inference_mode()
    def prompts(self, ids: Sequence[Sequence[int]], features: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """Encoder states `[n, length, width]` of prompts behind their images, and how many of each are no padding."""
        longest, front = max(map(len, ids)), features[0].shape[0]
        config: Any = self._model.config.text_config
        padded = torch.tensor([[*row, *[config.pad_token_id] * (longest - len(row))] for row in ids], device=self._device)
        embedded = torch.cat([torch.stack(list(features)), self._model.get_input_embeddings()(padded)], dim=1)
        lengths = [front + len(row) for row in ids]
        mask = torch.arange(front + longest, device=self._device)[None] < torch.tensor(lengths, device=self._device)[:, None]
        encoder = self._model.model.language_model.encoder
        return encoder(inputs_embeds=embedded, attention_mask=mask.long()).last_hidden_state, lengths


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _vision_cost(config: Any, size: tuple[int, int]) -> float:
    """Two operations per weight and position of every stage; attention itself is left out."""
    cost, before, (height, width) = 0.0, config.in_channels, size
    for channels, depth, patch, stride in zip(
        config.embed_dim, config.depths, config.patch_size, config.patch_stride, strict=True
    ):
        height, width = math.ceil(height / stride), math.ceil(width / stride)
        block = channels * channels * (4 + 2 * config.mlp_ratio) + 2 * 9 * channels  # projections, feed-forward, convolutions
        cost += 2.0 * height * width * (before * channels * patch**2 + 2 * depth * block)
        before = channels
    return cost
