"""Measure confidences on noisy scenes, and fit a calibration.

    python -m florence_blocks.demo.calibrate [--model DIR] [--write]

Half of the scenes fit the calibration, the other half measure it. Written as `calibration.json` beside a checkpoint it is
used whenever that checkpoint is loaded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from florence_blocks.answers import Answer
from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.demo.corpus import article, caption, named_by
from florence_blocks.demo.metrics import (
    HIT_IOU,
    Judged,
    auroc,
    average_precision,
    calibration_error,
    fit_logistic,
    mask_iou,
    outline_mask,
)
from florence_blocks.demo.scenes import Box, Scene, Shape
from florence_blocks.detections import masks
from florence_blocks.florence import Florence2
from florence_blocks.locations import iou
from florence_blocks.requests import Request
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.scoring import CALIBRATION, calibrated
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

FIRST_SEED = 20_000_000
CHUNK = 100
MOST_NOISE = 90.0
"""Standard deviation of the strongest noise, in grey levels."""


def noisy(scene: Scene, rng: np.random.Generator) -> Image:
    """The image of a scene behind noise and blur of random strength."""
    pixels = scene.image.astype(np.float32) + rng.normal(0, rng.uniform(0, MOST_NOISE), scene.image.shape)
    blurred = cv2.GaussianBlur(np.clip(pixels, 0, 255).astype(np.uint8), (0, 0), rng.uniform(0.3, 2.0))
    return Image(np.asarray(blurred, np.uint8))


def uncalibrated(folder: Path) -> Florence2:
    """The model of a folder without its calibration, whose confidences a calibration is fitted on."""
    checkpoint = checkpoints.load(str(folder), device=torch.device("cpu"), dtype=torch.float32)
    return Florence2(FlorenceModel(replace(checkpoint, calibration={})))


def judge(model: Florence2, scenes: int, seed: int = 0, tasks: Container[str] = TASKS) -> dict[str, list[Judged]]:
    """Confidence and correctness of everything the model says about so many noisy scenes, by task.

    Args:
        model: without a calibration, see `uncalibrated`.
        scenes: how many scenes.
        seed: of their noise.
        tasks: the names of the tasks to ask.
    """
    rng, judged = np.random.default_rng(seed), dict[str, list[Judged]]()
    for first in range(0, scenes, CHUNK):
        drawn = [draw_scene(FIRST_SEED + number) for number in range(first, min(first + CHUNK, scenes))]
        asked: list[tuple[Request, _Verdict]] = []
        for scene in drawn:
            image = noisy(scene, rng)
            asked += [question for question in _questions(scene, image) if question[0].task.name in tasks]
        for answer, (request, verdict) in zip(model.answer([request for request, _ in asked]), asked, strict=True):
            judged.setdefault(request.task.name, []).extend(verdict(answer))
    return judged


_Verdict = Callable[[Answer], list[Judged]]


def _questions(scene: Scene, image: Image) -> Iterator[tuple[Request, _Verdict]]:
    """What is asked about a scene, and how each answer is judged."""
    shapes = [(shape.category, shape.box) for shape in scene.shapes]
    words = [(word.text, word.box) for word in scene.words]
    names = [(shape.name, shape.box) for shape in scene.shapes]
    for task, things in (
        ("object_detection", shapes), ("dense_region_caption", names), ("ocr_with_regions", words),
        ("region_proposal", [("", box) for _, box in [*shapes, *words]]),
    ):  # fmt: skip
        yield Request(TASKS[task], image), partial(_judge_things, things=things)
    for task, things in (("region_classification", shapes), ("region_caption", names), ("region_ocr", words)):
        for text, box in things:
            yield Request(TASKS[task], image, region=box), partial(_judge_text, truth=text)
    yield Request(TASKS["caption"], image), partial(_judge_text, truth=caption(scene))
    for shape in scene.shapes:
        judge_shape = partial(_judge_outline, shape=shape, scene=scene)
        yield Request(TASKS["region_segmentation"], image, region=shape.box), judge_shape
        if len(named_by(scene, shape.name)) == 1:
            yield Request(TASKS["phrase_segmentation"], image, phrase=article(shape.name)), judge_shape


def _judge_text(answer: Answer, truth: str) -> list[Judged]:
    return [] if answer.confidence is None else [Judged(answer.confidence, answer.text == truth)]


def _judge_outline(answer: Answer, shape: Shape, scene: Scene) -> list[Judged]:
    """An outline is right if what it encloses overlaps the shape by at least a half."""
    if not answer.instances:
        return []
    (found,) = answer.instances
    assert found.confidence is not None
    overlap = mask_iou(masks([found], scene.size)[0], outline_mask(shape.outline, scene.size))
    return [Judged(found.confidence, overlap >= HIT_IOU)]


def _judge_things(answer: Answer, things: list[tuple[str, Box]]) -> list[Judged]:
    """Each found thing, the surest first, is right if it overlaps a thing of its name that nobody took."""
    left, judged = list(things), []
    for found in sorted(answer.instances, key=lambda instance: -(instance.confidence or 0.0)):
        near = [thing for thing in left if thing[0] == found.label and iou(thing[1], found.box) >= HIT_IOU]
        if near:
            left.remove(max(near, key=lambda thing: iou(thing[1], found.box)))
        if found.confidence is not None:
            judged.append(Judged(found.confidence, bool(near)))
    return judged


def measure(judged: list[Judged]) -> dict[str, float]:
    """How good the confidences of a task are; the second half after a calibration fitted on the first."""
    fitting, testing = judged[::2], judged[1::2]
    slope, offset = fit_logistic(fitting)
    after = [Judged(calibrated(item.confidence, (slope, offset)), item.right) for item in testing]
    constant = [Judged(1.0, item.right) for item in testing]
    return {
        "count": len(judged), "right": float(np.mean([item.right for item in judged])), "AUROC": auroc(testing),
        "ECE": calibration_error(testing), "ECE calibrated": calibration_error(after), "AP": average_precision(testing),
        "AP constant": average_precision(constant), "slope": slope, "offset": offset,
    }  # fmt: skip


def reliability(judged: list[Judged], bins: int = 10) -> NDArray[np.float64]:
    """Per bin of confidence its mean confidence, the share that is right, and the count, `[bins, 3]`."""
    values = np.array([(item.confidence, item.right) for item in judged], float)
    places = np.minimum((values[:, 0] * bins).astype(int), bins - 1)
    rows = [(*values[places == place].mean(axis=0), (places == place).sum()) if (places == place).any() else (np.nan,) * 3
            for place in range(bins)]  # fmt: skip
    return np.array(rows, float)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m florence_blocks.demo.calibrate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", type=Path, default=CHECKPOINT)
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--json", type=Path, help="write the measures")
    parser.add_argument("--write", action="store_true", help=f"write {CALIBRATION} into the folder of the model")
    options = parser.parse_args()
    judged = judge(uncalibrated(options.model), options.scenes)
    measures: dict[str, Any] = {task: measure(items) for task, items in judged.items()}
    for task, values in measures.items():
        print(f"{task:24} " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
    if options.json:
        options.json.write_text(json.dumps(measures, indent=1) + "\n", encoding="utf-8")
    if options.write:
        fitted = {task: [values["slope"], values["offset"]] for task, values in measures.items()}
        (options.model / CALIBRATION).write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
