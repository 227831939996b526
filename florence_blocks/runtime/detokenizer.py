"""Generated ids as pieces of text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any


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
