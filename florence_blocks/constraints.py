"""The grammars of answers as automata over tokens, so that a decode cannot leave them.

A state is what the tokens so far amount to; it says which tokens may follow. Every well-formed answer is accepted, so that
such an answer of a greedy decode is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from florence_blocks.locations import BINS
from florence_blocks.tasks import Grammar


class Allowed(NamedTuple):
    """What may follow.

    Attributes:
        text: any text token.
        least: the first location that may follow; None for no location.
        marks: the other tokens, by their text; `BEGIN` for the one that may begin an answer, `END` for those that end it.
        only: of the text tokens, only these; None for all.
    """

    text: bool
    least: int | None
    marks: tuple[str, ...]
    only: tuple[int, ...] | None = None


@dataclass(frozen=True)
class State:
    """Where an answer is.

    Attributes:
        part: `start`, `begun` (behind the token that begins an answer), `label` (inside a name), `place` (inside a group of
            locations), `whole` (behind a whole group), `opened` (before an outline), `outline` (inside one) or `closed`
            (behind `</poly>`).
        bins: the locations of the group or outline so far.
        name: the tokens of the name so far.
        inside: whether between `<poly>` and `</poly>`.
    """

    part: str = "start"
    bins: tuple[int, ...] = ()
    name: tuple[int, ...] = ()
    inside: bool = False


class Names:
    """The only names that may be given, as a tree of their tokens."""

    def __init__(self, names: Sequence[Sequence[int]]) -> None:
        self._follow: dict[tuple[int, ...], set[int]] = {}
        self._whole = {tuple(name) for name in names}
        for name in self._whole:
            for length in range(len(name)):
                self._follow.setdefault(name[:length], set()).add(name[length])

    def following(self, begun: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens that may go on from a name that was begun."""
        return tuple(sorted(self._follow.get(begun, ())))

    def is_whole(self, name: tuple[int, ...]) -> bool:
        """Whether a name is complete."""
        return name in self._whole


@dataclass(frozen=True)
class Automaton:
    """The automaton of one grammar.

    Attributes:
        grammar: the grammar.
        first_location: the id of `<loc_0>`.
        marks: the ids of the marks, and which mark they are.
        end: the ids that end an answer.
        silent: ids that are no part of any answer.
        names: the only names that may be given; None for any.
        begin: the id that may come before an answer; a model that is not forced to give it gives it by itself.
    """

    grammar: Grammar
    first_location: int
    marks: Mapping[int, str]
    end: frozenset[int]
    silent: frozenset[int]
    names: Names | None = None
    begin: int | None = None

    def advance(self, state: State, token: int) -> State:
        """The state behind a token."""
        if token == self.begin and state.part == "start":
            return State("begun")
        if token in self.silent or token in self.end:
            return state
        bin_ = token - self.first_location
        if 0 <= bin_ < BINS:
            return self._located(state, bin_)
        mark = self.marks.get(token)
        if mark is not None:
            return _marked(state, mark)
        if state.part == "label":
            return replace(state, name=(*state.name, token))
        return State("label", name=(token,))

    def allowed(self, state: State) -> Allowed:
        """What may follow a state."""
        found = _FOLLOWING[self.grammar](state)
        if self.begin is not None and state.part == "start":
            found = found._replace(marks=(BEGIN, *found.marks))
        if self.names is None or not found.text:
            return found
        begun = state.name if state.part == "label" else ()
        only = self.names.following(begun)
        whole = state.part != "label" or self.names.is_whole(begun)
        return found._replace(only=only, text=bool(only), least=found.least if whole else None,
                              marks=found.marks if whole else ())  # fmt: skip

    def _located(self, state: State, bin_: int) -> State:
        if self.grammar is Grammar.OUTLINES or state.inside:
            bins = (*state.bins, bin_) if state.part == "outline" else (bin_,)
            return replace(state, part="outline", bins=bins)
        group = 8 if self.grammar is Grammar.QUADS else 4
        bins = (*state.bins, bin_) if state.part == "place" else (bin_,)
        return replace(state, part="whole" if len(bins) == group else "place", bins=bins)


def _marked(state: State, mark: str) -> State:
    if mark == "<poly>":
        return replace(state, part="opened", bins=(), inside=True)
    if mark == "</poly>":
        return replace(state, part="closed", bins=(), inside=False)
    return replace(state, part="opened", bins=())


# ------------------------------------------------------------------ what may follow, by grammar

BEGIN: Final = "begin"
"""The mark of the token that may come before an answer."""
END: Final = "end"
"""The mark of the tokens that end an answer."""
_NOTHING_ELSE: Final = Allowed(text=False, least=None, marks=(END,))


def _text(state: State) -> Allowed:
    return Allowed(text=True, least=None, marks=(END,))


def _region_text(state: State) -> Allowed:
    """Text, and behind it perhaps the box again."""
    if state.part in ("place", "whole"):
        return _group(state, 4)
    return Allowed(text=True, least=0 if state.part == "label" else None, marks=(END,))


def _group(state: State, size: int) -> Allowed:
    """Inside a group only locations; of a box the second corner is not before the first."""
    if state.part == "whole":
        return _NOTHING_ELSE
    ordered = size == 4 and len(state.bins) >= 2
    return Allowed(text=False, least=state.bins[len(state.bins) - 2] if ordered else 0, marks=())


def _boxes(state: State) -> Allowed:
    if state.part == "place":
        return _group(state, 4)
    if state.part == "label":
        return Allowed(text=True, least=0, marks=())
    if state.part == "whole":
        return Allowed(text=True, least=0, marks=(END,))
    return Allowed(text=True, least=None, marks=(END,))


def _proposals(state: State) -> Allowed:
    if state.part == "place":
        return _group(state, 4)
    return Allowed(text=False, least=0, marks=(END,))


def _quads(state: State) -> Allowed:
    if state.part == "place":
        return _group(state, 8)
    if state.part == "label":
        return Allowed(text=True, least=0, marks=())
    return Allowed(text=True, least=None, marks=(END,))


def _outlines(state: State) -> Allowed:
    if state.part in ("start", "begun"):
        return Allowed(text=False, least=0, marks=(END,))
    whole = len(state.bins) >= 6 and len(state.bins) % 2 == 0
    return Allowed(text=False, least=0, marks=("<sep>", END) if whole else ())


def _boxes_or_outlines(state: State) -> Allowed:
    if state.inside:
        whole = len(state.bins) >= 6 and len(state.bins) % 2 == 0
        return Allowed(text=False, least=0, marks=("<sep>", "</poly>") if whole else ())
    if state.part == "closed":
        return Allowed(text=True, least=None, marks=("<poly>", END))
    found = _boxes(state)
    return found._replace(marks=("<poly>",)) if state.part == "label" else found


_FOLLOWING: Final[Mapping[Grammar, Callable[[State], Allowed]]] = {
    Grammar.TEXT: _text,
    Grammar.REGION_TEXT: _region_text,
    Grammar.BOXES: _boxes,
    Grammar.PROPOSALS: _proposals,
    Grammar.QUADS: _quads,
    Grammar.OUTLINES: _outlines,
    Grammar.BOXES_OR_OUTLINES: _boxes_or_outlines,
}
