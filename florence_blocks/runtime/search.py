"""The search for an answer: greedy, by lot, or with beams, for one request, step by step.

A search sees the best candidates of a step and says which rows go on with which tokens. The steps of beam search are those
of transformers' `generate`, whose results it has to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from florence_blocks.constraints import State
from florence_blocks.runtime.rules import Rules

_NEVER = np.float32(-1e9)
"""The score of a hypothesis that does not count; transformers' own."""

_Scores = NDArray[np.float32]
"""Scores in the precision of transformers' search, in which sums and quotients may become equal."""


@dataclass(eq=False, slots=True)
class Token:
    """A generated token and the way to it.

    Attributes:
        id: its id.
        log_probability: what the model gave it, before any rule.
        before: the token before; None for the first.
        generated: how many tokens the answer has with it.
        state: where the answer is in its grammar; None without a grammar.
        near: of a location, what the model gave the locations around it, `[2 * NEAR + 1]`, its own in the middle.
        cut: whether it stands at the limit in place of a token that would have gone on.
    """

    id: int
    log_probability: float
    before: Token | None
    generated: int
    state: State | None = None
    near: NDArray[np.float32] | None = None
    cut: bool = False

    def path(self) -> list[Token]:
        """The answer up to this token."""
        tokens: list[Token] = []
        token: Token | None = self
        while token is not None:
            tokens.append(token)
            token = token.before
        return tokens[::-1]


class Candidate(NamedTuple):
    """A possible next token of a row.

    Attributes:
        score: the log-probability of the whole hypothesis under the rules.
        row: the row of the request it goes on from.
        id: the token.
        log_probability: of the token, before any rule.
        cut: whether the limit forced it on a row that would have gone on.
    """

    score: float
    row: int
    id: int
    log_probability: float
    cut: bool = False


class Search(Protocol):
    """The search of one request.

    Attributes:
        width: how many rows it has.
        candidates: how many candidates it wants in each step.
        parents: the row that each row went on from in the last step.
        last: the last token of each row.
        scores: the score of each row.
        answer: the end of the answer, once it is found.
    """

    width: int
    candidates: int
    parents: Sequence[int]
    last: Sequence[Token | None]
    scores: Sequence[float]
    answer: Token | None

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Take a step; candidates come best first."""


class Forced:
    """Given answers side by side, one per row, to learn how probable each of them is.

    Attributes:
        totals: the log-probability of each answer.
    """

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        self._answers = [tuple(answer) for answer in answers]
        self.width = self.candidates = len(answers)
        self.parents: Sequence[int] = tuple(range(self.width))
        self.last: Sequence[Token | None] = (None,) * self.width
        self.scores: Sequence[float] = (0.0,) * self.width
        self.totals = [0.0] * self.width
        self.answer: Token | None = None
        self._ends: list[Token | None] = [None] * self.width

    @property
    def wanted(self) -> list[int]:
        """The token that each row takes next; the last one again behind the end of its answer."""
        step = 0 if self.last[0] is None else self.last[0].generated
        return [answer[min(step, len(answer) - 1)] for answer in self._answers]

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Take the wanted tokens, which are the candidates."""
        tokens = [Token(given.id, given.log_probability, before, 1 if before is None else before.generated + 1)
                  for given, before in zip(candidates, self.last, strict=True)]  # fmt: skip
        for row, (token, answer) in enumerate(zip(tokens, self._answers, strict=True)):
            if token.generated <= len(answer):
                self.totals[row] += token.log_probability
                self._ends[row] = token
        self.last = tokens
        if tokens[0].generated >= max(map(len, self._answers)):
            self.answer = self._ends[self.totals.index(max(self.totals))]


