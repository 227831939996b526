"""The run that a block works for, for blocks that hand their work to somebody else.

run = current_run()
if run is not None:
with run.on_stop(cancel):   # called from another thread when the run ends early
...
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Permissions:
    """What the blocks of a run may do outside of it.

    Attributes:
        files: the folder in which they may write files; None where they may not.
        webhooks: addresses to which, and below which, they may send requests.
    """

    files: Path | None = None
    webhooks: tuple[str, ...] = ()


class Run:
    """A run in work; also the identity by which others tell runs apart.

    Attributes:
        deadline: when it gives up, in seconds of `time.monotonic`; None for never.
        permissions: what its blocks may do outside of it.
        progress: is told how much of how much a block has done; None where nobody wants to know.

    Args:
        ended: says whether somebody outside wants the run to end; whoever waits inside asks now and then.
    """

    def __init__(
        self,
        deadline: float | None = None,
        permissions: Permissions = Permissions(),
        *,
        ended: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.deadline = deadline
        self.permissions = permissions
        self.progress = progress
        self._ended = ended
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._stopped = False

    def stopped(self) -> bool:
        """Whether the run is over, or somebody wants it to be, who is asked."""
        if not self._stopped and self._ended is not None and self._ended():
            self.stop()
        return self._stopped

    @contextlib.contextmanager
    def on_stop(self, listener: Callable[[], None]) -> Iterator[None]:
        """Have a function called if the run ends during the block: it was cancelled, timed out, or failed elsewhere."""
        with self._lock:
            stopped = self._stopped
            self._listeners.append(listener)
        if stopped:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def stop(self) -> None:
        """Tell everybody that the run is over."""
        with self._lock:
            self._stopped = True
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("run", default=None)


def current_run() -> Run | None:
    """The run of this thread; None outside of any."""
    return _current.get()


@contextlib.contextmanager
def running(run: Run) -> Iterator[None]:
    """Make a run the current one of this thread, and end it with the block."""
    token = _current.set(run)
    try:
        yield
    finally:
        _current.reset(token)
        run.stop()
