"""The commands of plugins beside the engine's own."""

from __future__ import annotations

from collections.abc import Callable
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
    """A command as typer itself makes it of the function; one that only says what is wrong where there is no such function."""
    from workflow_engine.plugins import registry

    plugin = registry().commands[command]
    module, _, name = command.function.partition(":")
    settings = {}
    try:
        function = getattr(import_module(module), name)
    except Exception as error:  # a module of a plugin may raise anything
        function = _broken(plugin.error(f"the command `{command.name}` cannot be loaded: {type(error).__name__}: {error}"))
        settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    alone = typer.Typer(add_completion=False)
    alone.command(command.name, short_help=command.help, context_settings=settings)(function)
    return get_command(alone)


def _broken(error: PluginError) -> Callable[[], None]:
    def told() -> None:
        raise error

    return told
