"""`workflow run`: images in batches through a workflow, results as they come."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from workflow_engine.cli.files import ImageFolder, find_images
from workflow_engine.cli.kept import Earlier, Kept
from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.errors import WorkflowError, WorkflowRunError, did_you_mean, listing
from workflow_engine.profile import Profile, profiled
from workflow_engine.results import to_json
from workflow_engine.stream import StreamTotals
from workflow_engine.workflow import Workflow, compile

PROGRESS_AFTER_SECONDS = 2.0


@dataclass
class RunOptions:
    """The options of `workflow run`."""

    images: list[str]
    parameters: dict[str, Any]
    input_name: str | None
    out: Path | None
    earlier: Earlier
    as_json: bool
    batch: int
    timeout: float | None
    allow_urls: bool
    strict: bool
    report: bool
    profile: bool


class ArgumentError(WorkflowError):
    """The arguments do not fit the workflow."""


def run_workflow(definition: Path, options: RunOptions) -> int:
    """Run and print; the exit code."""
    workflow = compile(definition)
    for warning in workflow.warnings:
        typer.echo(f"warning: {warning}", err=True)
    name = _image_input(workflow, options)
    sources = find_images(options.images) if name else []
    if name and not sources:
        raise ArgumentError(f"`{name}` needs images: files, folders or glob patterns")
    kept = Kept(options.out, options.earlier) if options.out else None
    with profiled() if options.profile else contextlib.nullcontext() as profile:
        totals = _stream(workflow, name, sources, kept, options) if name else _once(workflow, kept, options)
    if kept:
        kept.close()
    _finish(totals, kept, options)
    if profile is not None:
        _print_profile(profile, (options.out or Path()) / "trace.json")
    return 1 if totals.errors else 0


def _stream(workflow: Workflow, name: str, sources: list[Any], kept: Kept | None, options: RunOptions) -> StreamTotals:
    """Every image that has no results yet."""
    folder = ImageFolder(kept.folder) if kept else None
    with workflow.stream(
        _left(sources, kept, folder), input=name, batch=options.batch, timeout=options.timeout, allow_urls=options.allow_urls,
        on_error="raise" if options.strict else "report", **options.parameters,
    ) as stream, _progress(len(sources)) as moved:  # fmt: skip
        try:
            for item in stream:
                _emit(item.source, item.outputs, [str(error) for error in item.errors], workflow, kept, folder, options)
                moved(item.index + 1 + (kept.done if kept else 0))
        except WorkflowRunError as error:
            raise ArgumentError(str(error)) from error
        return stream.totals


def _left(sources: list[Any], kept: Kept | None, folder: ImageFolder | None) -> Iterator[Any]:
    """The images without results; every one gets its name for pictures, so that a resumed run gives the same names."""
    for source in sources:
        if folder:
            folder.name(str(source))
        if not (kept and kept.has(str(source), source)):
            yield source


def _once(workflow: Workflow, kept: Kept | None, options: RunOptions) -> StreamTotals:
    """A workflow without images."""
    totals = StreamTotals()
    try:
        result = workflow.run(options.parameters, timeout=options.timeout, on_error="raise" if options.strict else "report")
    except WorkflowRunError as error:
        raise ArgumentError(str(error)) from error
    totals.add(result)
    folder = ImageFolder(kept.folder) if kept else None
    errors = [str(error) for error in result.report.errors]
    for outputs in result.outputs:
        _emit(None, outputs, errors, workflow, kept, folder, options)
    return totals


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


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Says how far a run is; a bar appears once it has taken a while."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def moved(done: int) -> None:
            nonlocal bar
            if bar is None and time.monotonic() - started > PROGRESS_AFTER_SECONDS and sys.stderr.isatty():
                from rich.console import Console
                from rich.progress import Progress

                bar = stack.enter_context(Progress(console=Console(stderr=True)))
                bar.add_task("images", total=total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)

        yield moved


def _emit(
    source: Any, outputs: dict[str, Any], errors: list[str], workflow: Workflow, kept: Kept | None, folder: ImageFolder | None,
    options: RunOptions,
) -> None:  # fmt: skip
    """One image's results: a line of JSON, or a few lines for people."""
    label = str(source) if source is not None else ""
    if folder is not None:
        outputs = {name: folder.keep(value, label, name) for name, value in outputs.items()}
    if kept or options.as_json:
        line = {"outputs": to_json(outputs, workflow.registry.kinds), "errors": errors}
        if kept:
            kept.add(label, source, line)
        if options.as_json:
            typer.echo(json.dumps({"input": label, **line}, ensure_ascii=False))
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


def _finish(totals: StreamTotals, kept: Kept | None, options: RunOptions) -> None:
    if options.report:
        width = max(map(len, totals.steps), default=4)
        typer.echo(f"{'step':<{width}}  elements  done  skipped  failed  seconds", err=True)
        for name, step in totals.steps.items():
            counts = f"{step.elements:8d}  {step.done:4d}  {step.skipped:7d}  {step.failed:6d}  {step.seconds:7.3f}"
            typer.echo(f"{name:<{width}}  {counts}", err=True)
    if kept and not options.as_json:
        earlier = f", {kept.done} were there already" if kept.done else ""
        typer.echo(f"{totals.images} results in {kept.folder}{earlier}", err=True)
    if totals.errors:
        again = "; --retry does their images again" if kept else ""
        typer.echo(f"{totals.errors} elements failed{again}", err=True)
