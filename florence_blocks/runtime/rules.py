"""What may come next: the rules of a checkpoint's generation config and of a request, applied to a step of many rows.

The rules are those of transformers' logits processors of the same names, in their order, so that answers stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from transformers import GenerationConfig

from florence_blocks.constraints import Automaton, State
from florence_blocks.runtime.vocabulary import Vocabulary

_UNSUPPORTED: Final = (
    "bad_words_ids", "sequence_bias", "guidance_scale", "encoder_repetition_penalty", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "renormalize_logits", "watermarking_config", "typical_p", "epsilon_cutoff",
    "eta_cutoff", "min_p", "top_h", "num_beam_groups", "penalty_alpha",
)  # fmt: skip
_NEUTRAL: Final = (None, False, 0, 0.0, 1, 1.0)


@dataclass(frozen=True)
class Rules:
    """The rules of one request; "generated" never counts the start token.

    Attributes:
        limit: tokens generated at most, the end token among them.
        ends: the tokens that end an answer.
        forced_first: the token every answer begins with.
        forced_last: the token at the limit.
        no_repeat: length of the token sequences that may not come twice; 0 allows all.
        repetition_penalty: divides the scores of tokens that were there; 1 changes nothing.
        least: tokens generated before an end token may come.
        suppressed: tokens that never come.
        suppressed_first: tokens that do not come first, or right behind the forced first one.
        automaton: the grammar of the answer; None for any answer.
    """

    limit: int
    ends: tuple[int, ...]
    forced_first: int | None = None
    forced_last: int | None = None
    no_repeat: int = 0
    repetition_penalty: float = 1.0
    least: int = 0
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    automaton: Automaton | None = None

    @classmethod
    def from_config(cls, config: GenerationConfig, *, limit: int, no_repeat: int | None, automaton: Automaton | None) -> Rules:
        """The rules of a generation config, with a request's own wishes.

        Raises:
            ValueError: the config asks for something that is not supported.
        """
        strange = [name for name in _UNSUPPORTED if getattr(config, name, None) not in _NEUTRAL]
        if strange:
            raise ValueError(f"the checkpoint's generation config asks for `{strange[0]}`, which is not supported")
        ends: Any = config.eos_token_id
        last: Any = config.forced_eos_token_id
        return cls(
            limit=limit,
            ends=tuple(ends) if isinstance(ends, list) else (ends,),
            forced_first=config.forced_bos_token_id,
            forced_last=last[0] if isinstance(last, list) else last,
            no_repeat=int(config.no_repeat_ngram_size or 0) if no_repeat is None else no_repeat,
            repetition_penalty=float(config.repetition_penalty or 1.0),
            least=max(int(config.min_length or 0) - 1, int(config.min_new_tokens or 0)),
            suppressed=tuple(config.suppress_tokens or ()),
            suppressed_first=tuple(config.begin_suppress_tokens or ()),
            automaton=automaton,
        )

    def forced(self, generated: int) -> int | None:
        """The only token that may come next, if there is one."""
        if generated == self.limit - 1 and self.forced_last is not None:
            return self.forced_last
        return self.forced_first if generated == 0 else None

    def banned(self, generated: int) -> tuple[int, ...]:
        """Tokens that may not come next, whatever was generated."""
        first = 0 if self.forced_first is None else 1
        return (
            (self.ends if generated < self.least else ())
            + self.suppressed
            + (self.suppressed_first if generated == first else ())
        )


def apply(
    rules: Sequence[Rules],
    scores: Tensor,
    sequences: Tensor,
    lengths: Sequence[int],
    states: Sequence[State | None],
    vocabulary: Vocabulary,
) -> Tensor:
    """Scores of the next token under the rules of every row.

    Args:
        rules: the rules of each row.
        scores: `[rows, vocabulary]`, logits or log-probabilities; not changed.
        sequences: token ids `[rows, at least the longest length]`, the start token first.
        lengths: how many of them are there, per row.
        states: where each row is in its grammar.
        vocabulary: says which tokens a grammar allows.
    """
    given = scores
    every = range(len(rules))
    if not any(_matters(rule, length - 1) for rule, length in zip(rules, lengths, strict=True)):
        return scores
    scores = scores.clone()
    for penalty in {rule.repetition_penalty for rule in rules} - {1.0}:
        rows = [row for row in every if rules[row].repetition_penalty == penalty]
        scores[rows] = _penalised(scores[rows], sequences[rows], [lengths[row] for row in rows], penalty)
    for size in {rule.no_repeat for rule in rules} - {0}:
        rows = [row for row in every if rules[row].no_repeat == size and lengths[row] >= size]
        if rows:
            where, tokens = _repeating(sequences[rows], [lengths[row] for row in rows], size)
            scores[torch.tensor(rows, device=scores.device)[where], tokens] = -torch.inf
    _ban(scores, [(row, token) for row in every for token in rules[row].banned(lengths[row] - 1)])
    governed = [row for row in every if rules[row].automaton is not None]
    if governed:
        scores[governed] = _governed([rules[row] for row in governed], scores[governed], given[governed],
                                     [states[row] for row in governed], vocabulary)  # fmt: skip
    forced = [(row, token) for row in every if (token := rules[row].forced(lengths[row] - 1)) is not None]
    if forced:
        rows = [row for row, _ in forced]
        scores[rows] = -torch.inf
        scores[rows, [token for _, token in forced]] = 0
    return scores


def _matters(rules: Rules, generated: int) -> bool:
    return (
        bool(rules.no_repeat)
        or rules.repetition_penalty != 1
        or rules.automaton is not None
        or rules.forced(generated) is not None
        or bool(rules.banned(generated))
    )


def _governed(
    rules: Sequence[Rules], scores: Tensor, given: Tensor, states: Sequence[State | None], vocabulary: Vocabulary
) -> Tensor:
    """Scores of what the grammar of every row allows; where other rules forbid all of it, the grammar prevails."""
    allowed = [rule.automaton.allowed(state or State()) for rule, state in zip(rules, states, strict=True) if rule.automaton]
    mask = vocabulary.mask(allowed)
    kept = scores.masked_fill(~mask, -torch.inf)
    dead = kept.amax(-1, keepdim=True) == -torch.inf
    return torch.where(dead & mask, given, kept)


def _ban(scores: Tensor, pairs: Sequence[tuple[int, int]]) -> None:
    if pairs:
        rows, tokens = zip(*pairs, strict=True)
        scores[list(rows), list(tokens)] = -torch.inf


def _penalised(scores: Tensor, sequences: Tensor, lengths: Sequence[int], penalty: float) -> Tensor:
    """Scores with those of the tokens that were there made smaller."""
    there = torch.arange(max(lengths), device=scores.device)[None] < torch.tensor(lengths, device=scores.device)[:, None]
    # the start token stands in for what is not there yet: it is penalised in any case
    tokens = torch.where(there, sequences[:, : max(lengths)], sequences[:, :1])
    known = scores.gather(1, tokens)
    return scores.scatter(1, tokens, torch.where(known < 0, known * penalty, known / penalty))


def _repeating(sequences: Tensor, lengths: Sequence[int], size: int) -> tuple[Tensor, Tensor]:
    """Rows and tokens that would complete a sequence of `size` tokens for the second time."""
    device, longest = sequences.device, max(lengths)
    count = torch.tensor(lengths, device=device)[:, None]
    windows = sequences[:, :longest].unfold(1, size, 1)
    begun = sequences.gather(1, count - size + 1 + torch.arange(size - 1, device=device)[None])
    whole = torch.arange(windows.shape[1], device=device)[None] + size <= count
    found = (windows[..., :-1] == begun[:, None]).all(-1) & whole
    return found.nonzero()[:, 0], windows[..., -1][found]
