"""Training batches: scenes as the model sees them, and pairs as token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PilImage
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from florence_blocks.demo.architecture import GRID, IMAGE_MEAN, IMAGE_SIZE, IMAGE_STD, token_id
from florence_blocks.demo.corpus import LATE_WEIGHTS, Pair, draw_pairs
from florence_blocks.demo.scenes import Scene, draw_scene
from florence_blocks.demo.targets import HEADS, cell_targets

IGNORED_LABEL = -100
_OTHER_SIZES = ((240, 240), (320, 240), (240, 320), (480, 360), (320, 200))


def training_scene(rng: np.random.Generator) -> Scene:
    """A scene as training sees them: most at the model's own size, some larger and squeezed, some close up."""
    draw = rng.random()
    if draw < 0.22:
        width, height = _OTHER_SIZES[rng.integers(len(_OTHER_SIZES))]
        return draw_scene(rng, width=width, height=height, close_up=True)
    if draw < 0.4:
        width, height = _OTHER_SIZES[rng.integers(len(_OTHER_SIZES))]
        return draw_scene(rng, width=width, height=height)
    return draw_scene(rng)


def pixel_values(scenes: Sequence[Scene]) -> Tensor:
    """Scenes as the model takes them: `[n, 3, 160, 160]`, RGB, normalised."""
    resized = [_resized(scene) for scene in scenes]
    pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1)) / torch.tensor(IMAGE_STD).view(1, 3, 1, 1)


def _resized(scene: Scene) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rgb = np.ascontiguousarray(scene.image[:, :, ::-1])
    if scene.size == (IMAGE_SIZE, IMAGE_SIZE):
        return rgb
    return np.asarray(PilImage.fromarray(rgb).resize((IMAGE_SIZE, IMAGE_SIZE), PilImage.Resampling.BICUBIC))


@dataclass
class DenseBatch:
    """Images `[n, 3, s, s]`, class targets `[n, grid, grid]` by head, and boxes `[n, grid, grid, 4]`."""

    pixels: Tensor
    classes: dict[str, Tensor]
    boxes: Tensor


@dataclass
class TextBatch:
    """Pairs as ids: which image each is about, its prompt `[m, p]` (padded), its answer `[m, a]` (padded with -100)."""

    pixels: Tensor | None
    owner: Tensor
    prompts: Tensor
    labels: Tensor


class DenseScenes(IterableDataset[DenseBatch]):
    """Endless batches for the tower."""

    def __init__(self, seed: int, size: int) -> None:
        self.seed, self.size = seed, size

    def __iter__(self) -> Iterator[DenseBatch]:
        rng = _worker_rng(self.seed)
        while True:
            scenes = [training_scene(rng) for _ in range(self.size)]
            targets = [cell_targets(scene, GRID) for scene in scenes]
            classes = {head: torch.from_numpy(np.stack([target.classes[head] for target in targets])) for head in HEADS}
            boxes = torch.from_numpy(np.stack([target.boxes for target in targets]))
            yield DenseBatch(pixel_values(scenes), classes, boxes)


class TextScenes(IterableDataset[TextBatch]):
    """Endless batches of fresh scenes with several pairs each."""

    def __init__(self, seed: int, size: int, pairs: int, tokenizer: Tokenizer) -> None:
        self.seed, self.size, self.pairs, self.tokenizer = seed, size, pairs, tokenizer

    def __iter__(self) -> Iterator[TextBatch]:
        rng = _worker_rng(self.seed)
        while True:
            scenes = [training_scene(rng) for _ in range(self.size)]
            drawn = [draw_pairs(scene, rng, self.pairs, LATE_WEIGHTS) for scene in scenes]
            owner = [index for index, pairs in enumerate(drawn) for _ in pairs]
            yield text_batch([pair for pairs in drawn for pair in pairs], owner, self.tokenizer, pixel_values(scenes))


def text_batch(pairs: Sequence[Pair], owner: Sequence[int], tokenizer: Tokenizer, pixels: Tensor | None) -> TextBatch:
    """Pairs as padded ids."""
    prompts = [tokenizer.encode(pair.prompt).ids for pair in pairs]
    answers = [tokenizer.encode(pair.answer).ids for pair in pairs]
    pad = token_id(tokenizer, "<pad>")
    return TextBatch(pixels, torch.tensor(owner), _padded(prompts, pad), _padded(answers, IGNORED_LABEL))


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def _worker_rng(seed: int) -> np.random.Generator:
    info = get_worker_info()
    return np.random.default_rng([seed, 0 if info is None else info.id])
