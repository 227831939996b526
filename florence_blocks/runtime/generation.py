"""What a checkpoint's generation config asks for. Every setting of transformers is obeyed, does not matter, or is refused.

The decision about each is in the three tables below; a setting in none of them is one of a future version, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    NoBadWordsLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation import logits_process as processors

from florence_blocks.model_ids import CheckpointError
from florence_blocks.requests import MOST_BEAMS

OBEYED: Final = frozenset({
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams", "early_stopping", "length_penalty",
    "bos_token_id", "eos_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id",
    "repetition_penalty", "no_repeat_ngram_size", "bad_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens",
    "exponential_decay_length_penalty", "remove_invalid_values", "renormalize_logits",
    "do_sample", "temperature", "top_h", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
})  # fmt: skip
"""Settings that answers follow, as those of transformers' `generate` do."""

HARMLESS: Final = frozenset({
    "use_cache", "cache_implementation", "cache_config", "max_cache_len", "prefill_chunk_size", "low_memory",  # memory
    "compile_config", "disable_compile", "continuous_batching_config",  # speed
    "use_mtp", "prompt_lookup_num_tokens", "max_matching_ngram_size", "assistant_early_exit", "num_assistant_tokens",  # drafts
    "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind",
    "assistant_ensemble_weight", "speculation_type",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",  # by-products
    "pad_token_id",  # padding is masked
    "transformers_version",
})  # fmt: skip
"""Settings about memory, speed and by-products, on which the answer does not depend."""

REFUSED: Final[Mapping[str, tuple[Any, ...]]] = {
    "num_return_sequences": (1,), "num_beam_groups": (1,), "diversity_penalty": (0.0,), "penalty_alpha": (0.0,),
    "guidance_scale": (1,), "encoder_repetition_penalty": (1.0,), "encoder_no_repeat_ngram_size": (0,), "constraints": (),
    "force_words_ids": (), "dola_layers": (), "watermarking_config": (), "max_time": (), "stop_strings": (),
    "token_healing": (False,), "is_assistant": (False,), "assistant_model": (), "forced_decoder_ids": (),
    "generation_kwargs": ({},),
}  # fmt: skip
"""Settings that answers would depend on and do not follow, each with the values, besides null, at which it changes nothing."""


@dataclass(frozen=True)
class Generation:
    """The generation config of a checkpoint, read and checked once.

    Attributes:
        start: the token that the decoder begins behind; it is no part of an answer.
        ends: the tokens that end an answer.
        longest: the longest answer in tokens, its end among them; None where the config does not say.
        least: tokens before an end token may come.
        forced_first: the token every answer begins with.
        forced_last: tokens of which one ends an answer at its limit.
        beams: hypotheses side by side.
        length_penalty: the power of the length by which the score of a hypothesis is divided.
        early_stopping: when a search with beams ends: True, False or "never".
        repetition_penalty: divides the scores of tokens that were there; 1 changes nothing.
        no_repeat: length of the token sequences that may not come twice; 0 allows all.
        draws: whether tokens are drawn by lot.
        biases: added to scores before any rule.
        bans: tokens that may not come, and the growing wish for an end, before the grammar.
        warpers: what makes a drawn token less surprising, in one set for single rows and one for beams.
        cleaning: the last words about scores that are not drawn from, after everything else.
    """

    start: int
    ends: tuple[int, ...]
    longest: int | None
    least: int
    forced_first: int | None
    forced_last: tuple[int, ...]
    beams: int
    length_penalty: float
    early_stopping: bool | str
    repetition_penalty: float
    no_repeat: int
    draws: bool
    biases: LogitsProcessorList
    bans: LogitsProcessorList
    warpers: tuple[LogitsProcessorList, LogitsProcessorList]
    cleaning: LogitsProcessorList

    @classmethod
    def of(cls, config: Mapping[str, Any], vocabulary: int, device: torch.device) -> Generation:
        """Read a generation config, as its JSON has it, for a model with so many rows of tokens.

        Raises:
            CheckpointError: it asks for something that is not supported, or holds a value that does not fit.
        """
        values = {name: value for name, value in config.items() if not name.startswith("_")}
        _refuse(values)
        read = _Reader(values, vocabulary)
        try:
            return _read(read, device)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"its generation config does not fit: {str(error).strip() or type(error).__name__}"
            ) from error

    def finishing(self, width: int, *, draws: bool) -> LogitsProcessorList:
        """What happens to the scores of a request of this width at the end."""
        if not draws:
            return self.cleaning
        return self.warpers[0] if width == 1 else self.warpers[1]


