"""What is said when a run is over: how much was done, how fast, and how to go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from workflow_engine.cli.kept import Kept, Results
from workflow_engine.cli.progress import clock
from workflow_engine.stream import StreamTotals

_WORTH_TELLING = 0.05
"""Seconds of loading that are worth a word."""


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        totals: what was done.
        finished: how many images have their results printed or kept.
        images: whether the workflow runs on images; one that does not has run once.
        results: where results are kept.
        seconds: how long it took.
        loading: how much of that went into loading models.
    """

    totals: StreamTotals
    finished: int
    images: bool
    results: Results | None
    seconds: float
    loading: float

    def summary(self) -> None:
        """Say what was done, and how fast."""
        if self.results:
            typer.echo(self._kept(self.results), err=True)
        typer.echo(self._pace(), err=True)

    def _kept(self, results: Results) -> str:
        earlier = f", {results.done} were there already" if results.done else ""
        others = results.others if isinstance(results, Kept) else 0
        stay = f", {others} of images not given this time stay" if others else ""
        return f"{self.finished} results in {results.place}{earlier}{stay}"

    def _pace(self) -> str:
        """`12 images in 3.4 s, 1.1 s of it loading models, else 5.2 images/s`."""
        count = self.finished
        what = f"{count} image{'s' if count != 1 else ''}" if self.images else "done"
        parts = [f"{what} in {clock(self.seconds)}"]
        apart = self.loading >= _WORTH_TELLING
        if apart:
            parts.append(f"{clock(self.loading)} of it loading models")
        working = self.seconds - self.loading
        if self.images and count and working > 0:
            parts.append(f"{'else ' if apart else ''}{count / working:.1f} images/s")
        return ", ".join(parts)

    def failures(self) -> None:
        """Say how many elements failed."""
        if self.totals.errors:
            again = "; --retry does their images again" if isinstance(self.results, Kept) else ""
            elements = "1 element" if self.totals.errors == 1 else f"{self.totals.errors} elements"
            typer.echo(f"{elements} failed{again}", err=True)

    def interruption(self, total: int | None) -> None:
        """Say how far an interrupted run of so many images came, if that is known, and how to go on."""
        done = self.finished + (self.results.done if self.results else 0)
        of = f" of {total}" if total else ""
        if isinstance(self.results, Kept):
            on = "the same command with --resume goes on"
        elif self.results is not None:
            on = f"{self.results.place} ends there"
        else:
            on = "with --out FOLDER results are kept, and --resume goes on"
        typer.echo(f"interrupted: {done}{of} images are done; {on}", err=True)


def trace_path(results: Results | None) -> Path | None:
    """Where a profile's trace lies: beside the results; nowhere where none are kept."""
    if results is None:
        return None
    return results.place / "trace.json" if isinstance(results, Kept) else results.place.with_suffix(".trace.json")
