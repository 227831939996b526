"""How the answer to a request is generated: the checkpoint's generation config with the request's own settings over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import Florence2ForConditionalGeneration, GenerationConfig

from florence_blocks.constraints import Automaton
from florence_blocks.requests import Settings
from florence_blocks.runtime.decoder import Seat
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
    _config: GenerationConfig
    _device: torch.device
    _state_bytes: int
    _prompt_positions: int

    @classmethod
    def of(
        cls, model: Florence2ForConditionalGeneration, settings: Settings, image_tokens: int, automaton: Automaton | None,
        given: tuple[tuple[int, ...], ...] | None = None,
    ) -> DecodePlan:  # fmt: skip
        """The plan of some settings for answers of a grammar, or for given answers.

        Raises:
            ValueError: the checkpoint's generation config asks for something that is not supported.
        """
        defaults: Any = model.generation_config
        config: Any = model.config.text_config
        wanted = settings.max_new_tokens or defaults.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
        limit = min(int(wanted), int(config.max_position_embeddings) - 1)
        if given is not None:
            limit = max(map(len, given)) + 1
        return cls(
            rules=Rules.from_config(defaults, limit=limit, no_repeat=settings.no_repeat_ngram_size, automaton=automaton),
            width=int(settings.num_beams or defaults.num_beams or 1) if given is None else len(given),
            draws=bool(defaults.do_sample if settings.do_sample is None else settings.do_sample),
            seed=settings.seed,
            given=given,
            _config=defaults,
            _device=model.device,
            _state_bytes=2 * config.decoder_layers * config.d_model * model.dtype.itemsize,
            _prompt_positions=image_tokens + 64,
        )

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
            self.rules, self.width, length_penalty=1.0 if self._config.length_penalty is None else self._config.length_penalty,
            early_stopping=self._config.early_stopping or False,
        )  # fmt: skip
        sampler = Sampler(self._config, width=self.width, seed=self.seed, device=self._device) if self.draws else None
        return Seat(owner, search, self.rules, prompted, sampler)
