"""Threads for the elements of one step, shared by all runs of the process.

A step works on its own thread and takes as many of these beside it as are free; nothing here waits for anything but elements,
so that steps cannot block each other.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Final

from workflow_engine.forks import PerProcess


@cache
def count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _make() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, count() - 1), thread_name_prefix="workflow-elements")


_pool: Final = PerProcess(_make)


def run_all(parts: Sequence[Callable[[], None]]) -> None:
    """Run parts of one piece of work beside each other, the first of them here; ends when all have.

    Raises:
        Exception: that of the first part, in their order, that failed.
    """
    others: list[Future[None]] = [_pool().submit(contextvars.copy_context().run, part) for part in parts[1:]]
    failures: list[BaseException] = []
    for run in (parts[0], *(other.result for other in others)):
        try:
            run()
        except BaseException as error:  # the others still work on the same lists
            failures.append(error)
    if failures:
        raise failures[0]
