"""The values of one run: flat columns, one per output, each as long as its level has elements.

A level knows for each of its elements the position of its parent, and children of one parent lie side by side. So a join is
an index, a collapse a slice, and no value is ever looked up by a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from workflow_engine.lineage import RUN
from workflow_engine.plan import Column, Plan
from workflow_engine.report import Failed, Skipped


@dataclass
class LiveLevel:
    """The elements of a level: `parents[i]` is the position of element i's parent; `starts[p]` is its first child."""

    parents: list[int]
    starts: list[int]

    @classmethod
    def of_counts(cls, counts: Sequence[int]) -> LiveLevel:
        """A level whose parents have so many children each."""
        parents = [parent for parent, count in enumerate(counts) for _ in range(count)]
        return cls(parents, [0, *accumulate(counts)])

    def __len__(self) -> int:
        return len(self.parents)


@dataclass
class Values:
    """One column; `whole` says that nothing in it is missing or null."""

    items: list[Any]
    whole: bool


@dataclass
class RunState:
    """Everything a run has so far.

    Attributes:
        first: the place of its first image in the stream it belongs to.
    """

    plan: Plan
    first: int = 0
    levels: dict[int, LiveLevel] = field(default_factory=lambda: {RUN: LiveLevel([0], [0, 1])})
    columns: dict[Column, Values] = field(default_factory=dict)
    decisions: dict[str, list[Any]] = field(default_factory=dict)
    """For every flow-control step that has run: per element the names of the steps that go on, or what is missing."""

    def store(self, column: Column, items: list[Any]) -> None:
        """Keep a column."""
        whole = not any(item is None or type(item) is Skipped or type(item) is Failed for item in items)
        self.columns[column] = Values(items, whole)

    def size(self, level: int) -> int:
        """How many elements a level has."""
        return len(self.levels[level])

    def spread(self, items: list[Any], level: int, to: int) -> list[Any]:
        """A column of an outer level as a column of an inner one: each value repeated for the elements under it."""
        if level == to:
            return items
        if level == RUN:
            return items * self.size(to)
        positions = self.levels[to].parents
        parent = self.plan.levels[to].parent
        while parent is not None and parent != level:
            above = self.levels[parent].parents
            positions = [above[position] for position in positions]
            parent = self.plan.levels[parent].parent
        return [items[position] for position in positions]

    def index(self, level: int, position: int) -> tuple[int, ...]:
        """The index of an element: (image, crop, ...), where the image is counted from the beginning of the stream."""
        index: list[int] = []
        current: int | None = level
        while current is not None and current != RUN:
            live = self.levels[current]
            parent = live.parents[position]
            index.append(position - live.starts[parent])
            position, current = parent, self.plan.levels[current].parent
        if self.plan.of_images(level):
            index[-1] += self.first
        return tuple(reversed(index))

    def children(self, level: int) -> Iterable[slice]:
        """For every element of the level above, where its elements are in this level."""
        starts = self.levels[level].starts
        return [slice(first, last) for first, last in pairwise(starts)]

    def nest(self, items: list[Any], level: int, depth: int) -> list[Any]:
        """A flat column as nested lists, one entry per element of the level at `depth`."""
        while self.plan.levels[level].depth > depth:
            items = [items[part] for part in self.children(level)]
            parent = self.plan.levels[level].parent
            level = RUN if parent is None else parent
        return items
