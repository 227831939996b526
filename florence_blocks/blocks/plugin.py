"""The plugin that brings the Florence blocks to the engine."""

from __future__ import annotations

from collections.abc import Iterable

from florence_blocks.blocks.combined import AnyTask
from florence_blocks.blocks.typed import BLOCKS
from workflow_engine.block import Block
from workflow_engine.hookspecs import hookimpl


@hookimpl
def workflow_engine_blocks() -> Iterable[type[Block]]:
    """The typed Florence blocks, and the one that has all tasks."""
    return (*BLOCKS, AnyTask)
