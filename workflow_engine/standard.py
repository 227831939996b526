"""The plugin that brings the kinds of the language, through the hook that every plugin uses."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_engine.hookspecs import hookimpl
from workflow_engine.kinds import STANDARD_KINDS, Kind


@hookimpl
def workflow_engine_kinds() -> Iterable[Kind]:
    """The standard kinds."""
    return STANDARD_KINDS
