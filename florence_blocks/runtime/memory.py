"""How much memory a device has left, and whether an error says that there was too little."""

from __future__ import annotations

import os

import torch


def room(device: torch.device) -> int:
    """Bytes that a device has free."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or of Python is about memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)  # torch's allocator for the CPU
