"""How far a run is: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import typer

_FIRST_LINE_SECONDS = 5.0
_NEXT_LINE_SECONDS = 10.0

Moved = Callable[[int, int], None]
"""Told how many images are done, and how many of them an earlier run did."""


@contextlib.contextmanager
def progress(total: int | None, *, quiet: bool = False) -> Iterator[Moved]:
    """Say how far a run is, on standard error.

    Args:
        total: the images of the run, if known.
        quiet: say nothing.
    """
    if quiet:
        yield lambda done, already: None
    elif sys.stderr.isatty():
        with _bar(total) as moved:
            yield moved
    else:
        yield _lines(total)


@contextlib.contextmanager
def _bar(total: int | None) -> Iterator[Moved]:
    """A bar with count, rate and the time that is left; what is printed meanwhile stands above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), TextColumn("images"), TextColumn("{task.fields[rate]}"),
                          TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]  # fmt: skip
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty(), transient=True) as bar:
        task = bar.add_task("images", total=total, rate="")

        def moved(done: int, already: int) -> None:
            bar.update(task, completed=done, rate=_rate(done - already, time.monotonic() - started))

        yield moved


def _lines(total: int | None) -> Moved:
    """A line now and then."""
    started = time.monotonic()
    due = started + _FIRST_LINE_SECONDS

    def moved(done: int, already: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + _NEXT_LINE_SECONDS
            typer.echo(_line(done, total, already, now - started), err=True)

    return moved


def _line(done: int, total: int | None, already: int, seconds: float) -> str:
    """`120 of 500 images, 3.5 images/s, 1:49 left`."""
    parts = [f"{done} of {total} images" if total else f"{done} images", _rate(done - already, seconds)]
    if total and done > already:
        parts.append(f"{clock((total - done) * seconds / (done - already))} left")
    return ", ".join(filter(None, parts))


def _rate(done: int, seconds: float) -> str:
    return f"{done / seconds:.1f} images/s" if done > 0 and seconds > 0 else ""


def clock(seconds: float) -> str:
    """`0.8 s`, `1:49`, `2:03:10`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
