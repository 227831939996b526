"""A Florence-2 that answers many requests at once.

Every image is encoded once, whatever is asked about it and by whom; the prompts of all tasks, callers and settings go through
encoder and decoder together. An answer in a batch is the answer alone: padding is masked everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch

from florence_blocks.answers import Answer
from florence_blocks.parsing import SILENT, parse
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime.checkpoint import Checkpoint
from florence_blocks.runtime.detokenizer import Detokenizer
from florence_blocks.runtime.fused import fuse
from florence_blocks.runtime.plan import DecodePlan
from florence_blocks.runtime.rules import Rules
from florence_blocks.runtime.scheduler import Job, Scheduler
from florence_blocks.runtime.search import Forced
from florence_blocks.runtime.tower import lighten
from florence_blocks.runtime.vocabulary import Vocabulary
from florence_blocks.scoring import Curve, Evidence, refined, scored
from florence_blocks.tasks import Task
from workflow_engine.allocator import keep_freed_memory


class Pending:
    """An answer that is on its way."""

    def __init__(self, request: Request, job: Job, detokenize: Detokenizer, calibration: Mapping[str, Curve]) -> None:
        self._request, self._job, self._detokenize, self._calibration = request, job, detokenize, calibration

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer.

        Raises:
            TimeoutError: it is not there after so many seconds, or its deadline passed.
            CancelledError: it was cancelled.
            WorkerError: the worker of the model died.
        """
        search = self._job.done.result(timeout)
        if isinstance(search, Forced):
            return self._chosen(search)
        assert search.answer is not None
        path = search.answer.path()
        # at the limit the end token is forced, so that only the length tells
        truncated = len(path) >= self._job.plan.rules.limit
        pieces, size = self._detokenize([token.id for token in path]), self._request.image.size
        ends = self._job.plan.rules.ends
        evidence = [
            Evidence(math.exp(token.log_probability), token.near, end=end, silent=piece in SILENT and not end)
            for token, piece in zip(path, pieces, strict=True)
            for end in [token.id in ends]
        ]
        offsets = refined(evidence) if self._request.coordinates == "refined" else None
        return scored(
            parse(self._request.task, pieces, size, truncated=truncated, offsets=offsets), evidence, size, self._calibration
        )

    def _chosen(self, search: Forced) -> Answer:
        """The most probable of the names that were asked about, and the probabilities of all."""
        names, best = self._request.names or (), max(search.totals)
        weights = [math.exp(total - best) for total in search.totals]
        shares = {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}
        name = names[search.totals.index(best)]
        return Answer(self._request.task.name, name, (), False, name, confidence=shares[name], name_probabilities=shares)

    def cancel(self) -> None:
        """Give up; the place in the batch gets free."""
        self._job.done.cancel()


