"""ComfyUI around the nodes: who cancels, how far a node is, where models go, and what is unloaded.

Outside of ComfyUI all of it does nothing. Its modules are taken as they are in memory, never imported from here: another
package of that name may be installed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch

from florence_blocks.settings import DEVICE, DTYPE
from workflow_engine.current import Run, running
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    from florence_blocks.runtime import shared
else:
    shared = LazyModule("florence_blocks.runtime.shared")

T = TypeVar("T")

DEFAULT: Final = "default"
"""The choice of a widget that leaves it to ComfyUI."""

ROOM: Final = 4 * 2**30
"""Bytes that ComfyUI is asked to free before a model is loaded: the largest published checkpoint in float32, and its work."""


def _comfy(name: str) -> Any:
    """A module of ComfyUI; None outside of it."""
    return sys.modules.get(f"comfy.{name}")


# ------------------------------------------------------------------ cancelling, and how far a node is


@contextlib.contextmanager
def watched() -> Iterator[Run]:
    """Do the work of a node so that ComfyUI's Cancel ends it, and its progress bar shows how far it is.

    Raises:
        InterruptProcessingException: ComfyUI's own; somebody cancelled.
    """
    management, utils = _comfy("model_management"), _comfy("utils")
    if management is None or utils is None:
        run = Run()
        with running(run):
            yield run
        return
    bar = utils.ProgressBar(1)
    run = Run(ended=management.processing_interrupted, progress=lambda done, total: bar.update_absolute(done, total))
    try:
        with running(run):
            yield run
    finally:  # what was cancelled failed with errors of its own, which nobody should see
        management.throw_exception_if_processing_interrupted()


def counted(run: Run, items: Sequence[T]) -> Iterator[T]:
    """The items of some work, with the progress bar behind them.

    Raises:
        CancelledError: the run was stopped in between.
    """
    for place, item in enumerate(items):
        if run.stopped():
            raise CancelledError
        yield item
        if run.progress is not None:
            run.progress(place + 1, len(items))


# ------------------------------------------------------------------ where models go


def placement(device: str, precision: str) -> shared.Placement:
    """Where the model of a node goes.

    The node's own choice comes first, then the environment variables, then ComfyUI's choice.

    Args:
        device: of the node, or `default`.
        precision: of the node, or `default`.
    """
    management = _comfy("model_management")
    chosen = device if device != DEFAULT else os.environ.get(DEVICE.variable)
    if not chosen and management is not None:
        chosen = str(management.get_torch_device())
    dtype: str | torch.dtype | None = precision if precision != DEFAULT else os.environ.get(DTYPE.variable)
    if not dtype and management is not None:
        dtype = _usual_dtype(management, torch.device(chosen or "cpu"))
    return shared.Placement(chosen or None, dtype or None)


def _usual_dtype(management: Any, device: torch.device) -> torch.dtype:
    """The precision in which ComfyUI runs models on a device, by its options and the hardware."""
    if management.should_use_fp16(device):
        return torch.float16
    if management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float32


# ------------------------------------------------------------------ unloading


class _Florence2(torch.nn.Module):
    """What ComfyUI's list of loaded models holds in place of a shared model: no weights, only a name for its log."""


class _Listing:
    """A shared model on ComfyUI's list of loaded models; ComfyUI unloads it as any other, and then it is closed."""

    def __init__(self, address: shared.Address, management: Any) -> None:
        self.address = address
        self._valid = True
        size = shared.weight_bytes(address)
        device = management.get_torch_device()
        there = size if torch.device(address.device) == device else 0  # its memory is not that of ComfyUI's device
        model: Any = _Florence2()
        model.model_loaded_weight_memory = there
        self.patcher = sys.modules["comfy.model_patcher"].ModelPatcher(model, device, torch.device("cpu"), size=max(1, there))
        self.patcher.add_callback(sys.modules["comfy.patcher_extension"].CallbacksMP.ON_DETACH, self._unloaded)
        management.load_models_gpu([self.patcher])

    def _unloaded(self, *_: Any) -> None:
        if self._valid:
            self._valid = False
            shared.close(self.address)

    def withdraw(self) -> None:
        """Have nothing closed any more: whatever is at the address now is another model."""
        self._valid = False


_listings: dict[shared.Address, _Listing] = {}


def make_room(model_ids: Iterable[str]) -> None:
    """Have ComfyUI unload what is in the way of models that are not in memory yet."""
    management = _comfy("model_management")
    if management is None:
        return
    there = shared.loaded()
    if any(shared.address_of(model_id) not in there for model_id in set(model_ids)):
        management.free_memory(ROOM, management.get_torch_device())


def list_models() -> None:
    """Put the shared models that ComfyUI does not know yet on its list of loaded models."""
    management = _comfy("model_management")
    if management is None or _comfy("model_patcher") is None:
        return
    there, known = shared.loaded(), management.loaded_models()
    for address, listing in list(_listings.items()):
        if address not in there or all(patcher is not listing.patcher for patcher in known):
            listing.withdraw()
            del _listings[address]
    for address in there:
        if address not in _listings:
            _listings[address] = _Listing(address, management)
