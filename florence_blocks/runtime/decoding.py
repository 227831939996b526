"""Generation of answers, and generated ids as pieces of text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Florence2ForConditionalGeneration, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

from florence_blocks.requests import Settings

DEFAULT_MAX_NEW_TOKENS = 1024
"""The longest answer where neither the request nor the checkpoint says one; the published checkpoints do not."""


def text_config(model: Florence2ForConditionalGeneration) -> Any:
    """The configuration of the encoder and decoder (BART)."""
    return model.config.text_config


def token_limit(model: Florence2ForConditionalGeneration, settings: Settings) -> int:
    """The longest answer in tokens under some settings, within the positions the decoder has."""
    wanted = settings.max_new_tokens or model.generation_config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
    return min(int(wanted), int(text_config(model).max_position_embeddings) - 1)


def beams(model: Florence2ForConditionalGeneration, settings: Settings) -> int:
    """The number of hypotheses under some settings."""
    return int(settings.num_beams or model.generation_config.num_beams or 1)


@torch.inference_mode()
def generate(
    model: Florence2ForConditionalGeneration, encoded: torch.Tensor, mask: torch.Tensor, settings: Settings
) -> list[list[int]]:
    """Generate answers for encoded prompts `[n, length, width]` with their attention mask `[n, length]`.

    Returns:
        The ids of each answer, from the forced first token to the end token.
    """
    given = {name: value for name in ("do_sample", "no_repeat_ngram_size") if (value := getattr(settings, name)) is not None}
    sequences = GenerationMixin.generate(
        model,  # type: ignore[arg-type]  # transformers types the mixin's self too narrowly
        # generate widens the object it is given for its beams, so it gets one of its own
        encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
        attention_mask=mask,
        max_new_tokens=token_limit(model, settings),
        num_beams=beams(model, settings),
        **given,
    )
    assert isinstance(sequences, torch.Tensor)
    end = text_config(model).eos_token_id
    return [_until_end(row[1:], end) for row in sequences.tolist()]


def _until_end(ids: list[int], end: int) -> list[int]:
    """The ids up to and with the end token."""
    return ids[: ids.index(end) + 1] if end in ids else ids


class Detokenizer:
    """Ids as pieces of text, one per id.

    The tokenizers of Florence-2 are byte-level, so that a character may be spread over several ids: it belongs to the last of
    them, and the pieces before are empty.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {index: str(token) for index, token in tokenizer.added_tokens_decoder.items()}
        self._bytes = {character: byte for byte, character in _byte_characters().items()}

    def __call__(self, ids: Sequence[int]) -> list[str]:
        """The piece of every id."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = []
        for index, token in zip(ids, self._tokenizer.convert_ids_to_tokens(list(ids)), strict=True):
            if index in self._added:
                pieces.append(decoder.decode(b"", final=True) + self._added[index])
                decoder.reset()
            else:
                pieces.append(decoder.decode(bytes(self._bytes[character] for character in token)))
        return pieces


def _byte_characters() -> dict[int, str]:
    """The characters that byte-level BPE (GPT-2's) writes for bytes: printable ones for themselves, others shifted up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + place) for place, byte in enumerate(others)}
