"""The settings of plugins as options of a command."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from workflow_engine.settings import Setting


class CommandWithSettings(TyperCommand):
    """A command that has an option for each setting of the plugins besides its own; they are loaded when it is used."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All options and arguments; a setting that has the name of one of the command's own is left out with a warning."""
        from workflow_engine.plugins import PluginWarning, registry

        own = super().get_params(ctx)
        taken = {option for parameter in own for option in (*parameter.opts, *parameter.secondary_opts, "--help")}
        settings = []
        for setting, plugin in registry().settings.items():
            if _option_name(setting) not in taken:
                settings.append(setting)
                continue
            message = f"brings the setting `{setting.name}`, and `workflow {self.name}` has an option of that name; "
            warnings.warn(f"left out: {plugin.error(message)}{setting.variable} sets it", PluginWarning, stacklevel=2)
        return [*own, *_options(settings)]


def _options(settings: Iterable[Setting]) -> list[Any]:
    """Options for settings, as typer itself makes them: those of a function that takes them."""
    kinds: dict[str, Any] = {f"setting_{number}": Annotated[str | None, _described(setting)]
                             for number, setting in enumerate(settings)}  # fmt: skip

    def take(**given: Any) -> None:
        pass

    take.__annotations__ = kinds
    take.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind) for name, kind in kinds.items()]
    )
    alone = typer.Typer(add_completion=False)
    alone.command()(take)
    return [option for option in get_command(alone).params if option.name in kinds]


def _described(setting: Setting) -> Any:
    return typer.Option(_option_name(setting), envvar=setting.variable, metavar=setting.values, help=setting.description,
                        callback=_setter(setting), expose_value=False)  # fmt: skip


def _option_name(setting: Setting) -> str:
    return f"--{setting.name}"


def _setter(setting: Setting) -> Callable[[str | None], None]:
    def put(value: str | None) -> None:
        if value is None:
            return
        try:
            setting.check(value)
        except Exception as error:  # a check is of a plugin, and may raise anything
            raise typer.BadParameter(str(error)) from None
        os.environ[setting.variable] = value

    return put
