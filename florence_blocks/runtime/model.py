"""A Florence-2 that answers many requests at once.

Every image is encoded once, whatever is asked about it and by whom; the prompts of all tasks, callers and settings go through
encoder and decoder together. An answer in a batch is the answer alone: padding is masked everywhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Final

import torch

from florence_blocks.answers import Answer
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime.checkpoint import Checkpoint
from florence_blocks.runtime.detokenizer import Detokenizer
from florence_blocks.runtime.fused import fuse
from florence_blocks.runtime.job import Job
from florence_blocks.runtime.pending import Pending, Progress, Stopped, outcomes
from florence_blocks.runtime.plan import DecodePlan
from florence_blocks.runtime.scheduler import Scheduler
from florence_blocks.runtime.tower import lighten
from florence_blocks.runtime.vocabulary import Vocabulary
from florence_blocks.tasks import Task
from workflow_engine.allocator import keep_freed_memory

SCORED_TOGETHER: Final = 64
"""How many names are scored side by side; of longer lists, some at a time."""
_BESIDE_A_NAME: Final = 6
"""The least tokens of an answer beside a name: begin, a box, and end."""


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
        generation = checkpoint.generation
        self.vocabulary = Vocabulary(
            checkpoint.tokenizer,
            checkpoint.first_location,
            generation.start,
            generation.ends,
            checkpoint.model.lm_head.weight.shape[0],
            checkpoint.model.device,
            longest_name=self._positions - _BESIDE_A_NAME,
        )
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

    @property
    def _positions(self) -> int:
        """How many tokens encoder and decoder tell apart by their places."""
        config: Any = self.model.config.text_config
        return int(config.max_position_embeddings)

    def answer(
        self,
        requests: Sequence[Request],
        *,
        customer: Hashable = None,
        priority: int = 0,
        deadline: float | None = None,
        stopped: Stopped | None = None,
        progress: Progress | None = None,
    ) -> list[Answer | Exception]:
        """Answer requests of any tasks, images and settings.

        Args:
            requests: the requests.
            customer: whose they are; customers get equal shares of the model. By default every call is one.
            priority: higher goes first.
            deadline: when the answers are too late, in seconds of `time.monotonic`.
            stopped: asked about ten times a second; once it says so, whatever is not answered yet is cancelled.
            progress: told as often how many requests have their image encoded, and how many are answered.

        Returns:
            An answer per request, in order; in place of a request that failed, the exception that says why.

        Raises:
            ModelClosedError: the model was closed before.
        """
        pending = self.submit(requests, customer=customer, priority=priority, deadline=deadline, stopped=stopped)
        return outcomes(pending, stopped=stopped, progress=progress)

    def submit(
        self,
        requests: Sequence[Request],
        *,
        customer: Hashable = None,
        priority: int = 0,
        deadline: float | None = None,
        stopped: Stopped | None = None,
    ) -> list[Pending | Exception]:
        """Ask without waiting; in place of a request that cannot be asked comes the error that says why.

        Blocks only while more requests wait than the line has places; once `stopped` says so, those without a place are
        cancelled.

        Raises:
            ModelClosedError: the model was closed before.
        """
        if customer is None:
            customer = object()
        pending: list[Pending | Exception] = []
        jobs: list[Job] = []
        for request in requests:
            try:
                asked = [self._job(part, customer, priority, deadline) for part in self._parts(request)]
            except Exception as error:  # it is refused alone
                pending.append(error)
                continue
            jobs += asked
            pending.append(Pending(request, asked, self._detokenize, self.checkpoint.calibration))
        self.scheduler.submit(jobs, stopped=stopped)
        return pending

    def _job(self, request: Request, customer: Hashable, priority: int, deadline: float | None) -> Job:
        ids = self.prompt_ids(request.prompt)
        plan = self._plan(request.settings, request.task, request.names, request.classes)
        return Job(request.image, request.image.digest, ids, plan, customer, priority, deadline)

    def _parts(self, request: Request) -> list[Request]:
        """The request, or several with some of its names each.

        Names that are scored go some at a time. Classes that do not fit one prompt are asked for one by one: an answer to a few
        hundred names in a prompt is worth little.
        """
        names, classes = request.names, request.classes
        if names is not None and _is_scored(request.task, names):
            firsts = range(0, len(names), SCORED_TOGETHER)
            return [replace(request, names=names[first : first + SCORED_TOGETHER]) for first in firsts]
        if classes is None or len(classes) == 1 or len(self._tokens(request.prompt)) <= self._room:
            return [request]
        return [replace(request, classes=(name,)) for name in classes]

    def _tokens(self, prompt: str) -> list[int]:
        """A prompt between begin and end, as the reference processor makes it behind the image."""
        framed = f"{self.tokenizer.bos_token}{prompt}{self.tokenizer.eos_token}"
        ids: list[int] = self.tokenizer(framed, add_special_tokens=False, verbose=False).input_ids
        return ids

    @property
    def _room(self) -> int:
        """How many tokens of a prompt fit beside an image."""
        return self._positions - self.checkpoint.image_tokens

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids of a prompt between begin and end.

        Raises:
            ValueError: the prompt and the image do not fit the positions of the encoder.
        """
        ids = self._tokens(prompt)
        if len(ids) > self._room:
            raise ValueError(f"the prompt has {len(ids)} tokens; {self._room} fit beside an image")
        return ids

    def _planned(
        self, settings: Settings, task: Task, names: tuple[str, ...] | None, classes: tuple[str, ...] | None
    ) -> DecodePlan:
        if names is not None and _is_scored(task, names):
            return DecodePlan.of(self.checkpoint, settings, None, self.vocabulary.answers(names))
        automaton = self.vocabulary.automaton(task, names or classes) if settings.constrained or names else None
        return DecodePlan.of(self.checkpoint, settings, automaton)

    def stats(self) -> dict[str, float]:
        """What the model has done: requests, images encoded, batches, steps, seconds of each stage, and its feature cache."""
        features = self.scheduler.features
        return {**asdict(self.scheduler.stats), "feature_hits": features.hits, "feature_bytes": features.size,
                "feature_bytes_limit": features.limit}  # fmt: skip

    def close(self, *, finish: bool = False) -> None:
        """Take no more requests, and stop the worker.

        Args:
            finish: wait until whatever was asked before is answered; by default it fails.
        """
        self.scheduler.close(finish=finish)


def _is_scored(task: Task, names: tuple[str, ...] | None) -> bool:
    """Whether the probabilities of names are asked, and no answer is generated."""
    return names is not None and task.name == "region_classification"
