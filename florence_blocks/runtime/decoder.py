"""The running decode: requests of one beam width that take every step together, each at its own position.

A request sits on a seat and owns `width` neighbouring rows. Keys and values of the encoder states are computed once per
request and shared by its rows; those of the answer live in a preallocated cache. A request may sit down and leave between any
two steps: the last seat moves into the place that got free, so that the working rows are always the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Florence2ForConditionalGeneration

from florence_blocks.evidence import NEAR
from florence_blocks.locations import BINS
from florence_blocks.runtime import rules as rules_
from florence_blocks.runtime.rules import Rules
from florence_blocks.runtime.sampling import Sampler
from florence_blocks.runtime.search import Candidate, Forced, Search
from florence_blocks.runtime.vocabulary import Vocabulary

FIRST_SEATS = 4
FIRST_LENGTH = 32


@dataclass(eq=False)
class Seat:
    """One request in the decode.

    Attributes:
        owner: whose request it is; handed back with the answer.
        search: its search.
        rules: its rules.
        sampler: draws its tokens; None takes the best.
        prompted: how many encoder states it attends to.
        length: tokens so far, the start token among them.
    """

    owner: Any
    search: Search
    rules: Rules
    prompted: int
    sampler: Sampler | None = None
    length: int = field(default=1, init=False)


class Lane:
    """The seats of one beam width and their caches; a `forced` lane takes the tokens it is given."""

    def __init__(
        self, model: Florence2ForConditionalGeneration, width: int, vocabulary: Vocabulary, *, forced: bool = False
    ) -> None:
        self.width = width
        self._vocabulary = vocabulary
        self._forced = forced
        self.seats: list[Seat] = []
        config: Any = model.config.text_config
        self._decoder: Any = model.model.language_model.decoder
        self._head = model.lm_head
        self._heads: int = config.decoder_attention_heads
        self._offset: int = self._decoder.embed_positions.offset
        shape = (2 * config.decoder_layers, 0, self._heads, 0, config.d_model // self._heads)
        self._cross = torch.empty(shape, dtype=model.dtype, device=model.device)
        self._own = torch.empty(shape, dtype=model.dtype, device=model.device)
        self._sequences = torch.empty((0, 0), dtype=torch.long, device=model.device)

    # ------------------------------------------------------------------ coming and going

    @torch.inference_mode()
    def admit(self, seats: Sequence[Seat], encoded: Tensor) -> None:
        """Let requests sit down.

        Args:
            seats: the requests.
            encoded: their encoder states `[n, length, width of the model]`, padded behind.
        """
        first, count, length = len(self.seats), len(seats), encoded.shape[1]
        self._reserve(first + count, length)
        self.seats += seats
        for index, layer in enumerate(self._decoder.layers):
            attention = layer.encoder_attn
            for part, project in ((0, attention.k_proj), (1, attention.v_proj)):
                self._cross[2 * index + part, first : first + count, :, :length] = self._split(project(encoded))
        self._sequences[first * self.width : (first + count) * self.width, 0] = self._vocabulary.start

    @torch.inference_mode()
    def leave(self, seat: Seat) -> None:
        """Free the seat of a request."""
        place, last, width = self.seats.index(seat), len(self.seats) - 1, self.width
        moved = self.seats[last]
        if place != last:
            to, came = slice(place * width, (place + 1) * width), slice(last * width, (last + 1) * width)
            self._cross[:, place, :, : moved.prompted] = self._cross[:, last, :, : moved.prompted]
            self._own[:, to, :, : moved.length] = self._own[:, came, :, : moved.length]
            self._sequences[to, : moved.length] = self._sequences[came, : moved.length]
            self.seats[place] = moved
        self.seats.pop()

    # ------------------------------------------------------------------ a step

    @torch.inference_mode()
    def step(self) -> list[Seat]:
        """Take one step with every seat; those whose answer is complete have left."""
        self._extend(max(seat.length for seat in self.seats) + 1)
        logits = self._head(self._forward()).float()
        log_probabilities = logits.log_softmax(-1)
        rules = [seat.rules for seat in self.seats for _ in range(self.width)]
        lengths = [seat.length for seat in self.seats for _ in range(self.width)]
        states = [None if token is None else token.state for seat in self.seats for token in seat.search.last]
        # like transformers: greedy search applies its rules to logits, beam search to log-probabilities
        scores = logits if self.width == 1 else log_probabilities
        scores = rules_.apply(rules, scores, self._sequences, lengths, states, self._vocabulary)
        cut = self._cut(scores)
        scores = rules_.finish(rules, scores, self._sequences, lengths)
        best = self._wanted(log_probabilities) if self._forced else self._candidates(scores, log_probabilities)
        if cut:
            best = self._marked(best, cut)
        for seat, candidates in zip(self.seats, best, strict=True):
            seat.search.advance(candidates)
        self._look_around(log_probabilities)
        self._follow()
        finished = [seat for seat in self.seats if seat.search.answer is not None]
        for seat in finished:
            self.leave(seat)
        return finished

    def _forward(self) -> Tensor:
        """The decoder's last states `[rows, width of the model]`."""
        count, rows = len(self.seats), len(self.seats) * self.width
        lengths = [seat.length for seat in self.seats]
        device = self._sequences.device
        place = torch.tensor(lengths, device=device).repeat_interleave(self.width) - 1
        row = torch.arange(rows, device=device)
        span, prompted = max(lengths), max(seat.prompted for seat in self.seats)
        decoder = self._decoder
        hidden: Tensor = decoder.embed_tokens(self._sequences[row, place])
        hidden = decoder.layernorm_embedding(hidden + decoder.embed_positions.weight[place + self._offset])
        own_mask = _mask(place + 1, span, hidden.dtype)
        cross_mask = _mask(torch.tensor([seat.prompted for seat in self.seats], device=device), prompted, hidden.dtype)
        for index, layer in enumerate(decoder.layers):
            keys, values = self._own[2 * index], self._own[2 * index + 1]
            attention = layer.self_attn
            keys[row, :, place] = attention.k_proj(hidden).view(rows, self._heads, -1)
            values[row, :, place] = attention.v_proj(hidden).view(rows, self._heads, -1)
            query = self._split(attention.q_proj(hidden)[:, None])
            found = F.scaled_dot_product_attention(query, keys[:rows, :, :span], values[:rows, :, :span], own_mask)
            hidden = layer.self_attn_layer_norm(hidden + attention.out_proj(found.reshape(rows, -1)))
            attention = layer.encoder_attn
            keys, values = self._cross[2 * index, :count, :, :prompted], self._cross[2 * index + 1, :count, :, :prompted]
            query = self._split(attention.q_proj(hidden).view(count, self.width, -1))
            found = F.scaled_dot_product_attention(query, keys, values, cross_mask)
            hidden = layer.encoder_attn_layer_norm(hidden + attention.out_proj(found.transpose(1, 2).reshape(rows, -1)))
            hidden = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
        return hidden

    def _split(self, states: Tensor) -> Tensor:
        """`[n, length, width of the model]` as `[n, heads, length, width of a head]`."""
        apart: Tensor = states.unflatten(-1, (self._heads, -1))
        return apart.transpose(1, 2)

    def _cut(self, scores: Tensor) -> set[int]:
        """The rows whose answer ends only because it reaches its limit: by these scores it would have gone on."""
        cut: set[int] = set()
        for place, seat in enumerate(self.seats):
            if not seat.rules.closing(seat.length - 1):
                continue
            first = place * self.width
            own = slice(first, first + self.width)
            if seat.sampler is not None and self.width == 1:
                free = seat.rules.finishing(self._sequences[own, : seat.length], scores[own])  # type: ignore[arg-type]
                _, _, wanted = seat.sampler.draw(free, seat.search.scores, 1)
            else:
                wanted = scores[own].argmax(-1)
            cut.update(first + row for row, token in enumerate(wanted.tolist()) if token not in seat.rules.ends)
        return cut

    def _marked(self, best: Sequence[Sequence[Candidate]], cut: set[int]) -> list[list[Candidate]]:
        """Candidates that know whether the limit cut their row."""
        marked = []
        for place, candidates in enumerate(best):
            first = place * self.width
            marked.append([candidate._replace(cut=first + candidate.row in cut) for candidate in candidates])
        return marked

    def _wanted(self, log_probabilities: Tensor) -> list[list[Candidate]]:
        """The given tokens of every row. What comes behind a whole name counts as its end: an end token, or the place it has.

        The published checkpoints write the region again behind its category; the end token alone says nothing there.
        """
        ids = [token for seat in self.seats if isinstance(seat.search, Forced) for token in seat.search.wanted]
        known = log_probabilities[range(len(ids)), ids]
        ending = [row for row, token in enumerate(ids) if token in self._vocabulary.ends]
        if ending:
            rows, first = log_probabilities[ending], self._vocabulary.first_location
            closing = torch.cat([rows[:, sorted(self._vocabulary.ends)], rows[:, first : first + BINS]], dim=1)
            known[ending] = closing.logsumexp(1)
        found = [Candidate(0.0, row % self.width, *pair) for row, pair in enumerate(zip(ids, known.tolist(), strict=True))]
        return [found[first : first + self.width] for first in range(0, len(found), self.width)]

    def _candidates(self, scores: Tensor, log_probabilities: Tensor) -> list[list[Candidate]]:
        """The candidates of every seat, best first."""
        count, width, wanted = len(self.seats), self.width, self.seats[0].search.candidates
        if width == 1:
            best, ids = scores.max(-1, keepdim=True)
            rows = torch.zeros_like(ids)
        else:
            # all rows of a request in one line, as in transformers: that decides which of equal candidates come first
            so_far = scores.new_tensor([score for seat in self.seats for score in seat.search.scores])
            together = (scores + so_far[:, None]).view(count, -1)
            best, found = together.topk(min(wanted, together.shape[1]), dim=-1)
            rows, ids = found // scores.shape[1], found % scores.shape[1]
        for place, seat in enumerate(self.seats):
            if seat.sampler is not None:
                own = slice(place * width, (place + 1) * width)
                best[place], rows[place], ids[place] = seat.sampler.draw(scores[own], seat.search.scores, wanted)
        flat = rows + torch.arange(count, device=rows.device)[:, None] * width
        known = log_probabilities[flat, ids]
        columns = zip(best.tolist(), rows.tolist(), ids.tolist(), known.tolist(), strict=True)
        return [[Candidate(*values) for values in zip(*column, strict=True)] for column in columns]

    def _look_around(self, log_probabilities: Tensor) -> None:
        """Note what the model gave the neighbours of every location that was chosen."""
        first = self._vocabulary.first_location
        found = [
            (place * self.width + came, token)
            for place, seat in enumerate(self.seats)
            for came, token in zip(seat.search.parents, seat.search.last, strict=True)
            if token is not None and first <= token.id < first + BINS
        ]
        if not found:
            return
        bins = torch.tensor([token.id - first for _, token in found], device=log_probabilities.device)
        around = bins[:, None] + torch.arange(-NEAR, NEAR + 1, device=bins.device)[None]
        places = log_probabilities[[row for row, _ in found], first : first + BINS]
        near = places.gather(1, around.clamp(0, BINS - 1)).exp() * ((around >= 0) & (around < BINS))
        for (_, token), row in zip(found, near.cpu().numpy(), strict=True):
            token.near = row

    def _follow(self) -> None:
        """Put the tokens of the step in place, after the rows that went on from others took over their caches."""
        went = [place * self.width + row for place, seat in enumerate(self.seats) for row in seat.search.parents]
        moved = [row for row, came in enumerate(went) if row != came]
        if moved:
            came, span = [went[row] for row in moved], max(seat.length for seat in self.seats)
            self._own[:, moved, :, :span] = self._own[:, came, :, :span]
            self._sequences[moved, :span] = self._sequences[came, :span]
        rows = torch.arange(len(went), device=self._sequences.device)
        lengths = torch.tensor([seat.length for seat in self.seats], device=self._sequences.device)
        last = [0 if token is None else token.id for seat in self.seats for token in seat.search.last]
        self._sequences[rows, lengths.repeat_interleave(self.width)] = torch.tensor(last, device=self._sequences.device)
        for seat in self.seats:
            seat.length += 1

    # ------------------------------------------------------------------ room

    def _reserve(self, seats: int, prompted: int) -> None:
        """Room for so many seats and encoder states."""
        _, had, _, length, _ = self._cross.shape
        if seats > had or prompted > length:
            places = max(had, seats if not had else 2 * had, seats, FIRST_SEATS)
            self._cross = _grown(self._cross, places, max(prompted, length))
            self._own = _grown(self._own, places * self.width, max(self._own.shape[3], FIRST_LENGTH))
            self._sequences = _grown(self._sequences, places * self.width, self._own.shape[3] + 1, dims=(0, 1))

    def _extend(self, length: int) -> None:
        """Room for so many tokens."""
        if length > self._sequences.shape[1]:
            self._own = _grown(self._own, self._own.shape[1], max(2 * self._own.shape[3], length))
            self._sequences = _grown(self._sequences, self._sequences.shape[0], self._own.shape[3] + 1, dims=(0, 1))


def _mask(lengths: Tensor, longest: int, dtype: torch.dtype) -> Tensor | None:
    """What to add to attention scores `[n, 1, 1, longest]`: minus infinity behind each length; None if nothing is behind."""
    there = torch.arange(longest, device=lengths.device)[None] < lengths[:, None]
    if bool(there.all()):
        return None
    return torch.zeros(there.shape, dtype=dtype, device=lengths.device).masked_fill(~there, -torch.inf)[:, None, None]


def _grown(store: Tensor, first: int, second: int, dims: tuple[int, int] = (1, 3)) -> Tensor:
    """A copy of a store with more room along two dimensions.

    What is beyond is zero: it is masked, and a mask of minus infinity does not hide NaN.
    """
    shape = list(store.shape)
    shape[dims[0]], shape[dims[1]] = first, second
    grown = store.new_zeros(shape)
    grown[tuple(slice(size) for size in store.shape)] = store
    return grown
