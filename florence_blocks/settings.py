"""The settings of Florence-2 in a process: environment variables, and options of `workflow run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_engine.lazy import LazyModule
from workflow_engine.settings import Setting

if TYPE_CHECKING:
    from florence_blocks.runtime import shared
else:
    shared = LazyModule("florence_blocks.runtime.shared")

DEVICE = Setting("device", "FLORENCE_BLOCKS_DEVICE", "where Florence-2 runs; CUDA where there is one, else the CPU",
                 "cpu|cuda|cuda:1", lambda text: shared.chosen_device(text))  # fmt: skip
DTYPE = Setting("dtype", "FLORENCE_BLOCKS_DTYPE", "its precision; float32 is exact, the others may change answers",
                "float32|bfloat16|float16", lambda text: shared.chosen_dtype(text))  # fmt: skip
FEATURE_BYTES = Setting("feature-bytes", "FLORENCE_BLOCKS_FEATURE_BYTES",
                        "bytes of image features to keep for later requests; a sixteenth of the free memory",
                        "BYTES", lambda text: shared.chosen_bytes(text), changes_answers=False)  # fmt: skip
