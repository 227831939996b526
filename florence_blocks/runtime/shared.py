"""The one instance of a checkpoint that a process shares, where it is, and how it is forgotten.

The environment variables of `florence_blocks.settings` stand in for arguments that are not given;
`FLORENCE_BLOCKS_FEATURE_BYTES` bounds the image features that a model keeps (0 keeps none).

    from florence_blocks.runtime import shared

    shared.loaded()         # [Address(source="/models/florence-2-base", revision=None, device="cuda:0", dtype=torch.float32)]
    shared.close_all()      # their memory is free; whoever asks again loads again
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from florence_blocks.model_ids import CheckpointError, resolve
from florence_blocks.requests import Request
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime import forked
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.runtime.pending import Pending
from florence_blocks.runtime.scheduler import ModelClosedError
from florence_blocks.settings import DEVICE, DTYPE, FEATURE_BYTES
from workflow_engine.allocator import return_freed_memory
from workflow_engine.forks import Lock

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """What tells shared models apart.

    Attributes:
        source: the folder or hub id of the checkpoint.
        revision: of the hub repository.
        device: where the weights are, such as `cpu` or `cuda:0`.
        dtype: their precision.
    """

    source: str
    revision: str | None
    device: str
    dtype: torch.dtype


class Placement(NamedTuple):
    """Where models go, and in which precision, unless a call says otherwise; None leaves it to the environment variables."""

    device: str | None = None
    dtype: str | torch.dtype | None = None


_instances: dict[Address, Future[FlorenceModel]] = {}
_failures: dict[Address, tuple[float, CheckpointError]] = {}
_instances_lock = Lock()
_placement: contextvars.ContextVar[Placement | None] = contextvars.ContextVar("placement", default=None)

HUB_PATIENCE: Final = 30.0
"""Seconds in which a repository that could not be loaded is not asked for again: a network that is not there takes long to say
so. Folders are looked at anew each time."""


@contextlib.contextmanager
def placed(placement: Placement) -> Iterator[None]:
    """Have the models that this thread asks for during the block somewhere else than the environment variables say."""
    token = _placement.set(placement)
    try:
        yield
    finally:
        _placement.reset(token)


def address_of(
    model_id: str, *, device: str | None = None, dtype: str | torch.dtype | None = None, revision: str | None = None
) -> Address:
    """The address of a model; nothing is loaded.

    Args:
        model_id: a short name, a hub id, a folder, an adapter folder, or `florence-2-demo`.
        device: `cpu`, `cuda`, `cuda:1`, ...; by default the environment variable `FLORENCE_BLOCKS_DEVICE`, else CUDA where
            there is one, else the CPU.
        dtype: by default the environment variable `FLORENCE_BLOCKS_DTYPE`, else float32, whose answers are exactly the
            reference's; `bfloat16` and `float16` may change answers.
        revision: the revision of a hub repository.

    Raises:
        CheckpointError: the id stands for nothing.
        ValueError: there is no such device, or models do not run in that precision.
        ForkedError: this process was forked from one that had used a model.
    """
    forked.check()
    usual = _placement.get() or Placement()
    chosen = chosen_device(device or usual.device or os.environ.get(DEVICE.variable) or None)
    precision = chosen_dtype(dtype or usual.dtype or os.environ.get(DTYPE.variable) or None)
    return Address(resolve(model_id), revision, str(chosen), precision)


def shared_model(
    model_id: str, *, device: str | None = None, dtype: str | torch.dtype | None = None, revision: str | None = None
) -> FlorenceModel:
    """The one instance of a checkpoint on a device in a precision (see `address_of`); loaded on first use, by one thread.

    Raises:
        CheckpointError: the checkpoint cannot be loaded; a later call tries again, of a hub id after some seconds.
        ValueError: there is no such device, or models do not run in that precision.
    """
    return model_at(address_of(model_id, device=device, dtype=dtype, revision=revision))


def model_at(address: Address) -> FlorenceModel:
    """The one model of an address; loaded on first use, by one thread.

    Raises:
        CheckpointError: the checkpoint cannot be loaded; a later call tries again, of a hub id after some seconds.
        ForkedError: this process was forked from one that had used a model.
    """
    forked.use()
    with _instances_lock:
        failed, why = _failures.get(address, (-HUB_PATIENCE, None))
        if why is not None and time.monotonic() - failed < HUB_PATIENCE:
            raise CheckpointError(str(why))
        future = _instances.get(address)
        mine = future is None
        if future is None:
            future = _instances[address] = Future()
    if not mine:
        return future.result()
    try:
        log.info("loading %s on %s in %s", address.source, address.device, address.dtype)
        # in a thread that ends: OpenMP keeps helpers for every thread that computed once, and as soon as there are more of them
        # than cores, all of them are slow, those of the worker too (measured with two cores: 1.6 times the time of a decode)
        with ThreadPoolExecutor(1, thread_name_prefix="florence-load") as loader:
            future.set_result(loader.submit(_load, address).result())
    except BaseException as error:
        with _instances_lock:
            del _instances[address]
            if isinstance(error, CheckpointError) and not Path(address.source).is_dir():
                _failures[address] = (time.monotonic(), error)
        future.set_exception(error)
        raise
    return future.result()


def _load(address: Address) -> FlorenceModel:
    kept = chosen_bytes(os.environ.get(FEATURE_BYTES.variable) or None)
    device = torch.device(address.device)
    checkpoint = checkpoints.load(address.source, device=device, dtype=address.dtype, revision=address.revision)
    return FlorenceModel(checkpoint, feature_bytes=kept)


def submitted(find: Callable[[], FlorenceModel], requests: Sequence[Request], **how: Any) -> list[Pending | Exception]:
    """Ask a shared model; where it was closed since it was found, the one that is loaded in its place.

    Args:
        find: finds the model.
        requests: what it is asked.
        **how: see `FlorenceModel.submit`.

    Raises:
        ModelClosedError: the model was closed and there is no other in its place.
    """
    model = find()
    while True:
        try:
            return model.submit(requests, **how)
        except ModelClosedError:
            another = find()
            if another is model:
                raise
            model = another


# ------------------------------------------------------------------ forgetting


def loaded() -> list[Address]:
    """The models that are in memory; one that is being loaded is not yet."""
    with _instances_lock:
        return [address for address, future in _instances.items() if future.done()]


def weight_bytes(address: Address) -> int:
    """How much memory the weights of a loaded model take; 0 where it is not loaded."""
    with _instances_lock:
        future = _instances.get(address)
    if future is None or not future.done():
        return 0
    model = future.result().model
    return sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))


def close(address: Address) -> bool:
    """Forget a model: what it was asked before is answered first, then its memory is free. Who asks again loads it again.

    Returns:
        Whether it was loaded.
    """
    with _instances_lock:
        future = _instances.get(address)
        if future is None or not future.done():
            return False
        del _instances[address]
    future.result().close(finish=True)
    del future
    _give_back()
    return True


def close_all() -> int:
    """Forget all models (see `close`); how many there were."""
    return sum(close(address) for address in loaded())


def _give_back() -> None:
    """Give the memory of what nobody holds any more to the system."""
    gc.collect()  # a model refers to itself, in the cache of its plans
    return_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# ------------------------------------------------------------------ settings


def chosen_device(device: str | None) -> torch.device:
    """A device that is there; CUDA or else the CPU where none is named.

    Raises:
        ValueError: there is none of that name.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        held = torch.zeros(1, device=device)
        held.cpu()  # the meta device holds no values
        return held.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        why = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} is not at hand ({why}); {' or '.join(there)} would fit") from None


def chosen_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """A precision; float32 where none is named.

    Raises:
        ValueError: models do not run in it.
    """
    if dtype is None:
        return torch.float32
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype, None)
    if found not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"dtype={dtype!r}; float32, bfloat16 or float16 would fit")
    return found


def chosen_bytes(text: str | None) -> int | None:
    """A number of bytes.

    Raises:
        ValueError: the text is no such number.
    """
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(f"{FEATURE_BYTES.variable}={text!r}; a number of bytes such as 500000000 would fit")
    return int(text)
