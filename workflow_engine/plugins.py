"""Plugins: found through the entry-point group `workflow_engine`, loaded once on first use, built-ins like any other.

A plugin that breaks, clashes with another, or misspells a hook is an error that names its distribution.

Environment:
    WORKFLOW_ENGINE_PLUGINS: names of the entry points to load, separated by commas; all of them when unset.
    WORKFLOW_ENGINE_TRACE_PLUGINS: any value prints every plugin as it is loaded to standard error.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy

from workflow_engine import hookspecs
from workflow_engine.block import Block, block_types
from workflow_engine.errors import PluginError
from workflow_engine.kinds import Kind
from workflow_engine.settings import Setting

GROUP = "workflow_engine"
_log = logging.getLogger(__name__)
_lock = threading.Lock()
_loaded: dict[str, Registry] = {}


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


def _of_module(name: str, distribution: str, module: str) -> Plugin:
    return Plugin(name, distribution, importlib.import_module(module))


@dataclass(frozen=True, eq=False)
class Registry:
    """Every block by each of its type names, every kind by its name, every setting, and where blocks and settings come from."""

    blocks: Mapping[str, type[Block]]
    kinds: Mapping[str, Kind]
    sources: Mapping[type[Block], Plugin]
    settings: Mapping[Setting, Plugin]
    plugins: tuple[Plugin, ...] = ()
    nearest: Callable[[str], str | None] = lambda name: None
    """Asks the plugins about the type name of a block that is not here."""

    def __reduce__(self) -> tuple[Any, ...]:
        """In other processes it is made of the same plugins: of those that are installed there, where it is of those here."""
        if self in _loaded.values():
            return registry, ()
        return build_registry, (self.plugins,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Registry:
        """Itself: nothing of it changes."""
        return self

    def plus(self, *more: Plugin) -> Registry:
        """A registry with the blocks, kinds and settings of more plugins, installed or not: for tests and notebooks.

        Raises:
            PluginError: one of them is broken or clashes with another.
        """
        return build_registry([*self.plugins, *more])


def registry() -> Registry:
    """The blocks and kinds of the installed plugins; loaded once per setting of the environment.

    Raises:
        PluginError: a plugin is broken or clashes with another.
    """
    wanted = os.environ.get("WORKFLOW_ENGINE_PLUGINS", "")
    with _lock:
        if wanted not in _loaded:
            _loaded[wanted] = build_registry(_installed(wanted))
        return _loaded[wanted]


def _installed(wanted: str) -> list[Plugin]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    found = {(entry.name, entry.value): entry for entry in entry_points(group=GROUP)}
    chosen = [entry for entry in found.values() if not names or entry.name in names]
    missing = set(names) - {entry.name for entry in chosen}
    if missing:
        known = ", ".join(sorted({entry.name for entry in found.values()})) or "none"
        name = min(missing)
        raise PluginError(f"asked for by WORKFLOW_ENGINE_PLUGINS, installed are: {known}", plugin=name,
                          distribution="no installed distribution")  # fmt: skip
    return [_load(entry) for entry in sorted(chosen, key=lambda entry: entry.name)]


def _load(entry: EntryPoint) -> Plugin:
    distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
    _trace(f"loading plugin {entry.name} = {entry.value} of {distribution}")
    try:
        return Plugin(entry.name, distribution, entry.load())
    except Exception as error:
        raise PluginError(f"cannot be loaded: {type(error).__name__}: {error}", plugin=entry.name,
                          distribution=distribution) from error  # fmt: skip


def _trace(message: str) -> None:
    _log.debug(message)
    if os.environ.get("WORKFLOW_ENGINE_TRACE_PLUGINS"):
        sys.stderr.write(f"workflow_engine: {message}\n")


def build_registry(plugins: Iterable[Plugin]) -> Registry:
    """Ask every plugin for its blocks, kinds and settings.

    Raises:
        PluginError: a hook is misspelt, raises, or brings a name that another plugin has.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = tuple(plugins)
    blocks: dict[str, tuple[type[Block], Plugin]] = {}
    kinds: dict[str, tuple[Kind, Plugin]] = {}
    settings: dict[str, tuple[Setting, Plugin]] = {}
    for plugin in plugins:
        _register(manager, plugin)
        for kind in _call(manager, plugin, "workflow_engine_kinds", Kind):
            _add(kinds, kind.name, kind, plugin, "kind")
        for setting in _call(manager, plugin, "workflow_engine_settings", Setting):
            _add(settings, setting.name, setting, plugin, "setting")
        for block in _call(manager, plugin, "workflow_engine_blocks", type):
            for name in _types_of(block, plugin):
                _add(blocks, name, block, plugin, "block")
    return Registry(
        blocks=MappingProxyType({name: block for name, (block, _) in blocks.items()}),
        kinds=MappingProxyType({name: kind for name, (kind, _) in kinds.items()}),
        sources=MappingProxyType(dict(blocks.values())),
        settings=MappingProxyType(dict(settings.values())),
        plugins=plugins,
        nearest=lambda name: manager.hook.workflow_engine_nearest(name=name),
    )


def _register(manager: pluggy.PluginManager, plugin: Plugin) -> None:
    try:
        manager.register(plugin.implementation, name=plugin.name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(str(error), plugin=plugin.name, distribution=plugin.distribution) from error


def _call(manager: pluggy.PluginManager, plugin: Plugin, hook: str, wanted: type) -> list[Any]:
    """The answer of one plugin to one hook; asked apart from the others, so that what is wrong has a name."""
    others = [other for other in manager.get_plugins() if other is not plugin.implementation]
    try:
        items = [item for answer in manager.subset_hook_caller(hook, others)() for item in answer]
    except Exception as error:
        raise PluginError(f"{hook} raised {type(error).__name__}: {error}", plugin=plugin.name,
                          distribution=plugin.distribution) from error  # fmt: skip
    for item in items:
        if not isinstance(item, wanted):
            raise PluginError(f"{hook} gave {item!r}, which is no {wanted.__name__}", plugin=plugin.name,
                              distribution=plugin.distribution)  # fmt: skip
    return items


def _types_of(block: Any, plugin: Plugin) -> tuple[str, ...]:
    try:
        assert issubclass(block, Block)
        return block_types(block)
    except (AssertionError, AttributeError, KeyError):
        message = f"{block!r} is not a block with a Manifest whose `type` is a Literal"
        raise PluginError(message, plugin=plugin.name, distribution=plugin.distribution) from None


def _add(table: dict[str, tuple[Any, Plugin]], name: str, item: Any, plugin: Plugin, what: str) -> None:
    if name in table and table[name][0] is not item:
        other = table[name][1]
        raise PluginError(f"brings the {what} `{name}`, which plugin `{other.name}` of {other.distribution} brings too",
                          plugin=plugin.name, distribution=plugin.distribution)  # fmt: skip
    table[name] = (item, plugin)
