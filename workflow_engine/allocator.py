"""Two words to the C library's allocator: keep what pictures gave back, and give back what a model left.

Blocks allocate and free pictures of some hundred kilobytes all the time. glibc hands such memory back to the system at once
and gets it anew, page by page: nine tenths of the time of copying 64 parts of 300x220 pixels. Its thresholds follow the largest
block that was ever freed (`M_MMAP_THRESHOLD` in mallopt(3)), so that freeing one large block, whose pages are never touched,
makes it keep up to twice as much. Elsewhere this does nothing.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Final

LARGEST: Final = 20 * 2**20
"""Bytes: blocks up to this size come from memory that is kept."""


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep freed blocks; the first call does it, the others do nothing."""
    bytes(LARGEST)


def return_freed_memory() -> None:
    """Give the system what was freed and kept (`malloc_trim(3)`)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
