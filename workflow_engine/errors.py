"""Everything that can go wrong, as one tree, and `Problem`, the unit in which mistakes are told.

WorkflowError
├── WorkflowDefinitionError     the JSON is wrong: `.problems` lists every mistake at once
├── WorkflowInputError          the values given to a run do not fit its inputs: `.problems` likewise
├── PluginError                 a plugin cannot be loaded; names its distribution
└── WorkflowRunError            a run that started could not go on
├── StepError               an element of a step failed and the run was asked to raise
├── UnavailableError        what all elements of a step need cannot be had, such as a model
├── RunTimeoutError         the time given to the run is over
└── RunCancelledError       the caller asked to stop
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from workflow_engine.report import RunReport


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is wrong, and what would be right.

    `place` is a path into the definition (`steps[2].images`) or the name of an input.
    """

    place: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.message}" + (f" ({self.suggestion})" if self.suggestion else "")


UNKNOWN_FIELD: Final = "unknown field"
"""How the problem of a field begins that nobody knows."""


_SHOWN: Final = 200
"""Characters of a value in a message."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word: the nearest known ones, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""


_WORDS = {type(None): "nothing (null)", bool: "a boolean", int: "a number", float: "a number", str: "a text",
          list: "a list", tuple: "a list", dict: "an object"}  # fmt: skip


def a(value: object) -> str:
    """What sort of thing a value is, with its article and in the words of JSON: `a text`, `an object`, `a list`."""
    if type(value) in _WORDS:
        return _WORDS[type(value)]
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def shown(value: object) -> str:
    """A value in a message; of a long one, its beginning."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits
        return "a number of many digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def listing(names: Iterable[str], *, none: str = "none") -> str:
    """Names for the end of a message: `a`, `b`, `c`."""
    return ", ".join(f"`{name}`" for name in names) or none


class WorkflowError(Exception):
    """The root of every error of the engine; all of them may be copied and sent to other processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), *self.args), self.__dict__


def _again(kind: type[WorkflowError], *args: Any) -> WorkflowError:
    """An error as it was: its message is in `args` already, so `__init__`, which would make another of it, is left out."""
    return kind.__new__(kind, *args)


class _ProblemsError(WorkflowError):
    """An error made of problems."""

    headline = "{n} problem{s}"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        head = self.headline.format(n=len(self.problems), s="" if len(self.problems) == 1 else "s")
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


class WorkflowDefinitionError(_ProblemsError):
    """The definition cannot be compiled; `problems` lists every mistake with its place."""

    headline = "The workflow definition has {n} problem{s}:"


class WorkflowInputError(_ProblemsError):
    """The values given to a run do not fit the inputs of the workflow; `problems` lists every mistake."""

    headline = "The inputs of the run have {n} problem{s}:"


class PluginError(WorkflowError):
    """A plugin cannot be loaded or clashes with another; `distribution` is the installed package to blame."""

    def __init__(self, message: str, *, plugin: str, distribution: str) -> None:
        self.plugin = plugin
        self.distribution = distribution
        super().__init__(f"plugin `{plugin}` of {distribution}: {message}")


class WorkflowRunError(WorkflowError):
    """A run that started could not go on; `report` tells how far it came, where there is one."""

    def __init__(self, message: str, *, report: RunReport | None = None) -> None:
        self.report = report
        super().__init__(message)


class StepError(WorkflowRunError):
    """An element of a step failed; the cause is chained, and its traceback kept as text for where the chain does not reach."""

    def __init__(self, message: str, *, step: str, block: str, element: tuple[int, ...], traceback: str = "") -> None:
        self.step = step
        self.block = block
        self.element = element
        self.traceback = traceback
        super().__init__(message)


class UnavailableError(WorkflowRunError):
    """What all elements of a step need cannot be had, such as a model that cannot be loaded.

    A block raises it; it ends the run at once instead of failing every element on its own.
    """


class RunTimeoutError(WorkflowRunError):
    """The time given to the run is over."""


class RunCancelledError(WorkflowRunError):
    """The caller asked the run to stop."""
