"""The commands and their options. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from workflow_engine.cli.commands import CommandsWithPlugins
from workflow_engine.cli.settings import CommandWithSettings
from workflow_engine.errors import Problem, WorkflowDefinitionError, WorkflowError
from workflow_engine.executor import STEP_THREAD

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="workflow",
    cls=CommandsWithPlugins,
    help="Run, check and explore vision workflows written in JSON.\n\n"
    "Exit codes: 0 all went well, 1 some element failed, 2 the definition or the arguments are wrong, 130 interrupted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Definition = Annotated[Path, typer.Argument(metavar="WORKFLOW", help="the JSON file of a workflow", show_default=False)]


_LAST_SECONDS = 10.0
"""How long the end of the process waits for steps that are still running."""


def main() -> None:
    """Entry point; no mistake of a user ends in a traceback."""
    _tell_warnings()
    try:
        app()
    except WorkflowError as error:
        stop(str(error))
    except KeyboardInterrupt:
        typer.echo("interrupted; what was finished is kept", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        raise SystemExit(OK) from None
    finally:
        _wait_for_steps()


def _wait_for_steps() -> None:
    """Let steps that a run left behind end: a thread within torch aborts the process when the interpreter ends."""
    last = time.monotonic() + _LAST_SECONDS
    for thread in threading.enumerate():
        if thread.name.startswith(STEP_THREAD):
            thread.join(max(0.0, last - time.monotonic()))


def _tell_warnings() -> None:
    """Have warnings about plugins told as all other things are; those of other libraries stay as they are."""
    show = warnings.showwarning

    def told(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if category.__module__ == "workflow_engine.plugins":
            typer.echo(f"warning: {message}", err=True)
        else:
            show(message, category, *place, **more)

    warnings.showwarning = told


def _version(wanted: bool) -> None:
    """Print which version this is, and end."""
    if wanted:
        from importlib.metadata import entry_points

        own = (entry.dist for entry in entry_points(group="workflow_engine") if entry.value == "workflow_engine.standard")
        typer.echo(" ".join(f"workflow {dist.version} ({dist.name})" for dist in own if dist))
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print which version this is")
    ] = False,
) -> None:
    """Run, check and explore vision workflows written in JSON.

    Exit codes: 0 all went well, 1 some element failed, 2 the definition or the arguments are wrong, 130 interrupted.
    """


def stop(message: str, code: int = WRONG) -> NoReturn:
    """End with a message on standard error."""
    typer.echo(message, err=True)
    raise SystemExit(code)


@app.command(cls=CommandWithSettings)
def run(
    definition: Definition,
    images: Annotated[list[str] | None, typer.Argument(help="images, folders or glob patterns", show_default=False)] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="take the images of folders inside of folders too")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="a parameter: name=value (JSON, else text)")] = None,
    input_: Annotated[str | None, typer.Option("--input", help="the input the images are for, when there are several")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for results.jsonl and every image output as PNG; or a video")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on where an earlier run into the same folder stopped")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="go on, and do the images that failed again")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="start anew where the folder holds results")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON line per image instead of a summary")] = False,
    batch: Annotated[int, typer.Option(min=1, help="images per run of the workflow; bounds the memory")] = 8,
    timeout: Annotated[float | None, typer.Option(min=0, help="seconds for each batch")] = None,
    video: Annotated[str | None, typer.Option(help="a video file, stream address or camera instead of images")] = None,
    stride: Annotated[int, typer.Option(min=1, help="take every n-th frame of the video")] = 1,
    start: Annotated[float, typer.Option("--from", min=0, help="seconds of the video to leave out")] = 0.0,
    end: Annotated[float | None, typer.Option("--to", help="seconds of the video at which to stop")] = None,
    show: Annotated[str | None, typer.Option(help="the image output that --out VIDEO shows; the first one without it")] = None,
    allow_urls: Annotated[bool, typer.Option(help="fetch images from http(s) addresses")] = False,
    allow_files: Annotated[Path | None, typer.Option(help="the folder in which blocks may write files")] = None,
    allow_webhook: Annotated[list[str] | None, typer.Option(help="an address to which blocks may send requests")] = None,
    stop_on_error: Annotated[bool, typer.Option(help="stop at the first element that fails")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="print what each step did")] = False,
    report: Annotated[Path | None, typer.Option(help="write a page of HTML: graph, pictures, values, times, errors")] = None,
    report_images: Annotated[int, typer.Option(min=0, help="images the report shows step by step")] = 4,
    profile: Annotated[bool, typer.Option("--profile", help="print what took how long; write trace.json to --out")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print nothing but errors, and results with --json")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="print the tracebacks of elements that fail")] = False,
) -> None:
    """Run a workflow on an image, several, a folder, a glob pattern, or the frames of a video.

    With --video, --out may be a video too (out.mp4): it shows an image output frame by frame, its other results lie beside it
    (out.jsonl).
    """
    from workflow_engine.cli.kept import Earlier
    from workflow_engine.cli.running import Frames, RunOptions, run_workflow

    if resume + retry + overwrite > 1:
        stop("--resume, --retry and --overwrite exclude each other")
    if (resume or retry) and out is None:
        stop("--resume and --retry need --out, the folder of the earlier run")
    earlier: Earlier = "retry" if retry else "resume" if resume else "overwrite" if overwrite else "refuse"
    frames = None if video is None else Frames(video, stride, start, end, show)
    options = RunOptions(
        images=images or [], recursive=recursive, frames=frames, parameters=_parameters(set_ or []), input_name=input_,
        out=out, earlier=earlier, as_json=json_, batch=batch, timeout=timeout, allow_urls=allow_urls, allow_files=allow_files,
        allow_webhooks=allow_webhook or [], strict=stop_on_error, steps=steps, report=report, report_images=report_images,
        profile=profile, quiet=quiet, verbose=verbose,
    )  # fmt: skip
    raise SystemExit(run_workflow(definition, options))


def _parameters(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values are JSON where they can be, else text."""
    parameters = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            stop(f"--set {pair}: name=value would fit")
        parameters[name] = _value(text)
    return parameters


