"""Runs a plan: a step starts as soon as its own inputs are there, independent steps side by side on threads.

Light steps, those that took less than `QUICK_SECONDS` so far, and a step that is alone run on the calling thread: handing a
step to a thread costs more than most of them take. There is no barrier, and nothing polls: the end of a step, a cancellation
and the deadline all arrive in one queue.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from workflow_engine.calls import StepCall
from workflow_engine.current import Permissions, Run, running
from workflow_engine.errors import RunCancelledError, RunTimeoutError, StepError, WorkflowRunError
from workflow_engine.plan import PlannedStep
from workflow_engine.report import Failed, RunReport, StepReport
from workflow_engine.state import RunState

MAX_CONCURRENT_STEPS = 8
"""How many steps of one run are on threads at the same time."""

STEP_THREAD = "workflow-step-"
"""How the names of the threads of steps begin."""

QUICK_SECONDS = 0.001
"""What a step may be expected to take on the calling thread: long beside a new thread, short beside a deadline."""


class Cancellation:
    """Stops a run from another thread: give it to `run`, and call `cancel`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._listeners: list[queue.SimpleQueue[StepCall | None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop every run this was given to; running blocks end after the element they are at."""
        with self._lock:
            self._cancelled = True
            for listener in self._listeners:
                listener.put(None)

    def _listen(self, listener: queue.SimpleQueue[StepCall | None]) -> None:
        with self._lock:
            self._listeners.append(listener)
            if self._cancelled:
                listener.put(None)

    def _leave(self, listener: queue.SimpleQueue[StepCall | None]) -> None:
        with self._lock:
            self._listeners.remove(listener)


@dataclass
class Execution:
    """One run of a plan.

    Attributes:
        state: the values, inputs already laid out.
        strict: whether the first failed element ends the run.
        deadline: the `time.monotonic()` at which the run gives up, or None.
        cancellation: ends the run from outside, or None.
        permissions: what blocks may do outside of it.
    """

    state: RunState
    strict: bool
    deadline: float | None = None
    cancellation: Cancellation | None = None
    permissions: Permissions = field(default_factory=Permissions)
    report: RunReport = field(default_factory=RunReport)

    def __post_init__(self) -> None:
        self._events: queue.SimpleQueue[StepCall | None] = queue.SimpleQueue()
        self._stopped = False
        self._crash: list[BaseException] = []

    def run(self) -> RunReport:
        """Run every step.

        Raises:
            StepError: an element failed and the run is strict.
            RunTimeoutError: the deadline passed.
            RunCancelledError: the run was cancelled.
        """
        started = time.perf_counter()
        self._report_inputs()
        if self.cancellation:
            self.cancellation._listen(self._events)
        try:
            with running(Run(self.deadline, self.permissions)):
                self._run_steps()
        except WorkflowRunError as error:
            error.report = self.report
            raise
        finally:
            self._stopped = True
            if self.cancellation:
                self.cancellation._leave(self._events)
            self.report.seconds = time.perf_counter() - started
            self._order_report()
        return self.report

    def _run_steps(self) -> None:
        steps = self.state.plan.steps
        waiting = {step.name: len(step.needs) for step in steps}
        followers: dict[str, list[PlannedStep]] = {step.name: [] for step in steps}
        for step in steps:
            for needed in step.needs:
                followers[needed].append(step)
        ready = deque(step for step in steps if not step.needs)
        running = 0
        while ready or running:
            self._check_stop()
            done, running = self._start(ready, running)
            while not done:
                call = self._wait()
                running -= 1
                done.append(call)
            for call in done:
                self._note(call)
                for follower in followers[call.step.name]:
                    waiting[follower.name] -= 1
                    if waiting[follower.name] == 0:
                        ready.append(follower)

    def _start(self, ready: deque[PlannedStep], running: int) -> tuple[list[StepCall], int]:
        """Start what is ready: heavy steps on threads, light ones and a lonely one here. Returns what is done already."""
        light = [step for step in ready if self._is_quick(step)]
        quick = {step.name for step in light}
        heavy = deque(step for step in ready if step.name not in quick)
        ready.clear()
        watched = self.deadline is not None or self.cancellation is not None
        if len(heavy) == 1 and not light and not running and not watched:
            light.append(heavy.popleft())
        while heavy and running < MAX_CONCURRENT_STEPS:
            self._start_thread(self._call(heavy.popleft()))
            running += 1
        ready.extend(heavy)
        calls = [self._call(step) for step in light]
        for call in calls:
            self._check_stop()
            call.run()
        return calls, running

    def _is_quick(self, step: PlannedStep) -> bool:
        """Whether a step is worth no thread; a batched one, which waits for a model, always is."""
        if step.block.light or step.block.batched:
            return step.block.light
        expected = step.pace.expected(self.state.size(step.level))
        return expected is not None and expected < QUICK_SECONDS

    def _call(self, step: PlannedStep) -> StepCall:
        return StepCall(step, self.state, strict=self.strict, stopped=lambda: self._stopped)

    def _start_thread(self, call: StepCall) -> None:
        context = contextvars.copy_context()

        def work() -> None:
            try:
                context.run(call.run)
            except BaseException as error:  # handed to the scheduling thread, which raises it
                self._crash.append(error)
            self._events.put(call)

        threading.Thread(target=work, name=f"{STEP_THREAD}{call.step.name}", daemon=True).start()

    def _wait(self) -> StepCall:
        """The next step that ends on a thread."""
        while True:
            left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            try:
                call = self._events.get(timeout=left)
            except queue.Empty:
                call = None
            self._check_stop()
            if call is not None:
                return call

    def _check_stop(self) -> None:
        if self._crash:
            raise self._crash[0]
        if self.cancellation is not None and self.cancellation.cancelled:
            raise RunCancelledError(f"the run was cancelled after {self._progress()}")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise RunTimeoutError(f"the run took longer than it was given; it came through {self._progress()}")

    def _progress(self) -> str:
        return f"{len(self.report.steps)} of {len(self.state.plan.steps)} steps"

    def _note(self, call: StepCall) -> None:
        self.report.steps[call.step.name] = call.report
        self.report.errors += call.errors
        self.report.skips += call.skips

    def _report_inputs(self) -> None:
        """Inputs that could not be read count as failed elements."""
        for item in self.state.plan.inputs:
            for value in self.state.columns[("", item.name)].items:
                if isinstance(value, Failed):
                    if self.strict:
                        error = value.error
                        raise StepError(
                            str(error), step=error.step, block="", element=error.element, traceback=error.traceback
                        ) from value.cause
                    self.report.errors.append(value.error)

    def _order_report(self) -> None:
        """Everything in the order of the plan, whatever order the steps ended in."""
        order = {step.name: place for place, step in enumerate(self.state.plan.steps)}
        ordered: dict[str, StepReport] = dict(sorted(self.report.steps.items(), key=lambda item: order[item[0]]))
        self.report.steps = ordered
        self.report.errors.sort(key=lambda error: order.get(error.step, -1))
        self.report.skips.sort(key=lambda skip: order[skip.step])
