"""Commands: what a plugin adds to `workflow` besides blocks.

A plugin brings them through the `workflow_engine_commands` hook. Each names a function for typer, which is imported when the
command is used, so that listing commands costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of a plugin.

    Attributes:
        name: what is typed behind `workflow`, such as `convert-checkpoint`.
        function: where its function is, `package.module:function`; its parameters are annotated as typer wants them. It may
            raise a `WorkflowError`, whose message ends the command with exit code 2.
        help: one line for the list of commands.
    """

    name: str
    function: str
    help: str
