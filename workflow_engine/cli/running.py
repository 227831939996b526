"""`workflow run`: images in batches through a workflow, results as they come."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import typer

from workflow_engine.cli.files import ImageFolder, find_images
from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.errors import WorkflowError, WorkflowRunError, did_you_mean, listing
from workflow_engine.profile import Profile, profiled
from workflow_engine.report import StepReport
from workflow_engine.results import RunResult
from workflow_engine.workflow import Workflow, compile

PROGRESS_AFTER_SECONDS = 2.0


@dataclass
class RunOptions:
    """The options of `workflow run`."""

    images: list[str]
    parameters: dict[str, Any]
    input_name: str | None
    out: Path | None
    as_json: bool
    batch: int
    timeout: float | None
    allow_urls: bool
    strict: bool
    report: bool
    profile: bool


class ArgumentError(WorkflowError):
    """The arguments do not fit the workflow."""


@dataclass
class _Totals:
    """What all batches did together."""

    images: int = 0
    errors: int = 0
    seconds: float = 0.0
    steps: dict[str, StepReport] = field(default_factory=dict)

    def add(self, result: RunResult) -> None:
        self.images += len(result.outputs)
        self.errors += len(result.report.errors)
        self.seconds += result.report.seconds
        for name, step in result.report.steps.items():
            total = self.steps.setdefault(name, StepReport(name, step.type))
            for count in ("elements", "done", "skipped", "failed", "seconds"):
                setattr(total, count, getattr(total, count) + getattr(step, count))


def run_workflow(definition: Path, options: RunOptions) -> int:
    """Run and print; the exit code."""
    workflow = compile(definition)
    for warning in workflow.warnings:
        typer.echo(f"warning: {warning}", err=True)
    name = _image_input(workflow, options)
    sources = find_images(options.images) if name else [None]
    if name and not sources:
        raise ArgumentError(f"`{name}` needs images: files, folders or glob patterns")
    totals = _Totals()
    with profiled() if options.profile else contextlib.nullcontext() as profile, _sink(options.out) as (lines, folder):
        for part, result in _results(workflow, name, sources, options):
            totals.add(result)
            for row, (source, outputs) in enumerate(zip(part, result.outputs, strict=True)):
                errors = [str(error) for error in result.report.errors if _concerns(error.element, row)]
                _emit(source, outputs, errors, result, lines, folder, options)
            if lines:
                lines.flush()
    _finish(totals, options)
    if profile is not None:
        _print_profile(profile, (options.out or Path()) / "trace.json")
    return 1 if totals.errors else 0


def _image_input(workflow: Workflow, options: RunOptions) -> str | None:
    """The input that the images on the command line are for."""
    names = [item.name for item in workflow.plan.inputs if item.is_image]
    if options.input_name is not None:
        if options.input_name not in names:
            near = did_you_mean(options.input_name, names) or f"image inputs: {listing(names)}"
            raise ArgumentError(f"--input {options.input_name}: no such image input ({near})")
        return options.input_name
    if len(names) > 1:
        raise ArgumentError(f"the workflow has several image inputs, {listing(names)}; --input NAME says which")
    if options.images and not names:
        raise ArgumentError("the workflow takes no images")
    return names[0] if names else None


def _results(
    workflow: Workflow, name: str | None, sources: list[Any], options: RunOptions
) -> Iterator[tuple[list[Any], RunResult]]:
    """The results of every batch, under a progress bar once it has taken a while."""
    started, bar = time.monotonic(), None
    with contextlib.ExitStack() as stack:
        for first in range(0, len(sources), options.batch):
            part = sources[first : first + options.batch]
            inputs = {**options.parameters, **({name: part} if name else {})}
            try:
                result = workflow.run(inputs, timeout=options.timeout, allow_urls=options.allow_urls,
                                      on_error="raise" if options.strict else "report")  # fmt: skip
            except WorkflowRunError as error:
                raise ArgumentError(str(error)) from error
            yield part, result
            if bar is None and time.monotonic() - started > PROGRESS_AFTER_SECONDS and sys.stderr.isatty():
                from rich.console import Console
                from rich.progress import Progress

                bar = stack.enter_context(Progress(console=Console(stderr=True)))
                task = bar.add_task("images", total=len(sources))
            if bar is not None:
                bar.update(task, completed=first + len(part))


def _concerns(element: tuple[int, ...], row: int) -> bool:
    return not element or element[0] == row


@contextlib.contextmanager
def _sink(out: Path | None) -> Iterator[tuple[IO[str] | None, ImageFolder | None]]:
    """The results file and the folder of pictures, where results are kept."""
    if out is None:
        yield None, None
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / "results.jsonl").open("w", encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"--out {out} cannot be written: {error.strerror}") from None
    with file:
        yield file, ImageFolder(out)


def _emit(
    source: Any, outputs: dict[str, Any], errors: list[str], result: RunResult, lines: IO[str] | None,
    folder: ImageFolder | None, options: RunOptions,
) -> None:  # fmt: skip
    """One image's results: a line of JSON, or a few lines for people."""
    label = str(source) if source is not None else ""
    if folder is not None:
        outputs = {name: folder.keep(value, label, name) for name, value in outputs.items()}
    if lines is not None or options.as_json:
        line = json.dumps({"input": label, "outputs": result.plain(outputs), "errors": errors}, ensure_ascii=False)
        if lines is not None:
            lines.write(line + "\n")
        if options.as_json:
            typer.echo(line)
    if not options.as_json:
        typer.echo(label or "result")
        for name, value in outputs.items():
            typer.echo(f"  {name}: {_short(value)}")
    for error in errors:
        typer.echo(f"{label}: {error}", err=True)


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


def _print_profile(profile: Profile, trace: Path) -> None:
    """What took how long, and the trace."""
    totals = profile.totals()
    wide = max((len(total.name) for total in totals), default=0)
    tracks = max((len(total.track) for total in totals), default=0)
    for total in totals:
        counts = "  ".join(f"{name} {count}" for name, count in total.counts.items())
        typer.echo(
            f"{total.track:<{tracks}}  {total.name:<{wide}}  calls {total.calls:6d}  {total.seconds:8.3f} s  {counts}", err=True
        )
    try:
        profile.write(trace)
    except OSError as error:
        raise ArgumentError(f"{trace} cannot be written: {error.strerror}") from None
    typer.echo(f"trace in {trace}", err=True)


def _finish(totals: _Totals, options: RunOptions) -> None:
    if options.report:
        width = max(map(len, totals.steps), default=4)
        typer.echo(f"{'step':<{width}}  elements  done  skipped  failed  seconds", err=True)
        for name, step in totals.steps.items():
            counts = f"{step.elements:8d}  {step.done:4d}  {step.skipped:7d}  {step.failed:6d}  {step.seconds:7.3f}"
            typer.echo(f"{name:<{width}}  {counts}", err=True)
    if options.out is not None and not options.as_json:
        typer.echo(f"{totals.images} results in {options.out}", err=True)
    if totals.errors:
        typer.echo(f"{totals.errors} elements failed", err=True)
