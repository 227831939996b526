"""What a forked child makes anew: threads do not come with it, so that their pools are dead and their locks stay closed."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")


def _in_child(forget: Callable[[], None]) -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=forget)


class PerProcess(Generic[T]):
    """Something that every process makes for itself when it first asks: `pool = PerProcess(make)`, then `pool()`."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._made = cache(make)
        _in_child(self._made.cache_clear)

    def __call__(self) -> T:
        """The one of this process."""
        return self._made()


class Lock:
    """A lock that a child finds open: whoever held it is not there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        if self._lock.locked():  # it is open where the holder itself was forked
            self._lock.release()

    def open_anew(self) -> None:
        """Forget who held it."""
        self._lock = threading.Lock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _open_locks() -> None:
    for lock in list(_locks):
        lock.open_anew()


_in_child(_open_locks)