class FlorenceModel:
    """A loaded checkpoint that answers requests; safe to use from several threads, whose requests share batches.

    Attributes:
        checkpoint: the model, its tokenizer and its preprocessing.
        scheduler: what brings requests and model together.

    Args:
        checkpoint: what was loaded; on a CPU, layers of its model are replaced (see `fused` and `tower`).
        feature_bytes: how many bytes of image features are kept for later requests; a sixteenth of the free memory by default.
    """

    def __init__(self, checkpoint: Checkpoint, *, feature_bytes: int | None = None) -> None:
        keep_freed_memory()
        self.checkpoint = checkpoint
        self.model = checkpoint.model
        if checkpoint.model.device.type == "cpu":
            lighten(checkpoint.model.model, checkpoint.preprocessor.size)
            fuse(checkpoint.model)
        self.tokenizer = checkpoint.tokenizer
        ends = Rules.from_config(checkpoint.model.generation_config, limit=1, no_repeat=None, automaton=None).ends
        size = checkpoint.model.lm_head.weight.shape[0]
        self.vocabulary = Vocabulary(checkpoint.tokenizer, checkpoint.first_location, ends, size, checkpoint.model.device)
        self.scheduler = Scheduler(checkpoint, self.vocabulary, feature_bytes=feature_bytes)
        self._detokenize = Detokenizer(checkpoint.tokenizer)
        self._plan = lru_cache(1024)(self._planned)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.model.dtype

    def answer(
        self, requests: Sequence[Request], *, customer: Hashable = None, priority: int = 0, deadline: float | None = None
    ) -> list[Answer | Exception]:
        """Answer requests of any tasks, images and settings.

        Args:
            requests: the requests.
            customer: whose they are; customers get equal shares of the model. By default every call is one.
            priority: higher goes first.
            deadline: when the answers are too late, in seconds of `time.monotonic`.

        Returns:
            An answer per request, in order; in place of a request that failed, the exception that says why.
        """
        return self.outcomes(self.submit(requests, customer=customer, priority=priority, deadline=deadline))

    def outcomes(self, pending: Sequence[Pending | ValueError]) -> list[Answer | Exception]:
        """Wait for answers; in place of a request that failed, the exception that says why."""
        try:
            return [item if isinstance(item, Exception) else _outcome(item) for item in pending]
        except BaseException:  # nobody waits for the others any more
            for item in pending:
                if isinstance(item, Pending):
                    item.cancel()
            raise

    def submit(
        self, requests: Sequence[Request], *, customer: Hashable = None, priority: int = 0, deadline: float | None = None
    ) -> list[Pending | ValueError]:
        """Ask without waiting; in place of a request that is wrong in itself comes the error that says so.

        Blocks only while more requests wait than the line has places.
        """
        if customer is None:
            customer = object()
        pending: list[Pending | ValueError] = []
        jobs = []
        for request in requests:
            try:
                ids, digest = self.prompt_ids(request.prompt), request.image.digest
                plan = self._plan(request.settings, request.task, request.names, request.classes)
            except ValueError as error:
                pending.append(error)
                continue
            job = Job(request.image, digest, ids, plan, customer, priority, deadline)
            jobs.append(job)
            pending.append(Pending(request, job, self._detokenize, self.checkpoint.calibration))
        self.scheduler.submit(jobs)
        return pending

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids of a prompt between begin and end, as the reference processor makes them behind the image.

        Raises:
            ValueError: the prompt and the image do not fit the positions of the encoder.
        """
        ids: list[int] = self.tokenizer(
            f"{self.tokenizer.bos_token}{prompt}{self.tokenizer.eos_token}", add_special_tokens=False
        ).input_ids
        config: Any = self.model.config.text_config
        room = config.max_position_embeddings - self.checkpoint.image_tokens
        if len(ids) > room:
            raise ValueError(f"the prompt has {len(ids)} tokens; {room} fit beside an image")
        return ids

    def _planned(
        self, settings: Settings, task: Task, names: tuple[str, ...] | None, classes: tuple[str, ...] | None
    ) -> DecodePlan:
        image_tokens = self.checkpoint.image_tokens
        if task.name == "region_classification" and names:
            return DecodePlan.of(self.model, settings, image_tokens, None, self.vocabulary.answers(names))
        automaton = self.vocabulary.automaton(task, names or classes) if settings.constrained or names else None
        return DecodePlan.of(self.model, settings, image_tokens, automaton)

    def stats(self) -> dict[str, float]:
        """What the model has done: requests, images encoded, batches, steps, seconds of each stage, and its feature cache."""
        features = self.scheduler.features
        return {**asdict(self.scheduler.stats), "feature_hits": features.hits, "feature_bytes": features.size,
                "feature_bytes_limit": features.limit}  # fmt: skip

    def close(self) -> None:
        """Stop the worker; requests without an answer fail."""
        self.scheduler.close()


def _outcome(pending: Pending) -> Answer | Exception:
    try:
        return pending.result()
    except Exception as error:
        return error
