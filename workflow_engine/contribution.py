"""What one plugin brings, asked of it apart from all others, so that whatever is wrong has a name and harms nobody else."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from workflow_engine import hookspecs
from workflow_engine.block import Block, BlockManifest, Output, block_types
from workflow_engine.commands import Command
from workflow_engine.errors import PluginError, a
from workflow_engine.kinds import Kind
from workflow_engine.settings import Setting

GROUP = "workflow_engine"
T = TypeVar("T")

_SETTING_NAME = re.compile(r"[a-z][a-z0-9-]*")
_FUNCTION = re.compile(r"[\w.]+:\w+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Plugin:
    """An object that implements hooks, and the distribution it comes from."""

    name: str
    distribution: str
    implementation: Any

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy names its module; anything else that implements hooks is copied with it.

        Raises:
            PicklingError: its class is none that another process could import.
        """
        if isinstance(self.implementation, ModuleType):
            return _of_module, (self.name, self.distribution, self.implementation.__name__)
        try:
            pickle.dumps(self.implementation)
        except Exception as error:
            raise pickle.PicklingError(
                f"plugin `{self.name}` of {self.distribution} cannot be found by other processes ({error}); a module, or an "
                "object whose class stands in one, would fit"
            ) from error
        return Plugin, (self.name, self.distribution, self.implementation)

    def error(self, message: str) -> PluginError:
        """An error that names it."""
        return PluginError(message, plugin=self.name, distribution=self.distribution)


def _of_module(name: str, distribution: str, module: str) -> Plugin:
    return Plugin(name, distribution, importlib.import_module(module))


def _nothing(name: str) -> str | None:
    return None


@dataclass
class Contribution:
    """What a plugin brings.

    Attributes:
        plugin: the plugin.
        blocks: its blocks, each with its type names.
        kinds: its kinds.
        settings: its settings.
        commands: its commands.
        nearest: what it says about the type name of a block that is not here.
        errors: what is wrong with it: each is about a hook, a block, a kind or a setting, which is left out.
        lost: the errors of blocks whose type names are known, by these names.
    """

    plugin: Plugin
    blocks: dict[type[Block], tuple[str, ...]] = field(default_factory=dict)
    kinds: list[Kind] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    nearest: Callable[[str], str | None] = _nothing
    errors: list[PluginError] = field(default_factory=list)
    lost: dict[str, PluginError] = field(default_factory=dict)


def contribution_of(plugin: Plugin) -> Contribution:
    """Ask a plugin for what it brings."""
    found = Contribution(plugin)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin.implementation, name=plugin.name)
        manager.check_pending()
    except Exception as error:
        found.errors.append(plugin.error(_one_line(error)))
        return found
    if not manager.get_hookcallers(plugin.implementation):
        found.errors.append(
            plugin.error("has no hooks; functions with `@hookimpl` in the object that its entry point names fit")
        )
    hooks = manager.hook
    found.kinds = [kind for kind in _asked(found, hooks.workflow_engine_kinds, Kind) if _good(found, kind, _kind_fault)]
    found.settings = [
        setting for setting in _asked(found, hooks.workflow_engine_settings, Setting) if _good(found, setting, _setting_fault)
    ]
    found.commands = [
        command for command in _asked(found, hooks.workflow_engine_commands, Command) if _good(found, command, _command_fault)
    ]
    for block in _asked(found, hooks.workflow_engine_blocks, type):
        _add_block(found, block)
    found.nearest = _nearest(manager)
    return found


def _asked(found: Contribution, hook: Any, wanted: type[T]) -> list[T]:
    """The answer to one hook; what is not of the wanted type is left out."""
    try:
        answers = hook() if hook.get_hookimpls() else [()]
        items = [item for answer in answers or [None] for item in _answered(answer, wanted)]
    except Exception as error:
        found.errors.append(found.plugin.error(f"{hook.name} raised {type(error).__name__}: {_one_line(error)}"))
        return []
    fitting = [item for item in items if isinstance(item, wanted)]
    for item in items:
        if not isinstance(item, wanted):
            found.errors.append(found.plugin.error(f"{hook.name} gave {_short(item)}, which is no {wanted.__name__}"))
    return fitting


