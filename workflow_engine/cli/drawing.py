"""`workflow graph`: a workflow as a picture, or as text that Mermaid draws."""

from __future__ import annotations

from pathlib import Path

import typer

from workflow_engine.errors import WorkflowError
from workflow_engine.views.diagram import diagram, mermaid
from workflow_engine.views.picture import picture
from workflow_engine.workflow import compile


class DrawingError(WorkflowError):
    """The picture cannot be written."""


def draw_graph(definition: Path, out: Path | None) -> int:
    """Write or print it; the exit code."""
    made = diagram(compile(definition).plan)
    text = mermaid(made)
    if out is None:
        typer.echo(text, nl=False)
        return 0
    suffix = out.suffix.lower()
    if suffix in (".svg", ".png"):
        data = picture(made, "svg" if suffix == ".svg" else "png")
    elif suffix in (".mmd", ".md"):
        data = (text if suffix == ".mmd" else f"```mermaid\n{text}```\n").encode()
    else:
        raise DrawingError(f"--out {out}: .svg, .png, .mmd or .md would fit")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(data)
    except OSError as error:
        raise DrawingError(f"--out {out} cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {out}", err=True)
    return 0
