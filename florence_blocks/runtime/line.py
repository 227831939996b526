"""The waiting line in front of a model: bounded, by priority, and fair between its customers.

Fairness is start-time fair queueing: a customer's requests are ranked one after the other from the moment it joins, so that
the only request of a newcomer comes right after the requests in work, whatever another customer has waiting.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar


class Waiting(Protocol):
    """What can wait.

    Attributes:
        customer: who asked; each gets the same share.
        priority: higher goes first.
        deadline: when it is too late, in seconds of `time.monotonic`; None for never.
    """

    customer: Hashable
    priority: int
    deadline: float | None


T = TypeVar("T", bound=Waiting)

_ASK_SECONDS = 0.1
"""How often those who find no room look at their deadline, and ask whether they may still join."""


class _Entry(NamedTuple, Generic[T]):
    """Sorted by priority, rank, and order of arrival."""

    urgency: int
    rank: float
    number: int
    item: T


class Line(Generic[T]):
    """A waiting line for one worker; safe to use from several threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: list[_Entry[T]] = []
        self._ranks: dict[Hashable, float] = {}
        self._now = 0.0
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._entries)

    def join(self, items: Iterable[T], *, refused: Callable[[], bool]) -> list[T]:
        """Let items wait; blocks while the line is full.

        Args:
            items: what comes, at once as far as there is room.
            refused: tells whether nobody may join any more; asked again and again while there is no room.

        Returns:
            The items that found no place before their deadline, or because nobody may join any more.
        """
        late = []
        with self._changed:
            for item in items:
                while len(self._entries) >= self._capacity and not refused() and not _is_late(item):
                    self._changed.wait(_ASK_SECONDS)
                if refused() or _is_late(item):
                    late.append(item)
                else:
                    self._push(item)
                    self._changed.notify_all()
        return late

    def take(self) -> T | None:
        """The next item; None if nobody waits."""
        with self._changed:
            if not self._entries:
                return None
            entry = heapq.heappop(self._entries)
            self._now = max(self._now, entry.rank)
            if not self._entries:
                self._ranks.clear()
            self._changed.notify_all()
            return entry.item

    def put_back(self, items: Iterable[T]) -> None:
        """Let items that were taken wait again, in front; the line may become longer than its capacity."""
        with self._changed:
            for item in items:
                heapq.heappush(self._entries, _Entry(-item.priority, -1.0, next(self._numbers), item))
            self._changed.notify_all()

    def soon(self, count: int) -> list[T]:
        """About the next items, without taking them."""
        with self._changed:
            return [entry.item for entry in heapq.nsmallest(count, self._entries)]

    def wait(self, seconds: float) -> bool:
        """Wait until somebody comes, or the line is woken; whether somebody waits."""
        with self._changed:
            if not self._entries:
                self._changed.wait(seconds)
            return bool(self._entries)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> list[T]:
        """Send everybody away."""
        with self._changed:
            items = [entry.item for entry in self._entries]
            self._entries.clear()
            self._ranks.clear()
            self._changed.notify_all()
            return items

    def _push(self, item: T) -> None:
        rank = max(self._now, self._ranks.get(item.customer, 0.0)) + 1.0
        self._ranks[item.customer] = rank
        heapq.heappush(self._entries, _Entry(-item.priority, rank, next(self._numbers), item))


def _is_late(item: Waiting) -> bool:
    return item.deadline is not None and time.monotonic() >= item.deadline
