"""What `workflow run` prints about results, steps and profiles."""

from __future__ import annotations

import sys
from typing import Any

import typer

from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.profile import Profile
from workflow_engine.stream import StreamTotals


def say(text: str, *, err: bool = False) -> None:
    """Print a line; on a terminal with a bar it stands above the bar, which `typer.echo` would write into."""
    print(text, file=sys.stderr if err else sys.stdout, flush=True)


def print_outputs(label: str, outputs: dict[str, Any]) -> None:
    """A few lines about one image's results."""
    say(label)
    for name, value in outputs.items():
        say(f"  {name}: {_short(value)}")


def _short(value: Any) -> str:
    """A value in a line, for people."""
    if isinstance(value, Image):
        return f"image {value.width}x{value.height}"
    if is_detections(value):
        names = [str(name) for name in value.data.get("class_name", [])]
        return f"{len(value)} found" + (f": {', '.join(filter(None, names))}" if any(names) else "")
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    return "-" if value is None else str(value)


def print_profile(profile: Profile) -> None:
    """What took how long."""
    totals = profile.totals()
    wide = max((len(total.name) for total in totals), default=0)
    tracks = max((len(total.track) for total in totals), default=0)
    for total in totals:
        counts = "  ".join(f"{name} {count}" for name, count in total.counts.items())
        typer.echo(
            f"{total.track:<{tracks}}  {total.name:<{wide}}  calls {total.calls:6d}  {total.seconds:8.3f} s  {counts}", err=True
        )


def print_steps(totals: StreamTotals) -> None:
    """What each step did."""
    width = max(map(len, totals.steps), default=4)
    typer.echo(f"{'step':<{width}}  elements  done  skipped  failed  seconds  loading", err=True)
    for name, step in totals.steps.items():
        counts = (
            f"{step.elements:8d}  {step.done:4d}  {step.skipped:7d}  {step.failed:6d}  {step.seconds:7.3f}  {step.loading:7.3f}"
        )
        typer.echo(f"{name:<{width}}  {counts}", err=True)
