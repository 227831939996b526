"""`workflow run`: images in batches through a workflow, results as they come."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from workflow_engine.cli.files import find_images
from workflow_engine.cli.filmed import SUFFIXES, Filmed
from workflow_engine.cli.kept import Earlier, Kept, Results
from workflow_engine.data import Image
from workflow_engine.detections import is_detections
from workflow_engine.errors import WorkflowError, WorkflowRunError, did_you_mean, listing
from workflow_engine.profile import Profile, profiled
from workflow_engine.results import to_json
from workflow_engine.stream import StreamTotals
from workflow_engine.video import Video
from workflow_engine.workflow import Workflow, compile

PROGRESS_AFTER_SECONDS = 2.0


@dataclass
class Frames:
    """The options about a video."""

    source: str
    stride: int
    start: float
    end: float | None
    show: str | None


@dataclass
class RunOptions:
    """The options of `workflow run`."""

    images: list[str]
    frames: Frames | None
    parameters: dict[str, Any]
    input_name: str | None
    out: Path | None
    earlier: Earlier
    as_json: bool
    batch: int
    timeout: float | None
    allow_urls: bool
    allow_files: Path | None
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
    sources = _sources(name, options)
    results = _results(workflow, sources, options)
    with profiled() if options.profile else contextlib.nullcontext() as profile, _closing(results):
        totals = _stream(workflow, name, sources, results, options) if name else _once(workflow, results, options)
    _finish(totals, results, options)
    if profile is not None:
        _print_profile(profile, (options.out or Path()) / "trace.json")
    return 1 if totals.errors else 0


@contextlib.contextmanager
def _closing(results: Results | None) -> Iterator[None]:
    """Whatever happens, what was finished is whole."""
    try:
        yield
    finally:
        if results is not None:
            results.close()


def _sources(name: str | None, options: RunOptions) -> Sequence[Any] | Video:
    """What the workflow runs on: files in order, or the frames of a video."""
    if options.frames is None:
        found = find_images(options.images) if name else []
        if name and not found:
            raise ArgumentError(f"`{name}` needs images: files, folders or glob patterns; or --video")
        return found
    if options.images:
        raise ArgumentError("images and --video exclude each other")
    if name is None:
        raise ArgumentError("the workflow takes no images, so --video has nothing to give to it")
    frames = options.frames
    try:
        return Video(frames.source, stride=frames.stride, start=frames.start, end=frames.end)
    except ValueError as error:
        raise ArgumentError(f"--video {frames.source}: {error}") from None


def _results(workflow: Workflow, sources: Sequence[Any] | Video, options: RunOptions) -> Results | None:
    """Where results are kept."""
    show = options.frames.show if options.frames else None
    names = [output.name for output in workflow.plan.outputs]
    if show is not None and show not in names:
        raise ArgumentError(f"--show {show}: no such output ({did_you_mean(show, names) or listing(names)})")
    if options.out is None:
        return None
    stateful = [step.name for step in workflow.plan.steps if step.block.stateful]
    if stateful and options.earlier in ("resume", "retry"):
        raise ArgumentError(f"step `{stateful[0]}` remembers what came before, so a run cannot go on in the middle; "
                            "--overwrite starts anew")  # fmt: skip
    if options.out.suffix.lower() not in SUFFIXES:
        return Kept(options.out, options.earlier)
    if not isinstance(sources, Video):
        raise ArgumentError(f"--out {options.out}: a video is written of a video (--video); a folder would fit")
    source = Path(options.frames.source) if options.frames else None
    if source is not None and options.out.exists() and source.exists() and options.out.samefile(source):
        raise ArgumentError(f"--out {options.out} is the video that is read; another name would fit")
    return Filmed(options.out, options.earlier, sources.rate, show)


def _stream(
    workflow: Workflow, name: str, sources: Sequence[Any] | Video, results: Results | None, options: RunOptions
) -> StreamTotals:
    """Every image that has no results yet."""
    count = sources.frames if isinstance(sources, Video) else len(sources)
    with workflow.stream(
        _left(sources, results), input=name, batch=options.batch, timeout=options.timeout, allow_urls=options.allow_urls,
        allow_files=options.allow_files, on_error="raise" if options.strict else "report", **options.parameters,
    ) as stream, _progress(count) as moved:  # fmt: skip
        try:
            for item in stream:
                _emit(item.source, item.outputs, [str(error) for error in item.errors], workflow, results, options)
                moved(item.index + 1 + (results.done if results else 0))
        except WorkflowRunError as error:
            raise ArgumentError(str(error)) from error
        return stream.totals


def _label(source: Any) -> str:
    """What an image is called in results."""
    return source.name if isinstance(source, Image) else str(source)


def _left(sources: Iterable[Any], results: Results | None) -> Iterator[Any]:
    """The images without results."""
    for source in sources:
        if results is None or not results.has(_label(source), source):
            yield source


def _once(workflow: Workflow, results: Results | None, options: RunOptions) -> StreamTotals:
    """A workflow without images."""
    totals = StreamTotals()
    try:
        result = workflow.run(options.parameters, timeout=options.timeout, allow_files=options.allow_files,
                              on_error="raise" if options.strict else "report")  # fmt: skip
    except WorkflowRunError as error:
        raise ArgumentError(str(error)) from error
    totals.add(result)
    errors = [str(error) for error in result.report.errors]
    for outputs in result.outputs:
        _emit(None, outputs, errors, workflow, results, options)
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
    source: Any, outputs: dict[str, Any], errors: list[str], workflow: Workflow, results: Results | None, options: RunOptions
) -> None:
    """One image's results: a line of JSON, or a few lines for people."""
    label = _label(source) if source is not None else ""
    if results is not None:
        outputs = results.keep(label, source, outputs)
    if results or options.as_json:
        line = {"outputs": to_json(outputs, workflow.registry.kinds), "errors": errors}
        if results:
            results.add(label, source, line)
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


def _finish(totals: StreamTotals, results: Results | None, options: RunOptions) -> None:
    if options.report:
        width = max(map(len, totals.steps), default=4)
        typer.echo(f"{'step':<{width}}  elements  done  skipped  failed  seconds", err=True)
        for name, step in totals.steps.items():
            counts = f"{step.elements:8d}  {step.done:4d}  {step.skipped:7d}  {step.failed:6d}  {step.seconds:7.3f}"
            typer.echo(f"{name:<{width}}  {counts}", err=True)
    if results and not options.as_json:
        earlier = f", {results.done} were there already" if results.done else ""
        typer.echo(f"{totals.images} results in {results.place}{earlier}", err=True)
    if totals.errors:
        again = "; --retry does their images again" if isinstance(results, Kept) else ""
        typer.echo(f"{totals.errors} elements failed{again}", err=True)
