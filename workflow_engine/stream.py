"""Streams: any number of images through a workflow, in order, with bounded memory.

Images are taken from an iterable in batches, as they are at that moment: a buffer may be filled anew afterwards. While some
batches run, the next ones are read, and whoever consumes the stream works on the results that are there already. Where a step
joins all images (it collapses them to one list), all are one batch.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from workflow_engine.arrays import batch_of
from workflow_engine.executor import Cancellation
from workflow_engine.inputs import Part, taken
from workflow_engine.report import ElementError, Skip, StepReport
from workflow_engine.results import RunResult

if TYPE_CHECKING:
    from workflow_engine.workflow import Workflow


@dataclass(frozen=True)
class Streamed:
    """One image of a stream and what came of it.

    Attributes:
        index: its place in the stream.
        source: what the iterable gave, itself: a buffer that was filled anew since then holds what is new. The output
            `$inputs.name` of a definition is the image as it was.
        outputs: its outputs by name.
        errors: what failed for it; the first index of their elements is its place in the stream.
        skips: what was skipped for it, likewise.
    """

    index: int
    source: Any
    outputs: dict[str, Any]
    errors: tuple[ElementError, ...]
    skips: tuple[Skip, ...]


@dataclass
class StreamTotals:
    """What all runs of a stream did together; seconds are those of the runs, which overlap."""

    images: int = 0
    errors: int = 0
    seconds: float = 0.0
    steps: dict[str, StepReport] = field(default_factory=dict)

    def add(self, result: RunResult, images: int = 1) -> None:
        """Count one more run, of so many images."""
        self.images += images
        self.errors += len(result.report.errors)
        self.seconds += result.report.seconds
        for name, step in result.report.steps.items():
            total = self.steps.setdefault(name, StepReport(name, step.type))
            for count in ("elements", "done", "skipped", "failed", "seconds", "loading"):
                setattr(total, count, getattr(total, count) + getattr(step, count))


class Stream(Iterator[Streamed]):
    """Results in the order of their images; closed at its end, by `close`, or at the end of a `with` block.

    Attributes:
        totals: what the runs did so far.
    """

    def __init__(
        self, workflow: Workflow, images: Iterable[Any], name: str, parameters: Mapping[str, Any], *, batch: int | None,
        ahead: int, **options: Any,
    ) -> None:  # fmt: skip
        self.totals = StreamTotals()
        self._workflow, self._name, self._options = workflow, name, options
        self._images, self._batch, self._ahead = iter(images), batch, ahead
        self._depths = {item.name: item.dimensionality for item in workflow.plan.inputs if item.is_image}
        self._parameters = {key: self._fixed(key, value) for key, value in parameters.items()}
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="workflow-stream")
        self._cancellation = Cancellation()
        self._running: deque[tuple[list[Any], Future[RunResult]]] = deque()
        self._ready: deque[Streamed] = deque()
        self._broken: Exception | None = None
        self._count = 0
        self._started = 0
        self._process = os.getpid()

    def __next__(self) -> Streamed:
        """The next result.

        Raises:
            Exception: what the iterable raised, after the results of everything it gave before, and what `Workflow.run`
                raises.
            RuntimeError: this process was forked from the one that made the stream, whose threads are not here.
        """
        if os.getpid() != self._process:
            raise RuntimeError("a stream goes on in the process that made it; a forked one makes its own")
        while not self._ready:
            self._start()
            if not self._running:
                self.close()
                broken, self._broken = self._broken, None
                raise broken or StopIteration
            sources, future = self._running.popleft()
            try:
                result = future.result()
            except BaseException:
                self.close()
                raise
            self._keep(sources, result)
        return self._ready.popleft()

    def _start(self) -> None:
        """Start runs as long as there is room."""
        while len(self._running) < self._ahead and self._broken is None:
            sources: list[Any] = []
            images = Part([], self._started)
            try:
                for source in islice(self._images, self._batch):
                    images.append(self._taken(self._name, source))
                    sources.append(source)
            except Exception as error:
                self._broken = error
            if not sources:
                return
            self._started += len(sources)
            inputs = {**self._parameters, self._name: images}
            run = self._pool.submit(self._workflow.run, inputs, cancellation=self._cancellation, **self._options)
            self._running.append((sources, run))

    def _taken(self, name: str, value: Any) -> Any:
        """An image of an input as it is now."""
        return taken(value, self._depths[name], allow_urls=self._options.get("allow_urls", False))

    def _fixed(self, name: str, value: Any) -> Any:
        """A parameter as it is now, where it is an image or a list of them; it is read once for all runs."""
        if name not in self._depths:
            return value
        several = value if isinstance(value, (list, tuple)) else batch_of(value)
        return self._taken(name, value) if several is None else [self._taken(name, one) for one in several]

    def _keep(self, sources: list[Any], result: RunResult) -> None:
        self.totals.add(result, len(sources))
        plan, report = self._workflow.plan, result.report
        whole = {step.name for step in plan.steps if not plan.of_images(step.level)}
        rows = result.outputs if len(result.outputs) == len(sources) else result.outputs * len(sources)
        for source, outputs in zip(sources, rows, strict=True):
            here = ((), (self._count,))
            errors = tuple(error for error in report.errors if error.step in whole or error.element[:1] in here)
            skips = tuple(skip for skip in report.skips if skip.step in whole or skip.element[:1] in here)
            self._ready.append(Streamed(self._count, source, outputs, errors, skips))
            self._count += 1

    def close(self) -> None:
        """Cancel what runs; the stream is at its end."""
        if os.getpid() != self._process:
            return
        self._images = iter(())
        self._cancellation.cancel()
        self._running.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