def _answered(answer: Any, wanted: type) -> Iterable[Any]:
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Iterable):
        raise TypeError(f"it gave {a(answer)}; a list with items of {wanted.__name__} would fit")
    return answer


def _good(found: Contribution, item: Any, fault: Callable[[Any], str | None]) -> bool:
    wrong = fault(item)
    if wrong is not None:
        found.errors.append(found.plugin.error(wrong))
    return wrong is None


def _kind_fault(kind: Kind) -> str | None:
    return None if isinstance(kind.name, str) and kind.name else f"brings a kind whose name is {kind.name!r}; a text would fit"


def _setting_fault(setting: Setting) -> str | None:
    if not isinstance(setting.name, str) or not _SETTING_NAME.fullmatch(setting.name):
        return f"brings a setting whose name is {setting.name!r}; small letters, digits and `-` would fit"
    if not isinstance(setting.variable, str) or not _VARIABLE.fullmatch(setting.variable):
        return f"brings the setting `{setting.name}` with the variable {setting.variable!r}; a name such as ACME_PACE would fit"
    return None


def _command_fault(command: Command) -> str | None:
    if not isinstance(command.name, str) or not _SETTING_NAME.fullmatch(command.name):
        return f"brings a command whose name is {command.name!r}; small letters, digits and `-` would fit"
    if not isinstance(command.function, str) or not _FUNCTION.fullmatch(command.function):
        return (
            f"brings the command `{command.name}` with the function {command.function!r}; `package.module:function` would fit"
        )
    return None


def _add_block(found: Contribution, block: Any) -> None:
    """Keep a block, or what is wrong with it."""
    if not issubclass(block, Block):
        found.errors.append(found.plugin.error(f"{_short(block)} is not a block: its class is not derived from Block"))
        return
    names = _names(block)
    wrong = _block_fault(block, names)
    if wrong is None:
        found.blocks[block] = names
        return
    error = found.plugin.error(f"{_short(block)} is not a block: {wrong}")
    found.errors.append(error)
    for name in names:
        found.lost[name] = error


def _names(block: type[Block]) -> tuple[str, ...]:
    """The type names of a block; none where they cannot be read."""
    try:
        names = block_types(block)
    except (AttributeError, KeyError, TypeError):
        return ()
    return names if all(isinstance(name, str) and name for name in names) else ()


def _block_fault(block: type[Block], names: tuple[str, ...]) -> str | None:
    """What is wrong with a block, as far as can be seen before it is used."""
    manifest = getattr(block, "Manifest", None)
    if not isinstance(manifest, type) or not issubclass(manifest, BlockManifest):
        return "it has no Manifest that is derived from BlockManifest"
    if not names:
        return "its Manifest has no `type` that is a Literal of texts"
    if inspect.isabstract(block):
        return f"it has no {', '.join(sorted(f'`{name}`' for name in block.__abstractmethods__))}"
    outputs = block.outputs
    if not isinstance(outputs, Mapping) or not all(isinstance(output, Output) for output in outputs.values()):
        return "its `outputs` are no dict with an Output for every name"
    if block.dimension not in (-1, 0, 1):
        return f"its `dimension` is {block.dimension!r}; -1, 0 or 1 would fit"
    if not isinstance(block.requires, Mapping):
        return "its `requires` is no dict of modules and what `pip install` takes for them"
    return None


def _nearest(manager: pluggy.PluginManager) -> Callable[[str], str | None]:
    def nearest(name: str) -> str | None:
        try:
            near = manager.hook.workflow_engine_nearest(name=name)
        except Exception:
            return None
        return near if isinstance(near, str) else None

    return nearest


def _short(item: Any) -> str:
    """A class by its name, anything else as it shows itself, within bounds."""
    if isinstance(item, type):
        return f"{item.__module__}.{item.__qualname__}"
    return repr(item)[:80]


def _one_line(error: BaseException) -> str:
    """What an error says, in one line within bounds."""
    return " ".join(str(error).split())[:500]
