"""The hooks of the engine. A plugin implements them in the module or object its entry point names (group `workflow_engine`)."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from workflow_engine.block import Block
from workflow_engine.commands import Command
from workflow_engine.kinds import Kind
from workflow_engine.settings import Setting

hookspec = pluggy.HookspecMarker("workflow_engine")
hookimpl = pluggy.HookimplMarker("workflow_engine")


@hookspec
def workflow_engine_kinds() -> Iterable[Kind]:
    """Kinds this plugin brings."""
    return ()


@hookspec
def workflow_engine_blocks() -> Iterable[type[Block]]:
    """Block classes this plugin brings."""
    return ()


@hookspec
def workflow_engine_settings() -> Iterable[Setting]:
    """Settings this plugin brings."""
    return ()


@hookspec
def workflow_engine_commands() -> Iterable[Command]:
    """Commands this plugin brings."""
    return ()


@hookspec(firstresult=True)
def workflow_engine_nearest(name: str) -> str | None:
    """For the type name of a block that only another runtime has: the block here that comes nearest; None for other names."""
    return None
