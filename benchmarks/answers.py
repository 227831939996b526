"""What the answers of the embedded model are worth: confidences, constraints, refined coordinates.

    python benchmarks/answers.py [--scenes 1000] [--json FILE] [--plot FILE]

Confidences are those before any calibration of the checkpoint; the calibrated error is measured on the half of the scenes that
was not used to fit it (see `florence_blocks.demo.calibrate`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from florence_blocks.answers import Answer
from florence_blocks.demo import CHECKPOINT, Scene, draw_scene
from florence_blocks.demo.calibrate import judge, measure, reliability, uncalibrated
from florence_blocks.demo.metrics import Judged
from florence_blocks.florence import Florence2
from florence_blocks.locations import iou
from florence_blocks.requests import Request, Settings
from florence_blocks.tasks import TASKS, Needs
from workflow_engine.data import Image

FIRST_SEED = 30_000_000


def questions(scene: Scene, settings: Settings) -> list[Request]:
    """One question of every task about a scene."""
    image, shape = Image(scene.image), scene.shapes[0] if scene.shapes else None
    region = shape.box if shape else (1.0, 1.0, 90.0, 90.0)
    inputs: dict[Needs, dict[str, Any]] = {
        Needs.NOTHING: {}, Needs.PHRASE: {"phrase": f"a {shape.name if shape else 'star'}"},
        Needs.CLASSES: {"classes": ("star", "circle")}, Needs.REGION: {"region": region},
        Needs.TEXT: {"text": "What does the image describe?"},
    }  # fmt: skip
    return [Request(task, image, settings=settings, **inputs[task.needs]) for task in TASKS.values()]


def agreement(one: Sequence[Answer], other: Sequence[Answer]) -> dict[str, int]:
    """How many well-formed answers stayed what they were."""
    whole = [(a, b) for a, b in zip(one, other, strict=True) if not a.truncated]
    return {"answers": len(one), "well formed": len(whole), "equal": sum(a.raw == b.raw for a, b in whole)}


def constraints(model: Florence2, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Constrained beside free answers, greedy and with three beams."""
    found = {}
    for beams in (1, 3):
        asked = [request for scene in scenes for request in questions(scene, Settings(num_beams=beams, constrained=False))]
        kept = [replace(request, settings=replace(request.settings, constrained=True)) for request in asked]
        found[f"beams {beams}"] = agreement(model.answer(asked), model.answer(kept))
    return found


def refinement(model: Florence2, scenes: Sequence[Scene]) -> dict[str, float]:
    """Mean IoU of detected boxes with their shapes, with either sort of coordinates."""
    found = {}
    for coordinates in ("token", "refined"):
        overlaps = []
        answers = model.detect_objects([scene.image for scene in scenes], coordinates=coordinates)
        for scene, detections in zip(scenes, answers, strict=True):
            best = [
                max((iou(tuple(box), shape.box) for shape in scene.shapes), default=0.0) for box in detections.xyxy.tolist()
            ]
            overlaps += [value for value in best if value >= 0.5]
        found[coordinates] = float(np.mean([overlap for overlap in overlaps if overlap >= 0.5]))
    return found


def plot(judged: dict[str, list[Judged]], path: Path) -> None:
    """Reliability of every task: the share of right answers over their confidence."""
    figure = Figure(figsize=(15, 6))
    axes = figure.subplots(2, 5, sharex=True, sharey=True)
    for axis, (task, items) in zip(axes.flat, judged.items(), strict=True):
        rows = reliability(items)
        axis.plot([0, 1], [0, 1], color="0.8")
        axis.plot(rows[:, 0], rows[:, 1], marker="o")
        axis.set_title(f"{task} ({len(items)})", fontsize=9)
    figure.supxlabel("confidence")
    figure.supylabel("share of right answers")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1000, help="noisy scenes for the confidences")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    model, scenes = uncalibrated(CHECKPOINT), [draw_scene(FIRST_SEED + number) for number in range(100)]
    judged = judge(model, options.scenes)
    result = {
        "date": time.strftime("%Y-%m-%d"), "constrained": constraints(model, scenes), "refined": refinement(model, scenes),
        "confidences": {task: measure(items) for task, items in judged.items()},
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        plot(judged, options.plot)


if __name__ == "__main__":
    main()
