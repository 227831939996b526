"""Forked processes: the threads of torch do not come along, and whoever computes waits for them for ever."""

from __future__ import annotations

import os
from typing import Final

_user: int | None = None
"""The process that first used a model."""


_SPAWN: Final = (
    "this process was forked from one that had used a model, and torch cannot compute in it; start processes with "
    'multiprocessing.get_context("spawn"), or before the first model is loaded'
)


class ForkedError(RuntimeError):
    """This process was forked from one that had used a model."""

    def __init__(self, message: str = _SPAWN) -> None:
        super().__init__(message)


def check() -> None:
    """See that this process may compute.

    Raises:
        ForkedError: it was forked from one that had used a model.
    """
    if _user not in (None, os.getpid()):
        raise ForkedError


def use() -> None:
    """Note that this process computes with a model.

    Raises:
        ForkedError: it was forked from one that had used a model.
    """
    global _user
    check()
    _user = os.getpid()
