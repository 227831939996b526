"""Plugins: found through the entry-point group `workflow_engine`, loaded once on first use, built-ins like any other.

What is wrong with an installed plugin is told once, as a `PluginWarning` that names its distribution, and left out: the whole
plugin, or one block, kind or setting of it. Everything else goes on; a definition that uses what was left out is told why.

Environment:
    WORKFLOW_ENGINE_PLUGINS: names of the entry points to load, separated by commas; all of them when unset.
    WORKFLOW_ENGINE_TRACE_PLUGINS: any value prints every plugin as it is loaded to standard error.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from workflow_engine.block import Block
from workflow_engine.commands import Command
from workflow_engine.contribution import GROUP, Contribution, Plugin, contribution_of
from workflow_engine.errors import PluginError
from workflow_engine.forks import Lock
from workflow_engine.kinds import Kind
from workflow_engine.settings import Setting

_ENGINE = "workflow_engine.standard"
"""The module of the plugin whose kinds are those of the language; it comes first."""
_log = logging.getLogger(__name__)
_lock = Lock()
_loaded: dict[str, Registry] = {}


class PluginWarning(UserWarning):
    """An installed plugin, or a part of one, was left out."""


@dataclass(frozen=True, eq=False)
class Registry:
    """Every block by each of its type names, every kind by its name, every setting and command, and where they come from.

    Attributes:
        broken: what was left out, and why.
        lost: the errors of blocks that were left out, by their type names, where these are known.
        plugins: the plugins it is made of.
        unloaded: the errors of plugins that could not even be imported.
    """

    blocks: Mapping[str, type[Block]]
    kinds: Mapping[str, Kind]
    sources: Mapping[type[Block], Plugin]
    settings: Mapping[Setting, Plugin]
    commands: Mapping[Command, Plugin] = field(default_factory=dict)
    broken: tuple[PluginError, ...] = ()
    lost: Mapping[str, PluginError] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    unloaded: tuple[PluginError, ...] = ()
    contributions: tuple[Contribution, ...] = field(default=(), repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """In other processes it is made of the same plugins: of those that are installed there, where it is of those here."""
        if self in _loaded.values():
            return registry, ()
        return _again, (self.plugins, self.unloaded)

    def __deepcopy__(self, memo: dict[int, Any]) -> Registry:
        """Itself: nothing of it changes."""
        return self

    def names(self) -> dict[type[Block], list[str]]:
        """Every block with the type names it answers to here."""
        found: dict[type[Block], list[str]] = {}
        for name, block in self.blocks.items():
            found.setdefault(block, []).append(name)
        return found

    def nearest(self, name: str) -> str | None:
        """What the plugins say comes nearest to a block that is not here, by its type name."""
        answers = (contribution.nearest(name) for contribution in self.contributions)
        return next((answer for answer in answers if answer is not None), None)

    def absence(self, name: str) -> str:
        """Why a block or kind may not be here: what was left out; empty where nothing was."""
        if name in self.lost:
            return f"left out: {self.lost[name]}"
        if not self.broken:
            return ""
        return f"or it is of what was left out: {'; '.join(map(str, self.broken))}"

    def plus(self, *more: Plugin) -> Registry:
        """A registry with the blocks, kinds and settings of more plugins, installed or not: for tests and notebooks.

        Raises:
            PluginError: one of them is broken or clashes with another.
        """
        return _build([*self.plugins, *more], forgiven=self.plugins, unloaded=self.unloaded)


def registry() -> Registry:
    """The blocks and kinds of the installed plugins; loaded once per setting of the environment.

    What is broken is left out and told as a `PluginWarning`.

    Raises:
        PluginError: WORKFLOW_ENGINE_PLUGINS names a plugin that is not installed.
    """
    wanted = os.environ.get("WORKFLOW_ENGINE_PLUGINS", "")
    with _lock:
        if wanted not in _loaded:
            found, unloaded = _installed(wanted)
            _loaded[wanted] = _build(found, forgiven=found, unloaded=unloaded)
            for error in _loaded[wanted].broken:
                warnings.warn(f"left out: {error}", PluginWarning, stacklevel=2)
        return _loaded[wanted]


def _installed(wanted: str) -> tuple[list[Plugin], tuple[PluginError, ...]]:
    """The installed plugins, that of the engine first, and the errors of those that cannot be imported."""
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    found = {(entry.name, entry.value): entry for entry in entry_points(group=GROUP)}
    chosen = [entry for entry in found.values() if not names or entry.name in names]
    missing = set(names) - {entry.name for entry in chosen}
    if missing:
        known = ", ".join(sorted({entry.name for entry in found.values()})) or "none"
        name = min(missing)
        raise PluginError(f"asked for by WORKFLOW_ENGINE_PLUGINS, installed are: {known}", plugin=name,
                          distribution="no installed distribution")  # fmt: skip
    loaded: list[Plugin] = []
    unloaded: list[PluginError] = []
    for entry in sorted(chosen, key=lambda entry: (entry.value != _ENGINE, entry.name, entry.value)):
        try:
            loaded.append(_load(entry))
        except PluginError as error:
            unloaded.append(error)
    return loaded, tuple(unloaded)


def _load(entry: EntryPoint) -> Plugin:
    distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
    _trace(f"loading plugin {entry.name} = {entry.value} of {distribution}")
    try:
        return Plugin(entry.name, distribution, entry.load())
    except (Exception, SystemExit) as error:
        raise PluginError(f"cannot be loaded: {type(error).__name__}: {error}", plugin=entry.name,
                          distribution=distribution) from error  # fmt: skip


def _trace(message: str) -> None:
    _log.debug(message)
    if os.environ.get("WORKFLOW_ENGINE_TRACE_PLUGINS"):
        sys.stderr.write(f"workflow_engine: {message}\n")


def build_registry(plugins: Iterable[Plugin]) -> Registry:
    """Ask every plugin for its blocks, kinds and settings.

    Raises:
        PluginError: a hook is misspelt, raises, or brings something broken or a name that another plugin has.
    """
    return _build(list(plugins))


def _again(plugins: Sequence[Plugin], unloaded: tuple[PluginError, ...]) -> Registry:
    return _build(plugins, forgiven=plugins, unloaded=unloaded)


def _build(plugins: Sequence[Plugin], *, forgiven: Collection[Plugin] = (), unloaded: tuple[PluginError, ...] = ()) -> Registry:
    """A registry of plugins; errors of those that are forgiven are kept, those of others raise."""
    table = _Table()
    for plugin in plugins:
        contribution = contribution_of(plugin)
        table.add(contribution)
        if table.errors_of(contribution) and plugin not in forgiven:
            raise table.errors_of(contribution)[0]
    blocks = {name: block for name, (block, _) in table.blocks.items() if name not in table.lost}
    return Registry(
        blocks=MappingProxyType(blocks),
        kinds=MappingProxyType({name: kind for name, (kind, _) in table.kinds.items()}),
        sources=MappingProxyType(dict(table.blocks.values())),
        settings=MappingProxyType(dict(table.settings.values())),
        commands=MappingProxyType(dict(table.commands.values())),
        broken=(*unloaded, *table.errors),
        lost=MappingProxyType(table.lost),
        plugins=tuple(plugins),
        unloaded=unloaded,
        contributions=tuple(table.contributions),
    )


class _Table:
    """What plugins bring, by name.

    Two blocks of one name are both left out, since the meaning of a definition must not hang on an order; of kinds and settings
    of one name the first stays, since everybody's values are of the kinds of the language.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, tuple[type[Block], Plugin]] = {}
        self.kinds: dict[str, tuple[Kind, Plugin]] = {}
        self.settings: dict[str, tuple[Setting, Plugin]] = {}
        self.commands: dict[str, tuple[Command, Plugin]] = {}
        self.errors: list[PluginError] = []
        self.lost: dict[str, PluginError] = {}
        self.contributions: list[Contribution] = []

    def errors_of(self, contribution: Contribution) -> list[PluginError]:
        """The errors that a plugin is to blame for."""
        plugin = contribution.plugin
        return [error for error in self.errors if (error.plugin, error.distribution) == (plugin.name, plugin.distribution)]

    def add(self, contribution: Contribution) -> None:
        """Take what a plugin brings."""
        self.contributions.append(contribution)
        plugin = contribution.plugin
        self.errors += contribution.errors
        self.lost |= {name: error for name, error in contribution.lost.items() if name not in self.blocks}
        for kind in contribution.kinds:
            self._put(self.kinds, kind.name, kind, plugin, "kind")
        for setting in contribution.settings:
            self._put(self.settings, setting.name, setting, plugin, "setting")
        for command in contribution.commands:
            self._put(self.commands, command.name, command, plugin, "command")
        for block, names in contribution.blocks.items():
            for name in names:
                if not self._put(self.blocks, name, block, plugin, "block"):
                    self.lost[name] = self.errors[-1]

    def _put(self, table: dict[str, tuple[Any, Plugin]], name: str, item: Any, plugin: Plugin, what: str) -> bool:
        """Put something where its name is free; False, and an error, where it is not."""
        if name not in table or table[name][0] is item:
            table.setdefault(name, (item, plugin))
            return True
        other = table[name][1]
        used = "; neither is used" if what == "block" else ""
        message = f"brings the {what} `{name}`, which plugin `{other.name}` of {other.distribution} brings too{used}"
        self.errors.append(plugin.error(message))
        return False
