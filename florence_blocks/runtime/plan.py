"""How the answer to a request is generated: the checkpoint's generation config with the request's own settings over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from florence_blocks.constraints import Automaton
from florence_blocks.requests import Settings
from florence_blocks.runtime.checkpoint import Checkpoint
from florence_blocks.runtime.decoder import Seat
from florence_blocks.runtime.generation import Generation
from florence_blocks.runtime.rules import Rules
from florence_blocks.runtime.sampling import Sampler
from florence_blocks.runtime.search import Beams, Forced, Search, Single

DEFAULT_MAX_NEW_TOKENS: Final = 1024
"""The longest answer where neither the request nor the checkpoint says one; the published checkpoints do not."""


@dataclass(frozen=True)
class DecodePlan:
    """The generation of one request.

    Attributes:
        rules: which tokens may come.
        width: hypotheses side by side.
        draws: whether tokens are drawn by lot.
        seed: of the draw.
        given: answers whose probabilities are asked, instead of one to be found.
    """

    rules: Rules
    width: int
    draws: bool
    seed: int | None
    given: tuple[tuple[int, ...], ...] | None
    _generation: Generation
    _device: torch.device
    _state_bytes: int
    _prompt_positions: int

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, settings: Settings, automaton: Automaton | None,
        given: tuple[tuple[int, ...], ...] | None = None,
    ) -> DecodePlan:  # fmt: skip
        """The plan of some settings for answers of a grammar, or for given answers."""
        generation, model = checkpoint.generation, checkpoint.model
        config: Any = model.config.text_config
        # a token is predicted from the positions before it, so that the last one needs no position itself
        limit = min(settings.max_new_tokens or generation.longest or DEFAULT_MAX_NEW_TOKENS, config.max_position_embeddings)
        width = settings.num_beams or generation.beams
        draws = generation.draws if settings.do_sample is None else settings.do_sample
        if given is not None:
            limit, width = max(map(len, given)) + 1, len(given)
        return cls(
            rules=Rules.of(generation, limit=limit, no_repeat=settings.no_repeat_ngram_size, automaton=automaton,
                           finishing=generation.finishing(width, draws=draws)),
            width=width,
            draws=draws,
            seed=settings.seed,
            given=given,
            _generation=generation,
            _device=model.device,
            _state_bytes=2 * config.decoder_layers * config.d_model * model.dtype.itemsize,
            _prompt_positions=checkpoint.image_tokens + 64,
        )  # fmt: skip

    def memory(self, longest: int) -> int:
        """Bytes of the caches of this request, in a decode whose longest answer has so many tokens; about."""
        return self._state_bytes * (self._prompt_positions + self.width * longest)

    @property
    def lane(self) -> tuple[int, bool]:
        """What requests that decode together have in common: their width, and whether their answers are given."""
        return self.width, self.given is not None

    def seat(self, owner: Any, prompted: int) -> Seat:
        """A fresh seat in the decode for a request with so many encoder states."""
        if self.given is not None:
            return Seat(owner, Forced(self.given), self.rules, prompted)
        search: Search = Single(self.rules) if self.width == 1 else Beams(
            self.rules, self.width, length_penalty=self._generation.length_penalty,
            early_stopping=self._generation.early_stopping,
        )  # fmt: skip
        sampler = Sampler(seed=self.seed, device=self._device) if self.draws else None
        return Seat(owner, search, self.rules, prompted, sampler)
