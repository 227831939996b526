"""Lineage: which batch a value belongs to.

Every value lives on a level. Level 0 is the run itself (parameters), level 1 the batch of input images, and each step that
opens a dimension (crops) makes a new level under the one it runs on. A step runs on the deepest level of its inputs; the
levels of all others must lie on the way up from there, so that an outer value joins every inner element under it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

RUN = 0
"""The level of values that are one per run."""


@dataclass(frozen=True)
class Level:
    """One level: what opened it, under which level it lies, and how many dimensions its values have."""

    id: int
    parent: int | None
    opened_by: str
    depth: int


@dataclass
class Lineage:
    """The levels of one workflow, made while it is compiled."""

    levels: list[Level] = field(default_factory=lambda: [Level(RUN, None, "the run", 0)])

    def open(self, parent: int, opened_by: str) -> int:
        """A new level under another one."""
        level = Level(len(self.levels), parent, opened_by, self.levels[parent].depth + 1)
        self.levels.append(level)
        return level.id

    def parent(self, level: int) -> int:
        """The level above; the run is above itself."""
        above = self.levels[level].parent
        return RUN if above is None else above

    def depth(self, level: int) -> int:
        """How many dimensions the values of a level have."""
        return self.levels[level].depth

    def path(self, level: int) -> list[int]:
        """A level and all above it, deepest first."""
        path = [level]
        while path[-1] != RUN:
            path.append(self.parent(path[-1]))
        return path

    def deepest(self, levels: Iterable[int]) -> int | None:
        """The level on whose way up all the others lie; None when there is no such level."""
        every = set(levels) | {RUN}
        candidate = max(every, key=self.depth)
        return candidate if every <= set(self.path(candidate)) else None

    def describe(self, level: int) -> str:
        """A level in words, for messages."""
        if level == RUN:
            return "one value per run"
        return " > ".join(self.levels[part].opened_by for part in reversed(self.path(level)[:-1]))
