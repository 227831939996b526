"""The plugin that brings the kinds of the language, and workflows within workflows, through the hooks that all use."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_engine.block import Block
from workflow_engine.hookspecs import hookimpl
from workflow_engine.inner import InnerWorkflow
from workflow_engine.kinds import STANDARD_KINDS, Kind


@hookimpl
def workflow_engine_kinds() -> Iterable[Kind]:
    """The standard kinds."""
    return STANDARD_KINDS


@hookimpl
def workflow_engine_blocks() -> Iterable[type[Block]]:
    """The step that stands for others."""
    return (InnerWorkflow,)
