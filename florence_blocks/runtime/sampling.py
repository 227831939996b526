"""Tokens drawn by lot. With a seed the same request gets the same answer, whatever it shares a batch with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


class Sampler:
    """Draws the tokens of one request.

    Args:
        config: says temperature, top-k and top-p.
        width: the rows of the request.
        seed: None draws differently every time.
    """

    def __init__(self, config: GenerationConfig, *, width: int, seed: int | None, device: torch.device) -> None:
        least = 1 if width == 1 else 2
        self._warpers = LogitsProcessorList()
        if config.temperature not in (None, 1.0):
            self._warpers.append(TemperatureLogitsWarper(float(config.temperature)))
        if config.top_k:
            self._warpers.append(TopKLogitsWarper(int(config.top_k), min_tokens_to_keep=least))
        if config.top_p is not None and config.top_p < 1:
            self._warpers.append(TopPLogitsWarper(float(config.top_p), min_tokens_to_keep=least))
        self._generator = torch.Generator(device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def draw(self, scores: Tensor, sequences: Tensor, so_far: Sequence[float], count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw candidates from the scores `[rows, vocabulary]` of a step.

        Returns:
            Of each candidate: the score of the whole hypothesis, its row, its token.
        """
        warped = self._warpers(sequences, scores) + scores.new_tensor(so_far)[:, None]  # type: ignore[arg-type]
        flat = warped.flatten()
        drawn = torch.multinomial(flat.softmax(-1), count, generator=self._generator)
        return flat[drawn], drawn // scores.shape[1], drawn % scores.shape[1]
