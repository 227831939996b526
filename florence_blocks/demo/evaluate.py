"""Measure the embedded model on unseen scenes: `python -m florence_blocks.demo.evaluate [--scenes N] [--seed S] [--json]`.

Everything goes through the public Python API. The scenes are those of `draw_scene` with its defaults; their seeds are far
from those of the training.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from florence_blocks.demo.corpus import NAMES, caption, detailed_caption, more_detailed_caption, named_by
from florence_blocks.demo.metrics import Tally, mask_iou, matches, outline_mask
from florence_blocks.demo.scenes import Box, Scene, draw_scene
from florence_blocks.florence import Florence2, Granularity

FIRST_SEED = 10_000_000
BATCH = 50

REQUIRED = {
    "detection recall": 0.95, "detection precision": 0.95, "detection mean IoU": 0.85, "open-vocabulary recall": 0.95,
    "grounding recall": 0.95, "region category": 0.97, "region description": 0.97, "OCR exact words": 0.95,
    "region OCR": 0.95, "OCR with regions recall": 0.9, "caption exact": 0.9, "empty text": 0.95, "phrase mask IoU": 0.8,
    "region mask IoU": 0.8, "absent classes empty": 0.9,
}  # fmt: skip
"""What the model must reach on 500 scenes."""


@dataclass
class _Batch:
    """Some scenes, the model, and where to count."""

    model: Florence2
    scenes: list[Scene]
    tallies: dict[str, Tally]
    rng: np.random.Generator

    @property
    def images(self) -> list[Any]:
        return [scene.image for scene in self.scenes]


def evaluate(model: Florence2, scenes: int = 500, seed: int = 0) -> dict[str, float]:
    """All measures on so many scenes, by name."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    numbers = iter(range(FIRST_SEED + seed, FIRST_SEED + seed + scenes))
    while part := [draw_scene(number) for number in islice(numbers, BATCH)]:
        batch = _Batch(model, part, tallies, np.random.default_rng(seed))
        for measure in _MEASURES:
            measure(batch)
    return {name: tallies[name].share for name in [*REQUIRED, *(name for name in tallies if name not in REQUIRED)]}


def _labelled(found: sv.Detections) -> list[tuple[str, Box]]:
    return [(str(name), tuple(box)) for name, box in zip(found.data["class_name"], found.xyxy.tolist(), strict=True)]


def _detection(batch: _Batch) -> None:
    for scene, found in zip(batch.scenes, batch.model.detect_objects(batch.images), strict=True):
        wanted = [(shape.category, shape.box) for shape in scene.shapes]
        hits = matches(_labelled(found), wanted)
        batch.tallies["detection recall"].add(len(hits), len(wanted))
        batch.tallies["detection precision"].add(len(hits), len(found))
        batch.tallies["detection mean IoU"].add(sum(hits), len(hits))


def _dense_captions(batch: _Batch) -> None:
    for scene, found in zip(batch.scenes, batch.model.detect_objects(batch.images, labels_mode="captions"), strict=True):
        wanted = [(shape.name, shape.box) for shape in scene.shapes]
        batch.tallies["dense caption recall"].add(len(matches(_labelled(found), wanted)), len(wanted))


def _proposals(batch: _Batch) -> None:
    for scene, found in zip(batch.scenes, batch.model.detect_objects(batch.images, labels_mode="rois"), strict=True):
        wanted = [("", shape.box) for shape in scene.shapes] + [("", word.box) for word in scene.words]
        batch.tallies["proposal recall"].add(len(matches(_labelled(found), wanted)), len(wanted))


def _captions(batch: _Batch) -> None:
    asked: tuple[tuple[str, Granularity, Callable[[Scene], str]], ...] = (
        ("caption exact", "normal", caption),
        ("detailed caption exact", "detailed", detailed_caption),
        ("very detailed caption exact", "very_detailed", more_detailed_caption),
    )
    for name, granularity, truth in asked:
        for scene, text in zip(batch.scenes, batch.model.caption_image(batch.images, granularity), strict=True):
            batch.tallies[name].add(text == truth(scene))


def _ocr(batch: _Batch) -> None:
    for scene, text in zip(batch.scenes, batch.model.ocr_image(batch.images), strict=True):
        read = text.split()
        if not scene.words:
            batch.tallies["empty text"].add(text == "")
        for word in scene.words:
            batch.tallies["OCR exact words"].add(word.text in read)
            if word.text in read:
                read.remove(word.text)


