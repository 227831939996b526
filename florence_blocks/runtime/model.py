"""A Florence-2 that answers many requests at once, and the one instance of it that a process shares.

Every image is encoded once per call, whatever is asked about it; the prompts of all tasks go through encoder and decoder in
common batches. An answer in a batch is the answer alone: padding is masked everywhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from florence_blocks.answers import Answer
from florence_blocks.parsing import parse
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.checkpoint import Checkpoint
from florence_blocks.runtime.decoding import Detokenizer, beams, generate, text_config, token_limit
from workflow_engine.data import Image

log = logging.getLogger(__name__)

BATCH_BYTES = 1 << 30
"""Memory for the cross-attention states of one batch; a base model with three beams has room for about 15 prompts."""
MAX_BATCH = 64
VISION_BATCH_PIXELS = 8 * 768 * 768


@dataclass(frozen=True)
class _Prepared:
    """A request whose prompt is tokenized; `place` is its position in the call."""

    place: int
    request: Request
    ids: list[int]


class FlorenceModel:
    """A loaded checkpoint that answers requests; safe to use from several threads, one batch at a time."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self._detokenize = Detokenizer(checkpoint.tokenizer)
        self._lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.model.dtype

    def answer(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        """Answer requests of any tasks, images and settings.

        Returns:
            An answer per request, in order; in place of a request that is wrong in itself, the exception that says so.
        """
        results: list[Answer | Exception | None] = [None] * len(requests)
        prepared = []
        for place, request in enumerate(requests):
            try:
                prepared.append(_Prepared(place, request, self.prompt_ids(request.prompt)))
            except ValueError as error:
                results[place] = error
        with self._lock:
            features = self._encode_images([item.request.image for item in prepared])
            for batch in self._batches(prepared):
                for item, answer in zip(batch, self._answer_batch(batch, features), strict=True):
                    results[item.place] = answer
        return [result for result in results if result is not None]

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids of a prompt between begin and end, as the reference processor makes them behind the image.

        Raises:
            ValueError: the prompt and the image do not fit the positions of the encoder.
        """
        ids: list[int] = self.tokenizer(
            f"{self.tokenizer.bos_token}{prompt}{self.tokenizer.eos_token}", add_special_tokens=False
        ).input_ids
        room = text_config(self.model).max_position_embeddings - self.checkpoint.image_tokens
        if len(ids) > room:
            raise ValueError(f"the prompt has {len(ids)} tokens; {room} fit beside an image")
        return ids

    # ------------------------------------------------------------------ batches

    def _batches(self, prepared: Sequence[_Prepared]) -> Iterator[list[_Prepared]]:
        """Requests of equal settings in batches of like length, each within the memory of a batch."""
        groups: dict[Settings, list[_Prepared]] = {}
        for item in prepared:
            groups.setdefault(item.request.settings, []).append(item)
        for settings, group in groups.items():
            group.sort(key=lambda item: len(item.ids))
            batch: list[_Prepared] = []
            for item in group:
                if (batch and (len(batch) + 1) * self._row_bytes(item, settings) > BATCH_BYTES) or len(batch) == MAX_BATCH:
                    yield batch
                    batch = []
                batch.append(item)
            yield batch

    def _row_bytes(self, item: _Prepared, settings: Settings) -> int:
        """Memory of the keys and values of one request in a batch whose longest prompt is its own."""
        config = text_config(self.model)
        length = self.checkpoint.image_tokens + len(item.ids) + token_limit(self.model, settings)
        return int(2 * config.decoder_layers * length * config.d_model * beams(self.model, settings) * self.dtype.itemsize)

    @torch.inference_mode()
    def _encode_images(self, images: Sequence[Image]) -> dict[int, torch.Tensor]:
        """The features `[image_tokens, width]` of every distinct image, by the identity of the image."""
        distinct = list({id(image): image for image in images}.values())
        height, width = self.checkpoint.preprocessor.size
        step = max(1, VISION_BATCH_PIXELS // (height * width))
        features: dict[int, torch.Tensor] = {}
        for first in range(0, len(distinct), step):
            part = distinct[first : first + step]
            pixels = self.checkpoint.preprocessor(part).to(self.device, self.dtype)
            encoded = self.model.get_image_features(pixels).pooler_output
            features |= {id(image): row for image, row in zip(part, encoded, strict=True)}
        return features

    @torch.inference_mode()
    def _answer_batch(self, batch: Sequence[_Prepared], features: dict[int, torch.Tensor]) -> list[Answer]:
        settings = batch[0].request.settings
        encoded, mask = self._encode_prompts(batch, features)
        limit = token_limit(self.model, settings)
        answers = []
        for item, ids in zip(batch, generate(self.model, encoded, mask, settings), strict=True):
            # at the limit the end token is forced, so that only the length tells
            truncated = len(ids) >= limit
            answers.append(parse(item.request.task, self._detokenize(ids), item.request.image.size, truncated=truncated))
        return answers

    def _encode_prompts(
        self, batch: Sequence[_Prepared], features: dict[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder states `[n, length, width]` of images and prompts, and their mask `[n, length]`."""
        longest = max(len(item.ids) for item in batch)
        pad = text_config(self.model).pad_token_id
        ids = torch.tensor([item.ids + [pad] * (longest - len(item.ids)) for item in batch], device=self.device)
        images = torch.stack([features[id(item.request.image)] for item in batch])
        mask = torch.ones((len(batch), images.shape[1] + longest), dtype=torch.long, device=self.device)
        for row, item in enumerate(batch):
            mask[row, images.shape[1] + len(item.ids) :] = 0
        embedded = torch.cat([images, self.model.get_input_embeddings()(ids)], dim=1)
        encoder = self.model.model.language_model.encoder
        return encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state, mask


# ------------------------------------------------------------------ the shared instances

_Key = tuple[str, str | None, str, torch.dtype]
_instances: dict[_Key, Future[FlorenceModel]] = {}
_instances_lock = threading.Lock()


def shared_model(
    model_id: str, *, device: str | None = None, dtype: str | torch.dtype | None = None, revision: str | None = None
) -> FlorenceModel:
    """The one instance of a checkpoint on a device in a precision; loaded on first use, by one thread.

    Args:
        model_id: a short name, a hub id, a folder, an adapter folder, or `florence-2-demo`.
        device: `cpu`, `cuda`, `cuda:1`, ...; by default CUDA where there is one, else the CPU.
        dtype: by default float32, whose answers are exactly the reference's; `bfloat16` and `float16` may change answers.
        revision: the revision of a hub repository.

    Raises:
        CheckpointError: the checkpoint cannot be loaded; a later call tries again.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision = _dtype(dtype)
    source = checkpoints.resolve(model_id)
    key = (source, revision, str(chosen), precision)
    with _instances_lock:
        future = _instances.get(key)
        mine = future is None
        if future is None:
            future = _instances[key] = Future()
    if not mine:
        return future.result()
    try:
        log.info("loading %s on %s in %s", source, chosen, precision)
        future.set_result(FlorenceModel(checkpoints.load(source, device=chosen, dtype=precision, revision=revision)))
    except BaseException as error:
        with _instances_lock:
            del _instances[key]
        future.set_exception(error)
        raise
    return future.result()


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype, None)
    if found not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"dtype={dtype!r}; float32, bfloat16 or float16 would fit")
    return found
