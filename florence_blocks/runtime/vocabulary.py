"""The sorts of tokens of a checkpoint, and masks of those that a grammar allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from florence_blocks.constraints import BEGIN, END, Allowed, Automaton, Names
from florence_blocks.locations import BINS
from florence_blocks.tasks import Task

_MARKS: Final = ("<sep>", "<poly>", "</poly>")


class Vocabulary:
    """The tokens of a checkpoint by their sort.

    Attributes:
        first_location: the id of `<loc_0>`.
        start: the id that answers begin behind.
        ends: the ids that end an answer.

    Args:
        tokenizer: of the checkpoint.
        first_location: the id of `<loc_0>`.
        start: the id that answers begin behind.
        ends: the ids that end an answer.
        size: how many tokens the model tells apart.
        device: where masks are.
        longest_name: how many tokens a name has at most, so that it can be given in an answer.
    """

    def __init__(
        self,
        tokenizer: Any,
        first_location: int,
        start: int,
        ends: Sequence[int],
        size: int,
        device: torch.device,
        *,
        longest_name: int,
    ) -> None:
        self.first_location = first_location
        self.start = start
        self.ends = frozenset(ends)
        self._tokenizer = tokenizer
        self._begin: int = tokenizer.bos_token_id
        self._size, self._device, self._longest_name = size, device, longest_name
        marks = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in _MARKS}
        self._marks: Mapping[int, str] = {id_: mark for mark, id_ in marks.items() if id_ not in (None, tokenizer.unk_token_id)}
        self._silent = frozenset(tokenizer.all_special_ids) - self.ends - set(self._marks)
        text = torch.ones(size, dtype=torch.bool)
        self._special = frozenset((*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids))
        text[[id_ for id_ in self._special if id_ < size]] = False
        text[max(len(tokenizer), first_location + BINS) :] = False  # rows of the table that stand for no token
        self._text = text.to(device)
        self._sorts: dict[tuple[bool, tuple[str, ...], tuple[int, ...] | None], Tensor] = {}
        self.automaton = lru_cache(256)(self._automaton)

    def _automaton(self, task: Task, names: tuple[str, ...] | None = None) -> Automaton | None:
        """The automaton of a task's answers; None for the free prompt, whose answers may be anything.

        Raises:
            ValueError: one of the names cannot be given.
        """
        if task.name == "prompt":
            return None
        tree = None if names is None else Names([self._name(name) for name in names])
        begin = None if self._begin in self.ends else self._begin
        return Automaton(task.grammar, self.first_location, self._marks, self.ends, self._silent, tree, begin)

    def answers(self, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Answers that are a name and nothing else, as ids.

        Raises:
            ValueError: one of the names cannot be given.
        """
        end = min(self.ends)
        return tuple((self._begin, *self._name(name), end) for name in names)

    def _name(self, name: str) -> list[int]:
        """The tokens of a name, which can be given in an answer.

        Raises:
            ValueError: there are none, too many, or special ones among them.
        """
        ids: list[int] = self._tokenizer(name, add_special_tokens=False, verbose=False).input_ids
        special = [id_ for id_ in ids if id_ in self._special]
        if special or not ids:
            token = self._tokenizer.convert_ids_to_tokens(special)[0] if special else "nothing"
            raise ValueError(f"the name {name!r} holds {token} for this model, which is no text; another name would fit")
        if len(ids) > self._longest_name:
            raise ValueError(f"the name {name[:40]!r}... has {len(ids)} tokens; an answer has room for {self._longest_name}")
        return ids

    def mask(self, allowed: Sequence[Allowed]) -> Tensor:
        """Which tokens may follow, `[rows, vocabulary]`."""
        mask = torch.stack([self._sort(row) for row in allowed])
        least = torch.tensor([BINS if row.least is None else row.least for row in allowed], device=self._device)
        located = torch.arange(BINS, device=self._device)[None] >= least[:, None]
        mask[:, self.first_location : self.first_location + BINS] = located
        return mask

    def _sort(self, allowed: Allowed) -> Tensor:
        """The part of a mask that is not about locations `[vocabulary]`; there are few different ones."""
        key = (allowed.text, allowed.marks, allowed.only)
        found = self._sorts.get(key)
        if found is None:
            if len(self._sorts) > 4096:
                self._sorts.clear()
            found = torch.zeros(self._size, dtype=torch.bool, device=self._device)
            if allowed.only is not None:
                found[list(allowed.only)] = True
            elif allowed.text:
                found |= self._text
            ids = [id_ for id_, mark in self._marks.items() if mark in allowed.marks]
            if BEGIN in allowed.marks:
                ids.append(self._begin)
            found[[*ids, *(self.ends if END in allowed.marks else ())]] = True
            self._sorts[key] = found
        return found
