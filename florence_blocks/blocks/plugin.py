"""The plugin that brings the Florence blocks, and their settings, to the engine."""

from __future__ import annotations

from collections.abc import Iterable

from florence_blocks.blocks.combined import AnyTask
from florence_blocks.blocks.typed import BLOCKS
from florence_blocks.settings import DEVICE, DTYPE, FEATURE_BYTES
from workflow_engine.block import Block
from workflow_engine.commands import Command
from workflow_engine.hookspecs import hookimpl
from workflow_engine.settings import Setting


@hookimpl
def workflow_engine_blocks() -> Iterable[type[Block]]:
    """The typed Florence blocks, and the one that has all tasks."""
    return (*BLOCKS, AnyTask)


@hookimpl
def workflow_engine_settings() -> Iterable[Setting]:
    """Where models run, how precisely, and how much they keep."""
    return (DEVICE, DTYPE, FEATURE_BYTES)


@hookimpl
def workflow_engine_commands() -> Iterable[Command]:
    """What is done to a checkpoint before it can be used."""
    return (
        Command("convert-checkpoint", "florence_blocks.commands:convert_checkpoint",
                "Write a checkpoint of the former remote code anew, in the layout of transformers' Florence-2."),
    )  # fmt: skip
