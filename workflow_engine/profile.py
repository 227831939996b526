"""What takes how long: spans of steps and of whatever works behind them, while a profile is on.

A block records its own with `record`; nothing is kept while no profile is on. The trace opens in https://ui.perfetto.dev and in
Chrome's tracing.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True)
class Span:
    """Something that took a while; times are those of `time.perf_counter`.

    Attributes:
        track: where it happened: `steps`, or the name of a worker.
        name: what it was.
        started: when it began.
        ended: when it ended.
        counts: numbers about it, such as `elements`.
    """

    track: str
    name: str
    started: float
    ended: float
    counts: dict[str, int]


@dataclass
class Total:
    """The spans of one name together."""

    track: str
    name: str
    calls: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


class Profile:
    """The spans of a while.

    Args:
        only: the track whose spans are kept; all are without it.
    """

    def __init__(self, only: str | None = None) -> None:
        self.spans: list[Span] = []
        self._only = only

    def add(self, span: Span) -> None:
        """Keep a span."""
        if self._only in (None, span.track):
            self.spans.append(span)

    def seconds(self, track: str) -> float:
        """How long at least one span of a track was going on."""
        total, reached = 0.0, float("-inf")
        for span in sorted((span for span in self.spans if span.track == track), key=lambda span: span.started):
            total += max(0.0, span.ended - max(span.started, reached))
            reached = max(reached, span.ended)
        return total

    def totals(self) -> list[Total]:
        """The spans added up by track and name, in order of their first beginning."""
        found: dict[tuple[str, str], Total] = {}
        for span in sorted(self.spans, key=lambda span: span.started):
            total = found.setdefault((span.track, span.name), Total(span.track, span.name))
            total.calls += 1
            total.seconds += span.ended - span.started
            for name, count in span.counts.items():
                total.counts[name] = total.counts.get(name, 0) + count
        return list(found.values())

    def trace(self) -> dict[str, Any]:
        """The spans in the trace event format, microseconds from the first."""
        first = min((span.started for span in self.spans), default=0.0)
        tracks = {track: number for number, track in enumerate(dict.fromkeys(span.track for span in self.spans), 1)}
        names = [{"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": track}}
                 for track, number in tracks.items()]  # fmt: skip
        events = [{"ph": "X", "name": span.name, "cat": span.track, "pid": 1, "tid": tracks[span.track],
                   "ts": (span.started - first) * 1e6, "dur": (span.ended - span.started) * 1e6, "args": span.counts}
                  for span in self.spans]  # fmt: skip
        return {"traceEvents": [*names, *events], "displayTimeUnit": "ms"}

    def write(self, path: Path) -> None:
        """Write the trace.

        Raises:
            OSError: the file cannot be written.
        """
        path.write_text(json.dumps(self.trace()), encoding="utf-8")


_active: list[Profile] = []


def record(track: str, name: str, started: float, ended: float, **counts: int) -> None:
    """Add a span to every profile that is on; may be called from any thread."""
    for profile in _active:
        profile.add(Span(track, name, started, ended, counts))


@contextlib.contextmanager
def profiled(only: str | None = None) -> Iterator[Profile]:
    """Keep the spans of the block, all of them or those of one track."""
    profile = Profile(only)
    _active.append(profile)
    try:
        yield profile
    finally:
        _active.remove(profile)


LOADING: Final = "loading"
"""The track of what is done once, such as loading a model."""
_BRIEF: Final = 0.001
"""Seconds of loading that are not worth a span: the model was there."""

_loading: contextvars.ContextVar[list[float] | None] = contextvars.ContextVar("loading", default=None)


@contextlib.contextmanager
def loading(name: str) -> Iterator[None]:
    """What a block does in this context once, such as loading a model, or waits for: it does not count as work of its step."""
    started = time.perf_counter()
    try:
        yield
    finally:
        ended = time.perf_counter()
        if ended - started >= _BRIEF:
            record(LOADING, name, started, ended)
            parts = _loading.get()
            if parts is not None:
                parts.append(ended - started)


@contextlib.contextmanager
def loading_apart() -> Iterator[list[float]]:
    """The seconds of everything that is loaded in this context during the block."""
    parts: list[float] = []
    token = _loading.set(parts)
    try:
        yield parts
    finally:
        _loading.reset(token)
