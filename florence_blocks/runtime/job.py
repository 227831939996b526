"""A request on its way through the model, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from florence_blocks.runtime.plan import DecodePlan
from florence_blocks.runtime.search import Search
from workflow_engine.data import Image

LaneKey = tuple[int, bool, object]
"""Width, whether answers are given, and the party of a lane."""


@dataclass(eq=False)
class Job:
    """A request on its way through the model.

    Attributes:
        image: the image.
        digest: of the image's content.
        ids: the tokens of the prompt.
        plan: how its answer is generated.
        customer: whose it is; customers get equal shares.
        priority: higher goes first.
        deadline: in seconds of `time.monotonic`, or None.
        done: gets the search that found the answer.
        party: those it decodes with, and nobody else, after a step with others failed; None for everybody.
        encoded: whether the model has seen its image.
        joined: when it came, in seconds of `time.perf_counter`.
    """

    image: Image
    digest: bytes
    ids: Sequence[int]
    plan: DecodePlan
    customer: Hashable
    priority: int = 0
    deadline: float | None = None
    done: Future[Search] = field(default_factory=Future)
    party: object = None
    encoded: bool = False
    joined: float = field(default_factory=time.perf_counter)

    @property
    def lane(self) -> LaneKey:
        """The lane it decodes in."""
        return (*self.plan.lane, self.party)


def part(jobs: Sequence[Job]) -> None:
    """Make two parties of jobs, so that those in one of them no longer meet what is wrong in the other."""
    half = len(jobs) // 2
    for some in (jobs[:half], jobs[half:]):
        party = object()
        for job in some:
            job.party = party


def too_late() -> TimeoutError:
    """Why a job has no answer whose deadline passed."""
    return TimeoutError("the answer was not there before its deadline")


def fail(job: Job, error: Exception) -> None:
    """Tell whoever waits that there is no answer, and why."""
    with suppress(InvalidStateError):  # it may be cancelled at any moment
        job.done.set_exception(error)


def succeed(job: Job, search: Search) -> None:
    """Give whoever waits the search that found the answer."""
    with suppress(InvalidStateError):
        job.done.set_result(search)
