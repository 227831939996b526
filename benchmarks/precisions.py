"""float32 beside bfloat16 and dynamic int8 on a CPU: time of every stage at the base layout, and agreement of real answers.

    python benchmarks/precisions.py [--scenes 40] [--rounds 3] [--threads 2] [--json FILE]

Agreement is that of the embedded model's answers with its own in float32, over all tasks. int8 is PyTorch's dynamic
quantisation of every linear layer of vision tower, encoder and decoder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from answers import FIRST_SEED, agreement, questions
from random_florence import build
from torch.ao.quantization import quantize_dynamic

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

STAGES = ("vision_seconds", "encode_seconds", "decode_seconds")


def load(folder: Path, precision: str) -> FlorenceModel:
    """A checkpoint in `float32`, `bfloat16` or `int8`."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    checkpoint = checkpoints.load(str(folder), device=torch.device("cpu"), dtype=dtype)
    if precision == "int8":
        model: Any = checkpoint.model.model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for part in (model.vision_tower, model.language_model.encoder, model.language_model.decoder):
                quantize_dynamic(part, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    return FlorenceModel(checkpoint)


def captions(count: int) -> list[Request]:
    """Captions of 24 tokens of different images."""
    settings = Settings(num_beams=1, max_new_tokens=24)
    return [Request(TASKS["caption"], Image(draw_scene(seed, width=640, height=480).image), settings=settings)
            for seed in range(count)]  # fmt: skip


def timed(model: FlorenceModel, requests: Sequence[Request]) -> dict[str, float]:
    """Seconds as a whole and of every stage."""
    model.scheduler.features.clear()
    before, started = model.stats(), time.perf_counter()
    model.answer(requests)
    total, after = time.perf_counter() - started, model.stats()
    return {"seconds": total, **{stage: after[stage] - before[stage] for stage in STAGES}}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    precisions = ("float32", "bfloat16", "int8")
    with tempfile.TemporaryDirectory() as scratch:
        build("base", Path(scratch))
        models = {precision: load(Path(scratch), precision) for precision in precisions}
    rounds: dict[str, list[dict[str, float]]] = {precision: [] for precision in precisions}
    asked = captions(4)
    for _ in range(options.rounds):
        for precision, model in models.items():
            rounds[precision].append(timed(model, asked))
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "threads": options.threads, "torch": torch.__version__}
    for precision, found in rounds.items():
        medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
        ratio = statistics.median(
            exact["seconds"] / one["seconds"] for exact, one in zip(rounds["float32"], found, strict=True)
        )
        result[precision] = {**medians, "times as fast": ratio}
    small = [
        request for seed in range(options.scenes) for request in questions(draw_scene(FIRST_SEED + seed), Settings(num_beams=1))
    ]
    exact = load(CHECKPOINT, "float32").answer(small)
    for precision in precisions[1:]:
        result[precision]["agreement"] = agreement(exact, load(CHECKPOINT, precision).answer(small))  # type: ignore[arg-type]
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