class Single:
    """One row that takes what it is given: the best token, or one drawn by lot."""

    width = 1
    candidates = 1
    parents: Sequence[int] = (0,)

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.last: Sequence[Token | None] = (None,)
        self.scores: Sequence[float] = (0.0,)
        self.answer: Token | None = None

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Take the candidate."""
        (best,) = candidates
        token = _following(self.last[0], best, self._rules)
        self.last = (token,)
        if _ends(token, self._rules):
            self.answer = token


@dataclass(frozen=True)
class _Hypothesis:
    """A finished answer; `real` is False for the places that are still empty."""

    score: np.float32
    token: Token | None
    real: bool


class Beams:
    """Several hypotheses side by side."""

    def __init__(self, rules: Rules, width: int, *, length_penalty: float = 1.0, early_stopping: Any = False) -> None:
        self.width = width
        self.candidates = max(2, 1 + len(rules.ends)) * width
        self.parents: Sequence[int] = tuple(range(width))
        self.last: Sequence[Token | None] = (None,) * width
        self.scores: Sequence[float] = (0.0, *[float(_NEVER)] * (width - 1))
        self.answer: Token | None = None
        self._rules, self._penalty, self._early = rules, length_penalty, early_stopping
        self._finished = [_Hypothesis(_NEVER, None, False)] * width
        self._may_improve = True

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Keep the best that go on, and put aside the best that ended."""
        tokens = [_following(self.last[candidate.row], candidate, self._rules) for candidate in candidates]
        ended = np.array([_ends(token, self._rules) for token in tokens])
        scores = np.array([candidate.score for candidate in candidates], np.float32)
        after = scores + _NEVER * ended
        generated = tokens[0].generated
        self._put_aside(tokens, scores, ended, generated)
        kept = _best(after, self.width)
        self.parents = [candidates[place].row for place in kept]
        self.last = [tokens[place] for place in kept]
        self.scores = after[kept].tolist()
        self._may_improve = self._may_improve and self._could_improve(generated)
        if not self._may_improve or (self._full() and self._early is True) or ended.all():
            self.answer = self._finished[0].token or tokens[kept[0]]

    def _put_aside(self, tokens: Sequence[Token], scores: _Scores, ended: NDArray[np.bool_], generated: int) -> None:
        """Keep the best of the finished answers; only the first candidates may become one."""
        if not self._may_improve or (self._full() and self._early is True):
            return
        real = ended & (np.arange(len(tokens)) < self.width)
        if not real.any():
            return
        new = scores / np.float32(generated**self._penalty) + _NEVER * ~real
        pairs = zip(new, tokens, real, strict=True)
        every = [*self._finished, *(_Hypothesis(score, token, bool(there)) for score, token, there in pairs)]
        self._finished = [every[place] for place in _best(np.array([one.score for one in every], np.float32), self.width)]

    def _full(self) -> bool:
        return all(hypothesis.real for hypothesis in self._finished)

    def _could_improve(self, generated: int) -> bool:
        """Whether the best row could still become better than the worst finished answer."""
        longest = self._early == "never" and self._penalty > 0
        length = self._rules.limit if longest else generated
        best = np.float32(self.scores[0]) / np.float32(length**self._penalty)
        return bool(best > (self._finished[-1].score if self._full() else _NEVER))


def _best(scores: _Scores, count: int) -> list[int]:
    """The places of the best, of equal ones those that `torch.topk` prefers; it is asked only where that matters."""
    places: list[int]
    if len(set(scores.tolist())) < len(scores):
        places = torch.from_numpy(scores).topk(count).indices.tolist()
    else:
        places = np.argsort(-scores)[:count].tolist()
    return places


def _following(before: Token | None, candidate: Candidate, rules: Rules) -> Token:
    generated = 1 if before is None else before.generated + 1
    state = None
    if rules.automaton is not None:
        state = rules.automaton.advance(State() if before is None or before.state is None else before.state, candidate.id)
    return Token(candidate.id, candidate.log_probability, before, generated, state, cut=candidate.cut)


def _ends(token: Token, rules: Rules) -> bool:
    return token.id in rules.ends or token.generated >= rules.limit
