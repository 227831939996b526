"""The one instance of a checkpoint that a process shares, and what the environment says about instances.

The environment variables of `florence_blocks.settings` stand in for arguments that are not given;
`FLORENCE_BLOCKS_FEATURE_BYTES` bounds the image features that a model keeps (0 keeps none).
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.settings import DEVICE, DTYPE, FEATURE_BYTES

log = logging.getLogger(__name__)

_Key = tuple[str, str | None, str, torch.dtype]
_instances: dict[_Key, Future[FlorenceModel]] = {}
_instances_lock = threading.Lock()


def shared_model(
    model_id: str, *, device: str | None = None, dtype: str | torch.dtype | None = None, revision: str | None = None
) -> FlorenceModel:
    """The one instance of a checkpoint on a device in a precision; loaded on first use, by one thread.

    Args:
        model_id: a short name, a hub id, a folder, an adapter folder, or `florence-2-demo`.
        device: `cpu`, `cuda`, `cuda:1`, ...; by default the environment variable `FLORENCE_BLOCKS_DEVICE`, else CUDA where
            there is one, else the CPU.
        dtype: by default the environment variable `FLORENCE_BLOCKS_DTYPE`, else float32, whose answers are exactly the
            reference's; `bfloat16` and `float16` may change answers.
        revision: the revision of a hub repository.

    Raises:
        CheckpointError: the checkpoint cannot be loaded; a later call tries again.
    """
    chosen = chosen_device(device or os.environ.get(DEVICE.variable) or None)
    precision = chosen_dtype(dtype or os.environ.get(DTYPE.variable) or None)
    source = checkpoints.resolve(model_id)
    key = (source, revision, str(chosen), precision)
    with _instances_lock:
        future = _instances.get(key)
        mine = future is None
        if future is None:
            future = _instances[key] = Future()
    if not mine:
        return future.result()
    try:
        log.info("loading %s on %s in %s", source, chosen, precision)
        # in a thread that ends: OpenMP keeps helpers for every thread that computed once, and as soon as there are more of them
        # than cores, all of them are slow, those of the worker too (measured with two cores: 1.6 times the time of a decode)
        with ThreadPoolExecutor(1, thread_name_prefix="florence-load") as loader:
            future.set_result(loader.submit(_load, source, chosen, precision, revision).result())
    except BaseException as error:
        with _instances_lock:
            del _instances[key]
        future.set_exception(error)
        raise
    return future.result()


def _load(source: str, device: torch.device, dtype: torch.dtype, revision: str | None) -> FlorenceModel:
    kept = chosen_bytes(os.environ.get(FEATURE_BYTES.variable) or None)
    return FlorenceModel(checkpoints.load(source, device=device, dtype=dtype, revision=revision), feature_bytes=kept)


def chosen_device(device: str | None) -> torch.device:
    """A device that is there; CUDA or else the CPU where none is named.

    Raises:
        ValueError: there is none of that name.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