def _refuse(values: Mapping[str, Any]) -> None:
    """Tell the first setting that would be ignored."""
    for name, value in values.items():
        if name in OBEYED or name in HARMLESS or value is None:
            continue
        if name in REFUSED and value in REFUSED[name]:
            continue
        fits = " or ".join(["null", *map(str, REFUSED.get(name, ()))])
        raise CheckpointError(f"its generation config asks for `{name}` = {value!r}, which is not supported; {fits} would fit")


@dataclass(frozen=True)
class _Reader:
    """Values of a config, each with a check; a value that is not there is its default, which is that of `generate`."""

    values: Mapping[str, Any]
    vocabulary: int

    def number(self, name: str, default: float, least: float = -math.inf, most: float = math.inf) -> float:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise CheckpointError(f"its generation config asks for `{name}` = {value!r}; {_span(least, most)} would fit")
        return value

    def whole(self, name: str, default: int, least: int = 0, most: int = 2**31) -> int:
        value = self.number(name, default, least, most)
        if value != int(value):
            raise CheckpointError(f"its generation config asks for `{name}` = {value!r}; a whole number would fit")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value not in (None, True, False):
            raise CheckpointError(f"its generation config asks for `{name}` = {value!r}; true or false would fit")
        return bool(value)

    def tokens(self, name: str) -> tuple[int, ...]:
        """A token or a list of them."""
        value = self.values.get(name)
        listed = [] if value is None else value if isinstance(value, (list, tuple)) else [value]
        if not all(self.is_token(token) for token in listed):
            raise CheckpointError(f"its generation config asks for `{name}` = {value!r}; "
                                  f"ids of tokens from 0 to {self.vocabulary - 1} would fit")  # fmt: skip
        return tuple(listed)

    def sequences(self, name: str) -> list[list[int]]:
        """A list of lists of tokens."""
        value = self.values.get(name)
        for tokens in [] if value is None else value:
            if not isinstance(tokens, (list, tuple)) or not tokens or not all(self.is_token(token) for token in tokens):
                raise CheckpointError(f"its generation config asks for `{name}` = {value!r}; "
                                      f"lists of ids of tokens from 0 to {self.vocabulary - 1} would fit")  # fmt: skip
        return [list(tokens) for tokens in value or ()]

    def is_token(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < self.vocabulary

    def token(self, name: str) -> int | None:
        """At most one token."""
        found = self.tokens(name)
        if len(found) > 1:
            raise CheckpointError(f"its generation config asks for `{name}` = {self.values[name]!r}; one token would fit")
        return found[0] if found else None


def _span(least: float, most: float) -> str:
    if math.isinf(most):
        return "a number" if math.isinf(least) else f"a number of at least {least:g}"
    return f"a number from {least:g} to {most:g}"


def _read(read: _Reader, device: torch.device) -> Generation:
    ends = read.tokens("eos_token_id")
    if not ends:
        raise CheckpointError("its generation config names no `eos_token_id`, so that no answer would end")
    start = read.token("decoder_start_token_id")
    start = read.token("bos_token_id") if start is None else start
    if start is None:
        raise CheckpointError("its generation config names no `decoder_start_token_id`")
    forced_first, forced_last = read.token("forced_bos_token_id"), read.tokens("forced_eos_token_id")
    suppressed = set(read.tokens("suppress_tokens")) & {*forced_last, *(() if forced_first is None else (forced_first,))}
    if suppressed:
        raise CheckpointError(f"its generation config forces and suppresses the token {min(suppressed)}")
    early = read.values.get("early_stopping")
    if early not in (None, True, False, "never"):
        raise CheckpointError(f'its generation config asks for `early_stopping` = {early!r}; true, false or "never" would fit')
    return Generation(
        start=start,
        ends=ends,
        longest=_longest(read),
        least=_least(read),
        forced_first=forced_first,
        forced_last=forced_last,
        beams=read.whole("num_beams", 1, 1, MOST_BEAMS),
        length_penalty=read.number("length_penalty", 1.0, -10, 10),
        early_stopping=early or False,
        repetition_penalty=read.number("repetition_penalty", 1.0, 1e-6),
        no_repeat=read.whole("no_repeat_ngram_size", 0),
        draws=read.flag("do_sample"),
        biases=_biases(read),
        bans=_bans(read, ends, forced_first, device),
        warpers=(_warpers(read, 1, device), _warpers(read, 1 + len(ends), device)),
        cleaning=_cleaning(read),
    )


def _longest(read: _Reader) -> int | None:
    """`max_new_tokens`, or else `max_length`, which counts the start token too."""
    if read.values.get("max_new_tokens") is not None:
        return read.whole("max_new_tokens", 1, 1)
    if read.values.get("max_length") is not None:
        return read.whole("max_length", 2, 2) - 1
    return None


def _least(read: _Reader) -> int:
    """`min_new_tokens`, or else `min_length`, which counts the start token too."""
    if read.values.get("min_new_tokens") is not None:
        return read.whole("min_new_tokens", 0)
    return max(0, read.whole("min_length", 0) - 1)


def _biases(read: _Reader) -> LogitsProcessorList:
    bias = read.values.get("sequence_bias")
    return LogitsProcessorList() if bias is None else LogitsProcessorList([SequenceBiasLogitsProcessor(bias)])


def _bans(read: _Reader, ends: tuple[int, ...], forced_first: int | None, device: torch.device) -> LogitsProcessorList:
    """As in `generate`, whose order of these does not matter to the result."""
    found: list[LogitsProcessor] = []
    last = torch.tensor(ends, device=device)
    words, decay = read.sequences("bad_words_ids"), read.values.get("exponential_decay_length_penalty")
    if words:
        found.append(NoBadWordsLogitsProcessor(words, last))
    if decay is not None:
        found.append(processors.ExponentialDecayLengthPenalty((int(decay[0]), float(decay[1])), last, 1))
    never, not_first = read.tokens("suppress_tokens"), read.tokens("begin_suppress_tokens")
    if never:
        found.append(SuppressTokensLogitsProcessor(list(never), device=str(device)))
    if not_first:
        begin = 1 if forced_first is None else 2
        found.append(SuppressTokensAtBeginLogitsProcessor(list(not_first), begin, device=str(device)))
    return LogitsProcessorList(found)


def _warpers(read: _Reader, kept: int, device: torch.device) -> LogitsProcessorList:
    """As in `generate`, in its order; at least `kept` tokens stay possible."""
    found: list[LogitsProcessor] = [*_invalid(read)]
    temperature, top_k, top_p = read.number("temperature", 1.0, 1e-6), read.whole("top_k", 50), read.number("top_p", 1.0, 0, 1)
    typical_p = read.number("typical_p", 1.0, 0, 1)
    epsilon, eta = read.number("epsilon_cutoff", 0.0, 0, 1), read.number("eta_cutoff", 0.0, 0, 1)
    if temperature != 1:
        found.append(TemperatureLogitsWarper(float(temperature)))
    if read.values.get("top_h") is not None:
        found.append(processors.TopHLogitsWarper(read.number("top_h", 1.0, 0, 1)))
    if top_k:
        found.append(TopKLogitsWarper(top_k, min_tokens_to_keep=kept))
    if top_p < 1:
        found.append(TopPLogitsWarper(top_p, min_tokens_to_keep=kept))
    if read.values.get("min_p") is not None:
        found.append(processors.MinPLogitsWarper(read.number("min_p", 0.0, 0, 1), min_tokens_to_keep=kept))
    if typical_p < 1:
        found.append(processors.TypicalLogitsWarper(typical_p, min_tokens_to_keep=kept))
    if 0 < epsilon < 1:
        found.append(processors.EpsilonLogitsWarper(epsilon, min_tokens_to_keep=kept))
    if 0 < eta < 1:
        found.append(processors.EtaLogitsWarper(eta, min_tokens_to_keep=kept, device=str(device)))
    return LogitsProcessorList([*found, *_normalisation(read)])


def _cleaning(read: _Reader) -> LogitsProcessorList:
    return LogitsProcessorList([*_invalid(read), *_normalisation(read)])


def _invalid(read: _Reader) -> list[LogitsProcessor]:
    return [processors.InfNanRemoveLogitsProcessor()] if read.flag("remove_invalid_values") else []


def _normalisation(read: _Reader) -> list[LogitsProcessor]:
    return [processors.LogitNormalization()] if read.flag("renormalize_logits") else []
