"""`workflow run`: images in batches through a workflow, results as they come."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workflow_engine.cli.ending import Ending, trace_path
from workflow_engine.cli.filmed import Filmed
from workflow_engine.cli.found import VIDEO_SUFFIXES, Found, find_images
from workflow_engine.cli.identity import facts_of, identity_of
from workflow_engine.cli.kept import Earlier, Kept, Results
from workflow_engine.cli.printing import print_outputs, print_profile, print_steps, say
from workflow_engine.cli.progress import progress
from workflow_engine.data import Image
from workflow_engine.errors import StepError, WorkflowError, WorkflowRunError, did_you_mean, listing
from workflow_engine.plain import dumps
from workflow_engine.profile import LOADING, Profile, profiled
from workflow_engine.results import to_json
from workflow_engine.stream import Streamed, StreamTotals
from workflow_engine.video import Video
from workflow_engine.workflow import Workflow, compile

if TYPE_CHECKING:
    from workflow_engine.views.page import Page


INTERRUPTED = 130
"""The exit code of a run that was interrupted."""


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
    recursive: bool
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
    allow_webhooks: list[str]
    strict: bool
    steps: bool
    report: Path | None
    report_images: int
    profile: bool
    quiet: bool
    verbose: bool


class ArgumentError(WorkflowError):
    """The arguments do not fit the workflow."""


def run_workflow(definition: Path, options: RunOptions) -> int:
    """Run and print; the exit code."""
    try:
        return _run(definition, options)
    except KeyboardInterrupt:  # before the first image, or a second time
        typer.echo("interrupted", err=True)
        return INTERRUPTED


def _run(definition: Path, options: RunOptions) -> int:
    workflow = compile(definition)
    for warning in workflow.warnings:
        typer.echo(f"warning: {warning}", err=True)
    name = _image_input(workflow, options)
    sources = _sources(name, options)
    page = _page(workflow, name, options)
    results = _results(workflow, name, sources, options)
    running = _Running(workflow.watched() if page else workflow, options, results, page)
    interrupted, started = False, time.monotonic()
    with profiled(None if options.profile else LOADING) as profile, _closing(results):
        try:
            running.stream(name, sources) if name else running.once()
        except KeyboardInterrupt:
            interrupted = True
    seconds, loads = time.monotonic() - started, profile.seconds(LOADING)
    ending = Ending(running.totals, running.finished, name is not None, results, seconds, loads)
    _tell(ending, options)
    if page is not None and options.report is not None:
        _write(options.report, page.html(running.totals).encode())
        if not options.quiet:
            typer.echo(f"report in {options.report}", err=True)
    if options.profile:
        _profile(profile, results)
    if interrupted:
        ending.interruption(sources.frames if isinstance(sources, Video) else len(sources))
        return INTERRUPTED
    return 1 if running.totals.errors else 0


def _tell(ending: Ending, options: RunOptions) -> None:
    """What was done, as far as it is wanted."""
    if options.steps:
        print_steps(ending.totals)
    if not options.as_json and not options.quiet:
        ending.summary()
    if not options.quiet:
        ending.failures()


def _profile(profile: Profile, results: Results | None) -> None:
    """What took how long, and the trace beside the results."""
    print_profile(profile)
    trace = trace_path(results)
    if trace is None:
        typer.echo("with --out FOLDER a trace of it is written beside the results", err=True)
        return
    _write(trace, json.dumps(profile.trace()).encode())
    typer.echo(f"trace in {trace}", err=True)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written: {error.strerror}") from None


def _try(path: Path) -> None:
    """Tell before a run that its report could not be written after it; what is there already stays."""
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise ArgumentError(f"--report {path} cannot be written: {error.strerror}") from None


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
        take = {"recursive": options.recursive, "allow_urls": options.allow_urls}
        found = find_images(options.images, **take) if name else Found()
        if not options.quiet:
            for note in found.notes:
                typer.echo(note, err=True)
        if name and not found.images:
            raise ArgumentError(f"`{name}` needs images: files, folders or glob patterns; or --video")
        return found.images
    if options.images:
        raise ArgumentError("images and --video exclude each other")
    if name is None:
        raise ArgumentError("the workflow takes no images, so --video has nothing to give to it")
    frames = options.frames
    try:
        return Video(frames.source, stride=frames.stride, start=frames.start, end=frames.end)
    except ValueError as error:
        raise ArgumentError(f"--video {frames.source}: {error}") from None


def _results(workflow: Workflow, name: str | None, sources: Sequence[Any] | Video, options: RunOptions) -> Results | None:
    """Where results are kept."""
    show = options.frames.show if options.frames else None
    names = [output.name for output in workflow.plan.outputs]
    if show is not None and show not in names:
        raise ArgumentError(f"--show {show}: no such output ({did_you_mean(show, names) or listing(names)})")
    if options.out is None:
        return None
    stateful = [step.name for step in workflow.plan.steps if step.stateful]
    if stateful and options.earlier in ("resume", "retry"):
        raise ArgumentError(f"step `{stateful[0]}` remembers what came before, so a run cannot go on in the middle; "
                            "--overwrite starts anew")  # fmt: skip
    joining = workflow.plan.joining()
    if joining and options.earlier in ("resume", "retry"):
        raise ArgumentError(f"step `{joining}` joins all images of a run, so a run cannot go on in the middle; --overwrite "
                            "starts anew")  # fmt: skip
    if options.out.suffix.lower() not in VIDEO_SUFFIXES:
        return Kept(options.out, options.earlier, identity_of(workflow, options.parameters, name))
    if not isinstance(sources, Video):
        raise ArgumentError(f"--out {options.out}: a video is written of a video (--video); a folder would fit")
    source = Path(options.frames.source) if options.frames else None
    if source is not None and options.out.exists() and source.exists() and options.out.samefile(source):
        raise ArgumentError(f"--out {options.out} is the video that is read; another name would fit")
    return Filmed(options.out, options.earlier, sources.rate, show)


def _page(workflow: Workflow, name: str | None, options: RunOptions) -> Page | None:
    """The page of a report, to be filled by the run."""
    if options.report is None:
        return None
    if options.report.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--report {options.report}: a page of HTML is written; a name such as report.html would fit")
    _try(options.report)
    from workflow_engine.views.page import Page  # draws with matplotlib, which takes a second to import

    return Page(workflow, name, options.report_images, facts_of(workflow, options.parameters, name))


@dataclass
class _Running:
    """A run and where its results go."""

    workflow: Workflow
    options: RunOptions
    results: Results | None
    page: Page | None
    totals: StreamTotals = field(default_factory=StreamTotals)
    finished: int = 0

    def stream(self, name: str, sources: Sequence[Any] | Video) -> None:
        """Every image that has no results yet."""
        options = self.options
        count = sources.frames if isinstance(sources, Video) else len(sources)
        with self.workflow.stream(
            self._left(sources), options.parameters, input=name, batch=options.batch, timeout=options.timeout,
            allow_urls=options.allow_urls, allow_files=options.allow_files, allow_webhooks=options.allow_webhooks,
            on_error="raise" if options.strict else "report",
        ) as stream, progress(count, quiet=self._is_unwatched()) as moved:  # fmt: skip
            self.totals = stream.totals
            try:
                for item in stream:
                    self._emit(item)
                    moved(item.index + 1 + self._earlier(), self._earlier())
            except WorkflowRunError as error:
                raise self._stopped(error) from error
            if options.frames is not None and not stream.totals.images and not (self.results and self.results.done):
                raise ArgumentError(f"--video {options.frames.source} has no frames from {options.frames.start:g} s on")

    def _earlier(self) -> int:
        """How many images an earlier run has done."""
        return self.results.done if self.results else 0

    def _stopped(self, error: WorkflowRunError) -> ArgumentError:
        """The end of a run that could not go on, with its traceback where that is wanted."""
        trace = error.traceback if isinstance(error, StepError) and self.options.verbose else ""
        return ArgumentError(f"{trace}{error}")

    def once(self) -> None:
        """A workflow without images."""
        options = self.options
        try:
            result = self.workflow.run(options.parameters, timeout=options.timeout, allow_files=options.allow_files,
                                       allow_webhooks=options.allow_webhooks,
                                       on_error="raise" if options.strict else "report")  # fmt: skip
        except WorkflowRunError as error:
            raise self._stopped(error) from error
        self.totals.add(result)
        for index, outputs in enumerate(result.outputs):
            self._emit(Streamed(index, None, outputs, tuple(result.report.errors), tuple(result.report.skips)))

    def _left(self, sources: Iterable[Any]) -> Iterator[Any]:
        """The images without results."""
        for source in sources:
            if self.results is None or not self.results.has(_label(source), source):
                yield source

    def _emit(self, item: Streamed) -> None:
        """One image's results: a line of JSON, or a few lines for people; what the page wants of it goes there."""
        label = _label(item.source)
        if self.page is not None:
            self.page.add(label, item)
        outputs = {name: value for name, value in item.outputs.items() if not name.startswith("$")}
        errors = [str(error) for error in item.errors]
        if self.results is not None:
            outputs = self.results.keep(label, item.source, outputs)
        if self.results or self.options.as_json:
            line = {"outputs": to_json(outputs, self.workflow.registry.kinds), "errors": errors}
            if self.results:
                self.results.add(label, item.source, line)
            self.finished += 1  # at once: an interrupted run says how many results there are
            if self.options.as_json:
                say(dumps({"input": label, **line}))
        else:
            self.finished += 1
        if self._is_printed():
            print_outputs(label or "result", outputs)
        for error in item.errors:
            trace = error.traceback if self.options.verbose else ""
            say(f"{trace}{label}: {error}", err=True)

    def _is_unwatched(self) -> bool:
        """Whether nobody wants to see how far the run is: lines of JSON on a terminal stay alone there."""
        return self.options.quiet or (self.options.as_json and sys.stdout.isatty())

    def _is_printed(self) -> bool:
        """Whether results are printed for people: not beside a bar, where they are kept in a folder."""
        if self.options.as_json or self.options.quiet:
            return False
        return self.results is None or not sys.stdout.isatty()


def _label(source: Any) -> str:
    """What an image is called in results."""
    return source.name if isinstance(source, Image) else "" if source is None else str(source)


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
