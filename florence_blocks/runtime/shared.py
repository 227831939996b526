"""The one instance of a checkpoint that a process shares, and what the environment says about instances.

`FLORENCE_BLOCKS_DEVICE` and `FLORENCE_BLOCKS_DTYPE` stand in for the arguments of those names;
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
    chosen = _device(device or os.environ.get("FLORENCE_BLOCKS_DEVICE") or None)
    precision = _dtype(dtype or os.environ.get("FLORENCE_BLOCKS_DTYPE") or None)
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
    kept = _bytes(os.environ.get("FLORENCE_BLOCKS_FEATURE_BYTES") or None)
    return FlorenceModel(checkpoints.load(source, device=device, dtype=dtype, revision=revision), feature_bytes=kept)


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"device={device!r}; cpu, cuda or cuda:1 would fit") from None


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype, None)
    if found not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"dtype={dtype!r}; float32, bfloat16 or float16 would fit")
    return found


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(f"FLORENCE_BLOCKS_FEATURE_BYTES={text!r}; a number of bytes such as 500000000 would fit")
    return int(text)
