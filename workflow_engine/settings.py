"""Settings: what holds for all blocks of a plugin in a process, not for one step of one workflow.

A plugin brings them through the `workflow_engine_settings` hook. Each is an environment variable, which the plugin reads
itself, and an option of `workflow run`, which sets that variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """An environment variable of a plugin, and its option.

    Attributes:
        name: the option without its dashes, such as `device`.
        variable: the environment variable.
        description: one line for people.
        values: what may be given, for people: `cpu|cuda`.
        check: raises ValueError with a sentence that says what would fit where a text does not; `workflow run` asks it
            first, so that a mistake ends the command before anything runs.
        changes_answers: whether answers may depend on it; results of other values of it are then not continued by `--resume`.
    """

    name: str
    variable: str
    description: str
    values: str = "TEXT"
    check: Callable[[str], Any] = field(default=str, compare=False)
    changes_answers: bool = True
