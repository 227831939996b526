"""The commands of plugins beside the engine's own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from workflow_engine.commands import Command
from workflow_engine.errors import PluginError


class CommandsWithPlugins(TyperGroup):
    """The engine's own commands, and those of plugins; these are loaded when they are listed or used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, the engine's own first."""
        return [*super().list_commands(ctx), *sorted(_brought().keys() - self.commands.keys())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None where there is none."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        brought = _brought().get(cmd_name)
        return None if brought is None else _loaded(brought)


def _brought() -> dict[str, Command]:
    from workflow_engine.plugins import registry

    return {command.name: command for command in registry().commands}


def _loaded(command: Command) -> Any:
    """A command as typer itself makes it of the function.

    Raises:
        PluginError: there is no such function.
    """
    from workflow_engine.plugins import registry

    plugin = registry().commands[command]
    module, _, name = command.function.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"the command `{command.name}` cannot be loaded: {error}", plugin=plugin.name,
                          distribution=plugin.distribution) from error  # fmt: skip
    alone = typer.Typer(add_completion=False)
    alone.command(command.name, short_help=command.help)(function)
    return get_command(alone)
