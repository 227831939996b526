"""What a run did: for every step how many elements went in, were done, skipped or failed, and why."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_FRAMES: Final = 12
_CHARACTERS: Final = 10_000
"""How much of a traceback is kept."""


@dataclass(frozen=True)
class Skipped:
    """Stands for a value that was not made because its element was skipped."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """Stands for a value that was not made because its element failed; `cause` is for chaining."""

    error: ElementError
    cause: Exception = field(compare=False, repr=False)


Missing = Skipped | Failed
"""A value that is not there. A block's own None is a value, and never one of these."""


@dataclass(frozen=True)
class ElementError:
    """The failure of one element of one step, or of a part of one whose other parts are there.

    Attributes:
        step: the name of the step, or `$inputs.name` where an input could not be read.
        block: the type name of the step.
        element: the index of the element: (image,), (image, crop), ...; empty where there is one per run.
        type: the class of the exception.
        message: what it said.
        part: what failed of the element, such as `regions[3]`; empty for all of it.
        traceback: where it was raised, as Python prints it, its last frames.
    """

    step: str
    block: str
    element: tuple[int, ...]
    type: str
    message: str
    part: str = ""
    traceback: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(cls, step: str, block: str, element: tuple[int, ...], cause: Exception, part: str = "") -> ElementError:
        """The failure that an exception is."""
        lines = traceback.format_exception(type(cause), cause, cause.__traceback__, limit=-_FRAMES)
        return cls(step, block, element, type(cause).__name__, str(cause), part, "".join(lines)[-_CHARACTERS:])

    def __str__(self) -> str:
        of = f" ({self.block})" if self.block else ""
        element = f", element {list(self.element)}" if self.element else ""
        part = f", {self.part}" if self.part else ""
        return f"{self.step}{of}{element}{part}: {self.type}: {self.message}"


@dataclass(frozen=True)
class Skip:
    """One skipped element and why it was skipped."""

    step: str
    element: tuple[int, ...]
    reason: str


@dataclass
class StepReport:
    """One step of one run; `elements` went in, and were done, skipped or failed.

    Seconds are of the wall clock; those in which it waited for what is loaded once, such as a model, are in `loading` instead.
    """

    name: str
    type: str
    elements: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    loading: float = 0.0


@dataclass
class RunReport:
    """One run: its steps in the order of the plan, every error and every skipped element."""

    steps: dict[str, StepReport] = field(default_factory=dict)
    errors: list[ElementError] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no element failed, and no part of one."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {"seconds": self.seconds, "steps": [asdict(step) for step in self.steps.values()],
                "errors": [asdict(error) for error in self.errors], "skips": [asdict(skip) for skip in self.skips]}  # fmt: skip
