"""Tokens drawn by lot. With a seed the same request gets the same answer, whatever it shares a batch with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Sampler:
    """Draws the tokens of one request.

    Args:
        seed: None draws differently every time.
        device: where the scores are.
    """

    def __init__(self, *, seed: int | None, device: torch.device) -> None:
        self._generator = torch.Generator(device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def draw(self, scores: Tensor, so_far: Sequence[float], count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw candidates from the scores `[rows, vocabulary]` of a step.

        Returns:
            Of each candidate: the score of the whole hypothesis, its row, its token.
        """
        flat = (scores + scores.new_tensor(so_far)[:, None]).flatten()
        drawn = torch.multinomial(flat.softmax(-1), count, generator=self._generator)
        return flat[drawn], drawn // scores.shape[1], drawn % scores.shape[1]
