"""What takes how long: spans of steps and of whatever works behind them, while a profile is on.

A block records its own with `record`; nothing is kept while no profile is on. The trace opens in https://ui.perfetto.dev and in
Chrome's tracing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
    """The spans of a while."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

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
        profile.spans.append(Span(track, name, started, ended, counts))


@contextlib.contextmanager
def profiled() -> Iterator[Profile]:
    """Keep the spans of the block."""
    profile = Profile()
    _active.append(profile)
    try:
        yield profile
    finally:
        _active.remove(profile)
