"""One worker per model, in front of which everybody waits in one line.

The worker lets waiting requests in (images not known yet through the vision tower, prompts through the encoder, each in
batches within a cost budget), and between any two steps of the decode lets finished ones out: a short answer never waits for
a long one. It starts with the first request, ends after some idle seconds, and is started again when it died.

Whatever raises fails the fewest requests it can be blamed on: a batch that cannot be encoded is tried one by one, and requests
whose common step failed begin again in halves, apart from all others, until the one that fails alone is found.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from florence_blocks.runtime import forked
from florence_blocks.runtime.checkpoint import Checkpoint
from florence_blocks.runtime.decoder import Lane, Seat
from florence_blocks.runtime.encoding import Encoding
from florence_blocks.runtime.features import FeatureCache
from florence_blocks.runtime.job import Job, LaneKey, fail, part, succeed, too_late
from florence_blocks.runtime.line import Line
from florence_blocks.runtime.memory import is_out_of_memory, room
from florence_blocks.runtime.vocabulary import Vocabulary
from workflow_engine.data import Image
from workflow_engine.profile import record

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 10.0
ADMIT_SECONDS: Final = 1.0
"""How long newcomers may hold up those who decode already, at a stretch."""
LINE_CAPACITY: Final = 4096
_TRACK: Final = "model"
MOST_ROWS: Final = 256
AHEAD: Final = 8
"""How many images are preprocessed ahead of the model."""


class WorkerError(RuntimeError):
    """The worker of a model died; the request it was working on was not answered."""


class ModelClosedError(RuntimeError):
    """A model was closed and takes no more requests."""

    def __init__(self, message: str = "the model is closed") -> None:
        super().__init__(message)


@dataclass
class Stats:
    """What a model has done so far; seconds are those of the worker."""

    requests: int = 0
    images_encoded: int = 0
    batches: int = 0
    steps: int = 0
    row_steps: int = 0
    vision_seconds: float = 0.0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0


class Scheduler:
    """The line and the worker of one model.

    Attributes:
        stats: what it has done.
        features: the image features it keeps.
    """

    def __init__(self, checkpoint: Checkpoint, vocabulary: Vocabulary, *, feature_bytes: int | None = None) -> None:
        self._encoding = Encoding(checkpoint)
        self._model = checkpoint.model
        self._preprocessor = checkpoint.preprocessor
        self._vocabulary = vocabulary
        free = room(checkpoint.model.device)
        self.features = FeatureCache(feature_bytes if feature_bytes is not None else free // 16)
        self._decode_bytes = free // 4
        self.stats = Stats()
        self._line: Line[Job] = Line(LINE_CAPACITY)
        self._lanes: dict[LaneKey, Lane] = {}
        self._inside: set[Job] = set()
        self._ahead: dict[bytes, Future[Tensor]] = {}
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="florence-preprocess")
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._finishing = False
        self._joining = 0
        self._process = os.getpid()
        forked.use()
        _open.add(self)

    # ------------------------------------------------------------------ customers

    def submit(self, jobs: Sequence[Job], *, stopped: Callable[[], bool] | None = None) -> None:
        """Let jobs wait for their answers; blocks while the line is full.

        Args:
            jobs: what comes.
            stopped: asked while it blocks; once it says so, the jobs without a place are cancelled.

        Raises:
            ModelClosedError: the scheduler is closed.
            ForkedError: it belongs to the process that this one was forked from.
        """
        forked.use()
        gave_up = stopped or (lambda: False)
        with self._lock:
            if self._closed:
                raise ModelClosedError
            self._joining += 1
        try:
            self._employ()
            late = self._line.join(jobs, refused=lambda: self._refuses or gave_up())
            self._employ()
        except BaseException:  # whoever was asked raised; nobody waits for those who found a place
            for job in jobs:
                job.done.cancel()
            raise
        finally:
            with self._lock:
                self._joining -= 1
            self._line.wake()
        for job in late:
            if self._refuses:
                fail(job, ModelClosedError())
            elif job.deadline is not None and time.monotonic() >= job.deadline:
                fail(job, too_late())
            else:
                job.done.cancel()

    def close(self, *, finish: bool = False) -> None:
        """Take no more jobs, and stop working.

        Args:
            finish: first answer those who came before; otherwise they fail.
        """
        if os.getpid() != self._process:  # there is nobody to stop, and the locks may be held for ever
            return
        with self._lock:
            self._closed = True
            self._finishing = finish
        self._line.wake()
        if finish:
            self._employ()
        while (worker := self._worker) is not None and worker is not threading.current_thread():
            worker.join()  # one that died may have been replaced
            if worker is self._worker:
                break
        for job in self._line.clear():
            fail(job, ModelClosedError())
        self._helper.shutdown(wait=False, cancel_futures=True)

    @property
    def _refuses(self) -> bool:
        """Whether those who want to join get no place any more."""
        return self._closed and not self._finishing

    @property
    def _goes_on(self) -> bool:
        """Whether there is, or may be, something to do."""
        return not self._closed or (self._finishing and bool(self._inside or self._joining or len(self._line)))

    def _employ(self) -> None:
        """See that there is a worker."""
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="florence-worker", daemon=True)
                self._worker.start()

    # ------------------------------------------------------------------ the worker

    def _work(self) -> None:
        try:
            while self._goes_on:
                if not self._inside and not self._line.wait(IDLE_SECONDS) and self._may_go():
                    return
                self._admit()
                self._step()
            self._dismiss(ModelClosedError())
        except BaseException as error:
            log.exception("the worker of the model died")
            failure = WorkerError(f"the worker of the model died: {error}")
            failure.__cause__ = error
            self._dismiss(failure)
            self._replace(failure)

    def _may_go(self) -> bool:
        with self._lock:
            if self._joining or len(self._line):
                return False
            self._lanes.clear()  # their caches are kept while there is work: memory that was touched before is faster
            self._worker = None
            return True

    def _dismiss(self, reason: Exception) -> None:
        """Fail everybody who is inside and leave nothing behind for the next worker."""
        with self._lock:
            jobs = list(self._inside)
            self._inside.clear()
            self._lanes.clear()
            self._ahead.clear()
            self._worker = None
        for job in jobs:
            fail(job, reason)

    def _replace(self, reason: Exception) -> None:
        """Have another worker take over those who wait; they fail where none can start."""
        try:
            if len(self._line):
                self._employ()
        except RuntimeError:  # the interpreter ends, or there are too many threads
            for job in self._line.clear():
                fail(job, reason)

    # ------------------------------------------------------------------ coming in

    def _admit(self) -> None:
        """Let in who waits, as long as there is room; those who decode already do not wait for long."""
        started = time.perf_counter()
        while batch := self._take():
            self._let_in(batch)
            if time.perf_counter() - started > ADMIT_SECONDS:
                return

    def _take(self) -> list[Job]:
        """The next jobs, within the budget of a batch and the memory of the decode."""
        batch: list[Job] = []
        cost, known = 0.0, set[bytes]()
        while (job := self._line.take()) is not None:
            self._inside.add(job)
            if job.done.cancelled() or self._failed_late(job):
                self._inside.discard(job)
                continue
            cost += self._encoding.prompt_cost(job.ids)
            if job.digest not in self.features and job.digest not in known:
                cost += self._encoding.image_cost
            if (batch and cost > self._encoding.budget) or not self._fits([*batch, job]):
                self._wait_again([job])
                break
            known.add(job.digest)
            batch.append(job)
            record("waiting", "requests", job.joined, time.perf_counter(), requests=1)
        return batch

    def _wait_again(self, jobs: Sequence[Job]) -> None:
        """Put those who were taken back in front of the line."""
        self._inside.difference_update(jobs)
        self._line.put_back(jobs)

    def _fits(self, jobs: Sequence[Job]) -> bool:
        """Whether the decode has the memory for some more; a single job fits an empty decode in any case."""
        plans = [*(job.plan for job in jobs), *(seat.owner.plan for lane in self._lanes.values() for seat in lane.seats)]
        rows = sum(plan.width for plan in plans)
        longest = max(plan.rules.limit for plan in plans)
        needed = sum(plan.memory(longest) for plan in plans)
        return len(plans) == 1 or (rows <= MOST_ROWS and needed <= self._decode_bytes)

    def _let_in(self, batch: Sequence[Job]) -> None:
        try:
            started, encoded_before, hits_before = time.perf_counter(), self.stats.images_encoded, self.features.hits
            features = self._features(batch)
            for job in batch:
                job.encoded = True
            between = time.perf_counter()
            record(_TRACK, "vision", started, between, images=self.stats.images_encoded - encoded_before,
                   hits=self.features.hits - hits_before)  # fmt: skip
            encoded, lengths = self._encoding.prompts([job.ids for job in batch], [features[job.digest] for job in batch])
            self._seat(batch, encoded, lengths)
            self.stats.vision_seconds += between - started
            ended = time.perf_counter()
            record(_TRACK, "encode", between, ended, requests=len(batch))
            self.stats.encode_seconds += ended - between
            self.stats.batches += 1
        except Exception as error:
            self._recover(batch, error)

    def _features(self, batch: Sequence[Job]) -> dict[bytes, Tensor]:
        """The features of every image of a batch, kept ones and new ones."""
        found, missing = dict[bytes, Tensor](), dict[bytes, Job]()
        for job in batch:
            if job.digest in found or job.digest in missing:
                self.features.hits += 1
            elif (features := self.features.get(job.digest)) is not None:
                found[job.digest] = features
            else:
                missing[job.digest] = job
        if missing:
            pixels = [self._pixels(job) for job in missing.values()]
            self._look_ahead()
            for digest, features in zip(missing, self._encoding.features(pixels), strict=True):
                found[digest] = features
                self.features.put(digest, features)
            self.stats.images_encoded += len(missing)
        return found

    def _pixels(self, job: Job) -> Tensor:
        ready = self._ahead.pop(job.digest, None)
        return self._preprocess(job.image) if ready is None else ready.result()

    def _preprocess(self, image: Image) -> Tensor:
        started = time.perf_counter()
        pixels = self._preprocessor([image])[0]
        record("preprocess", "preprocess", started, time.perf_counter(), images=1)
        return pixels

    def _look_ahead(self) -> None:
        """Preprocess the next images while the model computes."""
        coming = {job.digest: job for job in self._line.soon(AHEAD)}
        for digest in [digest for digest in self._ahead if digest not in coming]:
            self._ahead.pop(digest).cancel()
        for digest, job in coming.items():
            if digest not in self._ahead and digest not in self.features:
                self._ahead[digest] = self._helper.submit(self._preprocess, job.image)

    def _seat(self, batch: Sequence[Job], encoded: Tensor, lengths: Sequence[int]) -> None:
        for key in {job.lane for job in batch}:
            places = [place for place, job in enumerate(batch) if job.lane == key]
            seats = [batch[place].plan.seat(batch[place], lengths[place]) for place in places]
            if key not in self._lanes:
                self._lanes[key] = Lane(self._model, key[0], self._vocabulary, forced=key[1])
            self._lanes[key].admit(seats, encoded if len(places) == len(batch) else encoded[places])

    def _unseat(self, batch: Sequence[Job]) -> None:
        """Free the seats of those who sat down before another one of their batch failed."""
        for lane in self._lanes.values():
            for seat in [seat for seat in lane.seats if seat.owner in batch]:
                lane.leave(seat)

    def _recover(self, batch: Sequence[Job], error: Exception) -> None:
        """After a failed batch: smaller batches when memory ran out, else one by one; what fails alone, fails."""
        self._unseat(batch)
        if is_out_of_memory(error):
            self._encoding.budget /= 2
            self._decode_bytes //= 2
            log.warning("out of memory with %d requests in a batch; the budget is halved", len(batch))
        if len(batch) > 1:
            for job in batch:
                self._let_in([job])
        elif is_out_of_memory(error) and any(lane.seats for lane in self._lanes.values()):
            self._wait_again(batch)
        else:
            self._inside.difference_update(batch)
            fail(batch[0], error)

    # ------------------------------------------------------------------ going on, and out

    def _step(self) -> None:
        """One step of every lane."""
        started, rows = time.perf_counter(), 0
        for key, lane in list(self._lanes.items()):
            for seat in [seat for seat in lane.seats if self._gave_up(seat.owner)]:
                lane.leave(seat)
            if lane.seats:
                self.stats.steps += 1
                rows += len(lane.seats) * lane.width
                self.stats.row_steps += len(lane.seats) * lane.width
                for seat in self._stepped(key, lane):
                    self._inside.discard(seat.owner)
                    succeed(seat.owner, seat.search)
                    self.stats.requests += 1
            if key[2] is not None and not lane.seats:
                self._lanes.pop(key, None)
        ended = time.perf_counter()
        if rows:
            record(_TRACK, "decode", started, ended, rows=rows)
        self.stats.decode_seconds += ended - started

    def _stepped(self, key: LaneKey, lane: Lane) -> list[Seat]:
        """A step of a lane; what fails alone, fails, and when several fail together, all of them begin again."""
        try:
            return lane.step()
        except Exception as error:
            jobs: list[Job] = [seat.owner for seat in lane.seats]
            del self._lanes[key]
            if len(jobs) == 1:
                self._inside.difference_update(jobs)
                fail(jobs[0], error)
                return []
            if is_out_of_memory(error):
                self._decode_bytes //= 2
            else:
                part(jobs)
            log.warning("a step with %d requests failed (%s); they begin again, fewer at a time", len(jobs), error)
            self._wait_again(jobs)
            return []

    def _gave_up(self, job: Job) -> bool:
        if not job.done.cancelled() and not self._failed_late(job):
            return False
        self._inside.discard(job)
        return True

    def _failed_late(self, job: Job) -> bool:
        late = job.deadline is not None and time.monotonic() >= job.deadline
        if late:
            fail(job, too_late())
        return late


_open: weakref.WeakSet[Scheduler] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A worker that is inside torch while the interpreter ends would abort the process."""
    for scheduler in list(_open):
        scheduler.close()
