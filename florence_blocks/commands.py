"""The commands that Florence-2 adds to `workflow`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_checkpoint(
    old: Annotated[str, typer.Argument(metavar="OLD", help="a folder or hub id in the former layout", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="the folder to write; new or empty", show_default=False)],
    revision: Annotated[str | None, typer.Option(help="the revision of a hub repository")] = None,
) -> None:
    """Write a checkpoint of the former remote code anew, in the layout of transformers' Florence-2.

    Weights are renamed, not changed; only safetensors are read, and no code of the checkpoint is run.
    """
    from florence_blocks.runtime.convert import convert

    convert(old, new, revision=revision)
    typer.echo(f"written to {new}; `model_id: {new}` uses it")
