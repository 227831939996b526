"""How much memory a device has left, and whether an error says that there was too little."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil
import torch

CGROUPS: Final = Path("/sys/fs/cgroup")
"""Where a container finds its own limits: those of its namespace, in the second version or the first."""

_LIMITS: Final = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
_TOLD: Final = (
    "not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory", "std::bad_alloc", "bad allocation",
)  # fmt: skip
"""What allocators say, in lower case: those of torch for CPUs on Windows and Linux, of the system, of devices, and C++'s."""


def room(device: torch.device) -> int:
    """Bytes that a device has free; files that the system keeps in memory count as free."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([int(psutil.virtual_memory().available), *_container_room()])


def _container_room() -> list[int]:
    """Bytes that the container still grants, if there is one with a limit."""
    found = []
    for limit, used, details in _LIMITS:
        try:
            most, taken = int((CGROUPS / limit).read_text()), int((CGROUPS / used).read_text())
            stat = dict(line.split() for line in (CGROUPS / details).read_text().splitlines())
        except (OSError, ValueError):  # no such version, or "max"
            continue
        cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
        found.append(max(0, most - taken + cached))
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, of Python or of the system is about memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    told = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(words in told for words in _TOLD)
