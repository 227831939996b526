"""Answers that are on their way, and waiting for them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError  # Python 3.10 has two
from contextlib import suppress
from dataclasses import replace
from typing import Final

from florence_blocks.answers import Answer, joined
from florence_blocks.evidence import Evidence, refined
from florence_blocks.parsing import SILENT, parse
from florence_blocks.requests import Request
from florence_blocks.runtime.detokenizer import Detokenizer
from florence_blocks.runtime.job import Job
from florence_blocks.runtime.search import Forced, Search
from florence_blocks.scoring import Curve, scored

POLL_SECONDS: Final = 0.1
"""How often those who wait ask whether to go on, and tell how far it is."""

Stopped = Callable[[], bool]
"""Says whether nobody wants the answers any more."""

Progress = Callable[[int, int], None]
"""Is told how many requests have their image encoded, and how many are answered."""


class Pending:
    """An answer that is on its way.

    Args:
        request: what was asked.
        jobs: the request on its way through the model, in several parts where it has many names.
        detokenize: makes texts of tokens.
        calibration: the curves of the tasks that have one.
    """

    def __init__(
        self, request: Request, jobs: Sequence[Job], detokenize: Detokenizer, calibration: Mapping[str, Curve]
    ) -> None:
        self._request, self._jobs, self._detokenize, self._calibration = request, jobs, detokenize, calibration

    @property
    def encoded(self) -> bool:
        """Whether the model has seen its image."""
        return all(job.encoded for job in self._jobs)

    @property
    def done(self) -> bool:
        """Whether it is answered, failed or cancelled."""
        return all(job.done.done() for job in self._jobs)

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; whether it is done."""
        waiting = next((job for job in self._jobs if not job.done.done()), None)
        if waiting is not None:
            with suppress(FutureTimeoutError, CancelledError):
                waiting.done.exception(seconds)
        return self.done

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer.

        Raises:
            TimeoutError: it is not there after so many seconds, or its deadline passed.
            CancelledError: it was cancelled.
            WorkerError: the worker of the model died.
        """
        end = None if timeout is None else time.monotonic() + timeout
        searches = [job.done.result(None if end is None else max(0.0, end - time.monotonic())) for job in self._jobs]
        totals = [total for search in searches if isinstance(search, Forced) for total in search.totals]
        if totals:
            return self._chosen(totals)
        answer = joined([self._read(job, search) for job, search in zip(self._jobs, searches, strict=True)])
        return replace(answer, listed=self._request.listed)

    def _read(self, job: Job, search: Search) -> Answer:
        """What one part found."""
        assert search.answer is not None
        path = search.answer.path()
        ends = job.plan.rules.ends
        truncated = path[-1].cut or path[-1].id not in ends
        pieces, size = self._detokenize([token.id for token in path]), self._request.image.size
        evidence = [
            Evidence(math.exp(token.log_probability), token.near, end=end, silent=piece in SILENT and not end)
            for token, piece in zip(path, pieces, strict=True)
            for end in [token.id in ends]
        ]
        offsets = refined(evidence) if self._request.coordinates == "refined" else None
        answer = parse(self._request.task, pieces, size, truncated=truncated, offsets=offsets)
        return scored(answer, evidence, size, self._calibration, self._request.region)

    def _chosen(self, totals: Sequence[float]) -> Answer:
        """The most probable of the names that were asked about, and the probabilities of all."""
        names, best = self._request.names or (), max(totals)
        weights = [math.exp(total - best) for total in totals]
        shares = {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}
        name = names[totals.index(best)]
        answer = Answer(self._request.task.name, name, (), False, name)
        return replace(answer, confidence=shares[name], name_probabilities=shares, listed=self._request.listed)

    def cancel(self) -> None:
        """Give up: it leaves the line, or the batch before its next step."""
        for job in self._jobs:
            job.done.cancel()


def cancel(pending: Sequence[Pending | Exception]) -> None:
    """Give up whatever is not answered yet."""
    for item in pending:
        if isinstance(item, Pending):
            item.cancel()


def outcomes(
    pending: Sequence[Pending | Exception], *, stopped: Stopped | None = None, progress: Progress | None = None
) -> list[Answer | Exception]:
    """Wait for answers, in order; in place of a request that failed, the exception that says why.

    Args:
        pending: what `FlorenceModel.submit` gave.
        stopped: asked about ten times a second; once it says so, whatever is not answered yet is cancelled.
        progress: told as often how far it is, and at the end. An exception of either cancels everything and goes on to the
            caller.
    """
    found: list[Answer | Exception] = []
    looked = time.monotonic()

    def look() -> None:
        if progress is not None:
            progress(*_counts(pending))
        if stopped is not None and stopped():
            cancel(pending)

    try:
        for item in pending:
            while isinstance(item, Pending) and not item.wait(POLL_SECONDS):
                look()
                looked = time.monotonic()
            if time.monotonic() - looked > POLL_SECONDS:  # where answers come quickly, nobody waits
                look()
                looked = time.monotonic()
            found.append(item if isinstance(item, Exception) else _outcome(item))
        if progress is not None:
            progress(*_counts(pending))
    except BaseException:  # nobody waits for the others any more
        cancel(pending)
        raise
    return found


def _counts(pending: Sequence[Pending | Exception]) -> tuple[int, int]:
    """How many requests have their image encoded, and how many are done; a wrong one is both."""
    encoded, done = 0, 0
    for item in pending:
        if isinstance(item, Exception) or item.done:
            encoded, done = encoded + 1, done + 1
        elif item.encoded:
            encoded += 1
    return encoded, done


def _outcome(pending: Pending) -> Answer | Exception:
    try:
        return pending.result()
    except Exception as error:
        return error