def _value(text: str) -> Any:
    """JSON where it can be, else the text itself: so are numbers that JSON does not know, and those of thousands of digits."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


@app.command()
def check(
    definitions: Annotated[list[Path], typer.Argument(metavar="WORKFLOW...", help="JSON files", show_default=False)],
    json_: Annotated[bool, typer.Option("--json", help="print problems as JSON")] = False,
) -> None:
    """Check workflows without running them: every problem, each with its place."""
    from workflow_engine.workflow import compile

    found: list[dict[str, Any]] = []
    wrong = False
    for path in definitions:
        warnings: tuple[Problem, ...] = ()
        problems: tuple[Problem, ...] = ()
        try:
            warnings = compile(path).warnings
        except WorkflowDefinitionError as error:
            problems = error.problems
        wrong = wrong or bool(problems)
        found.append({"file": str(path), "problems": _as_json(problems), "warnings": _as_json(warnings)})
        if not json_:
            _print_check(path, problems, warnings)
    if json_:
        typer.echo(json.dumps(found, indent=2))
    raise SystemExit(WRONG if wrong else OK)


def _as_json(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [{"place": p.place, "message": p.message, "suggestion": p.suggestion} for p in problems]


def _print_check(path: Path, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    for warning in warnings:
        typer.echo(f"{path}: warning: {warning}", err=True)
    for problem in problems:
        typer.echo(f"{path}: {problem}", err=True)
    if not problems:
        typer.echo(f"{path}: ok")


@app.command()
def graph(
    definition: Definition,
    out: Annotated[Path | None, typer.Option(help="write it: .svg, .png, or Mermaid text as .mmd or .md")] = None,
) -> None:
    """Draw a workflow: steps, kinds and dimensions of what flows, gates. Prints Mermaid text without --out."""
    from workflow_engine.cli.drawing import draw_graph

    raise SystemExit(draw_graph(definition, out))


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="a definition (my.json), or the folder of a plugin package", show_default=False)],
) -> None:
    """Begin a definition, or a package with blocks of your own and their tests."""
    from workflow_engine.cli.scaffold import create

    raise SystemExit(create(path))


def _block_names(incomplete: str) -> list[str]:
    """The type names that begin so, for the shell's completion."""
    from workflow_engine.plugins import registry

    return [name for name in registry().blocks if name.startswith(incomplete)]


@app.command()
def blocks(
    name: Annotated[
        str | None, typer.Argument(help="a block's type name, for its fields and outputs", autocompletion=_block_names)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print the reference of all blocks, or of one, as Markdown")
    ] = False,
) -> None:
    """List the blocks, or show the fields and outputs of one."""
    from workflow_engine.cli.listing import print_block, print_blocks, print_markdown

    if markdown:
        raise SystemExit(print_markdown(name))
    raise SystemExit(print_block(name, as_json=json_) if name else print_blocks(as_json=json_))


@app.command()
def schema(
    block: Annotated[
        str | None, typer.Argument(help="a block's type name; the whole language without it", autocompletion=_block_names)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write all schemas into this folder")] = None,
) -> None:
    """Print the JSON Schema of the language or of a block, or write them all into a folder."""
    from workflow_engine.cli.listing import find_block
    from workflow_engine.schema import block_schema, document_schema, write_schemas

    if out is not None:
        try:
            written = write_schemas(out)
        except OSError as error:
            stop(f"{out} cannot be written: {error.strerror}")
        typer.echo(f"wrote {len(written)} schemas into {out}")
        return
    sys.stdout.write(json.dumps(block_schema(find_block(block)) if block else document_schema(), indent=2) + "\n")
