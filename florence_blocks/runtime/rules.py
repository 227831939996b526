"""What may come next: the rules of a checkpoint's generation config and of a request, applied to a step of many rows.

The rules are those of transformers' logits processors, in their order, so that answers stay the same. The ones that are in
common use are applied to all rows at once, the others by transformers' own classes request by request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LogitsProcessorList

from florence_blocks.constraints import Automaton, State
from florence_blocks.runtime.generation import Generation
from florence_blocks.runtime.vocabulary import Vocabulary


@dataclass(frozen=True)
class Rules:
    """The rules of one request; "generated" never counts the start token.

    Attributes:
        limit: tokens generated at most, the end token among them.
        ends: the tokens that end an answer.
        forced_first: the token every answer begins with.
        forced_last: the tokens that may come at the limit; none for any.
        no_repeat: length of the token sequences that may not come twice; 0 allows all.
        repetition_penalty: divides the scores of tokens that were there; 1 changes nothing.
        least: tokens generated before an end token may come.
        automaton: the grammar of the answer; None for any answer.
        biases: processors before all other rules.
        bans: processors between the rules about repetition and the grammar.
        finishing: processors behind all other rules.
    """

    limit: int
    ends: tuple[int, ...]
    forced_first: int | None = None
    forced_last: tuple[int, ...] = ()
    no_repeat: int = 0
    repetition_penalty: float = 1.0
    least: int = 0
    automaton: Automaton | None = None
    biases: LogitsProcessorList = field(default_factory=LogitsProcessorList)
    bans: LogitsProcessorList = field(default_factory=LogitsProcessorList)
    finishing: LogitsProcessorList = field(default_factory=LogitsProcessorList)

    @classmethod
    def of(
        cls, generation: Generation, *, limit: int, no_repeat: int | None, automaton: Automaton | None,
        finishing: LogitsProcessorList,
    ) -> Rules:  # fmt: skip
        """The rules of a generation config, with a request's own wishes."""
        return cls(
            limit=limit,
            ends=generation.ends,
            forced_first=generation.forced_first,
            forced_last=generation.forced_last,
            no_repeat=generation.no_repeat if no_repeat is None else no_repeat,
            repetition_penalty=generation.repetition_penalty,
            least=generation.least,
            automaton=automaton,
            biases=generation.biases,
            bans=generation.bans,
            finishing=finishing,
        )

    def forced(self, generated: int) -> tuple[int, ...]:
        """The only tokens that may come next wherever the limit is, if that is so."""
        return (self.forced_first,) if generated == 0 and self.forced_first is not None else ()

    def closing(self, generated: int) -> tuple[int, ...]:
        """The only tokens that may come next because the limit is reached, if that is so."""
        return self.forced_last if generated == self.limit - 1 else ()

    def banned(self, generated: int) -> tuple[int, ...]:
        """Tokens that may not come next, because it is too early for them."""
        return self.ends if generated < self.least else ()


def apply(
    rules: Sequence[Rules],
    scores: Tensor,
    sequences: Tensor,
    lengths: Sequence[int],
    states: Sequence[State | None],
    vocabulary: Vocabulary,
) -> Tensor:
    """Scores of the next token under the rules of every row, but for those that `finish` applies.

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
    _process(scores, rules, sequences, lengths, lambda rule: rule.biases)
    for penalty in {rule.repetition_penalty for rule in rules} - {1.0}:
        rows = [row for row in every if rules[row].repetition_penalty == penalty]
        scores[rows] = _penalised(scores[rows], sequences[rows], [lengths[row] for row in rows], penalty)
    for size in {rule.no_repeat for rule in rules} - {0}:
        rows = [row for row in every if rules[row].no_repeat == size and lengths[row] >= size]
        if rows:
            where, tokens = _repeating(sequences[rows], [lengths[row] for row in rows], size)
            scores[torch.tensor(rows, device=scores.device)[where], tokens] = -torch.inf
    _process(scores, rules, sequences, lengths, lambda rule: rule.bans)
    _set(scores, [(row, token) for row in every for token in rules[row].banned(lengths[row] - 1)], -torch.inf)
    governed = [row for row in every if rules[row].automaton is not None]
    if governed:
        scores[governed] = _governed([rules[row] for row in governed], scores[governed], given[governed],
                                     [states[row] for row in governed], vocabulary)  # fmt: skip
    _force(scores, [(row, token) for row in every for token in rules[row].forced(lengths[row] - 1)])
    return scores


def finish(rules: Sequence[Rules], scores: Tensor, sequences: Tensor, lengths: Sequence[int]) -> Tensor:
    """Scores under the last rules: the tokens that are forced at the limit, and the finishing processors.

    Args:
        rules: the rules of each row.
        scores: those that `apply` gave; not changed.
        sequences: as in `apply`.
        lengths: as in `apply`.
    """
    closing = [(row, token) for row, rule in enumerate(rules) for token in rule.closing(lengths[row] - 1)]
    if not closing and not any(rule.finishing for rule in rules):
        return scores
    scores = scores.clone()
    _force(scores, closing)
    _process(scores, rules, sequences, lengths, lambda rule: rule.finishing)
    return scores


def _matters(rules: Rules, generated: int) -> bool:
    return (
        bool(rules.no_repeat)
        or rules.repetition_penalty != 1
        or rules.automaton is not None
        or bool(rules.forced(generated))
        or bool(rules.banned(generated))
        or bool(rules.biases or rules.bans)
    )


def _process(
    scores: Tensor, rules: Sequence[Rules], sequences: Tensor, lengths: Sequence[int],
    chosen: Callable[[Rules], LogitsProcessorList],
) -> None:  # fmt: skip
    """Let the chosen processors change scores in place, all rows of the same processors and length together."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (rule, length) in enumerate(zip(rules, lengths, strict=True)):
        if chosen(rule):
            groups.setdefault((id(chosen(rule)), length), []).append(row)
    for (_, length), rows in groups.items():
        processors = chosen(rules[rows[0]])
        scores[rows] = processors(sequences[rows, :length], scores[rows])  # type: ignore[arg-type]


def _governed(
    rules: Sequence[Rules], scores: Tensor, given: Tensor, states: Sequence[State | None], vocabulary: Vocabulary
) -> Tensor:
    """Scores of what the grammar of every row allows; where other rules forbid all of it, the grammar prevails."""
    allowed = [rule.automaton.allowed(state or State()) for rule, state in zip(rules, states, strict=True) if rule.automaton]
    mask = vocabulary.mask(allowed)
    kept = scores.masked_fill(~mask, -torch.inf)
    dead = kept.amax(-1, keepdim=True) == -torch.inf
    return torch.where(dead & mask, given, kept)


def _force(scores: Tensor, pairs: Sequence[tuple[int, int]]) -> None:
    """Leave only these tokens to their rows."""
    if pairs:
        scores[[row for row, _ in pairs]] = -torch.inf
        _set(scores, pairs, 0)


def _set(scores: Tensor, pairs: Sequence[tuple[int, int]], value: float) -> None:
    """Give a score to tokens of rows."""
    if pairs:
        rows, tokens = zip(*pairs, strict=True)
        scores[list(rows), list(tokens)] = value


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