def _documents(batch: _Batch) -> None:
    for scene, found in zip(batch.scenes, batch.model.parse_document(batch.images), strict=True):
        wanted = [(word.text, word.box) for word in scene.words]
        batch.tallies["OCR with regions recall"].add(len(matches(_labelled(found), wanted)), len(wanted))


def _some_names(batch: _Batch, scene: Scene, *, present: bool) -> list[str]:
    """A category and a full name that are on a scene, or are not."""
    names = [name for name in [*NAMES, *(name.split()[1] for name in NAMES)] if bool(named_by(scene, name)) == present]
    full = [name for name in names if " " in name]
    short = sorted({name for name in names if " " not in name})
    return [str(batch.rng.choice(part)) for part in (full, short) if part]


def _open_vocabulary(batch: _Batch) -> None:
    for scene in batch.scenes:
        for name in _some_names(batch, scene, present=True):
            wanted = [(name, shape.box) for shape in named_by(scene, name)]
            for measure, found in (
                ("open-vocabulary recall", batch.model.detect_objects(scene.image, classes=[name])),
                ("grounding recall", batch.model.ground_phrase(scene.image, name)),
            ):
                batch.tallies[measure].add(len(matches(_labelled(found), wanted)), len(wanted))
        for name in _some_names(batch, scene, present=False):
            for found in (
                batch.model.detect_objects(scene.image, classes=[name]),
                batch.model.ground_phrase(scene.image, name),
            ):
                batch.tallies["absent classes empty"].add(len(found) == 0)


def _regions(batch: _Batch) -> None:
    boxes = [[shape.box for shape in scene.shapes] for scene in batch.scenes]
    for measure, ask, truth in (
        ("region category", batch.model.classify_image_region, lambda shape: shape.category),
        ("region description", batch.model.caption_image_region, lambda shape: shape.name),
    ):
        for scene, texts in zip(batch.scenes, ask(batch.images, boxes), strict=True):
            for shape, text in zip(scene.shapes, texts, strict=True):
                batch.tallies[measure].add(text == truth(shape))
    words = [[word.box for word in scene.words] for scene in batch.scenes]
    for scene, texts in zip(batch.scenes, batch.model.ocr_image_region(batch.images, words), strict=True):
        for word, text in zip(scene.words, texts, strict=True):
            batch.tallies["region OCR"].add(text == word.text)


def _best_mask(found: sv.Detections, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(found.mask)[0] if len(found) and found.mask is not None else np.zeros((size[1], size[0]), dtype=bool)


def _masks(batch: _Batch) -> None:
    boxes = [[shape.box for shape in scene.shapes] for scene in batch.scenes]
    for scene, per_region in zip(batch.scenes, batch.model.segment_region(batch.images, boxes), strict=True):
        for shape, found in zip(scene.shapes, per_region, strict=True):
            overlap = mask_iou(_best_mask(found, scene.size), outline_mask(shape.outline, scene.size))
            batch.tallies["region mask IoU"].add(overlap)
    for scene, shape in _unique_shapes(batch.scenes):
        found = batch.model.segment_phrase(scene.image, shape.name)
        batch.tallies["phrase mask IoU"].add(mask_iou(_best_mask(found, scene.size), outline_mask(shape.outline, scene.size)))


def _unique_shapes(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, Any]]:
    """One shape per scene whose name is its own."""
    for scene in scenes:
        unique = [shape for shape in scene.shapes if len(named_by(scene, shape.name)) == 1]
        if unique:
            yield scene, unique[0]


_MEASURES: tuple[Callable[[_Batch], None], ...] = (
    _detection, _dense_captions, _proposals, _captions, _ocr, _documents, _open_vocabulary, _regions, _masks,
)  # fmt: skip


def main() -> int:
    """The command line; exits with 1 when a requirement is missed."""
    parser = argparse.ArgumentParser(prog="python -m florence_blocks.demo.evaluate", description=__doc__)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="florence-2-demo", help="a folder of another checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    path = Path(options.model)
    measured = evaluate(Florence2.from_pretrained(path if path.is_dir() else options.model), options.scenes, options.seed)
    missed = [name for name, least in REQUIRED.items() if not measured[name] >= least]
    if options.json:
        print(json.dumps({"scenes": options.scenes, "seed": options.seed, "measures": measured, "missed": missed}, indent=2))
    else:
        for name, value in measured.items():
            print(f"{name:28} {value:.3f}" + (f"  (required {REQUIRED[name]:.2f})" if name in REQUIRED else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
