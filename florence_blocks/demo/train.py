"""Train the embedded model from nothing: `python -m florence_blocks.demo.train --work DIR`.

Three stages, each resumable (a stopped run goes on where its last checkpoint was):

1. *tower*: the vision tower with a throw-away linear head on every cell of its grid (`targets.py`).
2. *text*: the encoder and decoder on the cached features of some thousand scenes, with pairs drawn anew at every step.
3. *joint*: everything together on fresh scenes, at a low rate.

Location tokens have soft targets: a Gaussian over the neighbouring bins that sharpens with time, because a bin next to the
right one is nearly right. Seeds and step counts are fixed, so that a run can be repeated.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import Florence2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from florence_blocks.demo import CHECKPOINT
from florence_blocks.demo.architecture import WIDTH, build_model, build_tokenizer, export, token_id
from florence_blocks.demo.batches import (
    IGNORED_LABEL,
    DenseBatch,
    DenseScenes,
    TextBatch,
    TextScenes,
    pixel_values,
    text_batch,
    training_scene,
)
from florence_blocks.demo.corpus import BINS, draw_pairs
from florence_blocks.demo.scenes import Scene
from florence_blocks.demo.targets import HEADS, IGNORE

log = logging.getLogger("florence_blocks.demo.train")
SAVE_SECONDS = 120
LOCATION_WEIGHT = 0.5
"""How much a location token counts beside a letter; there are many more of them."""


@dataclass(frozen=True)
class Stage:
    """One stage of the training."""

    name: str
    steps: int
    rate: float
    warmup: int
    sigma: tuple[float, float]
    """Width of the soft location targets in bins, at the start and at the end."""


STAGES = {
    "tower": Stage("tower", 2000, 1.5e-3, 100, (0.0, 0.0)),
    "text": Stage("text", 7000, 1.2e-3, 200, (8.0, 1.5)),
    "joint": Stage("joint", 4000, 5e-4, 50, (2.0, 1.2)),
}


class Trainer:
    """Runs a stage: optimisers, schedule, logging and checkpoints around a loss."""

    def __init__(self, stage: Stage, module: nn.Module, parameters: Iterable[nn.Parameter], work: Path) -> None:
        self.stage, self.module = stage, module
        self.path = work / f"{stage.name}.pt"
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        self.trained = trained
        embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in embeddings]
        others = [p for p in trained if p.ndim != 2 or id(p) in embeddings]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=stage.rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.step = 0

    def resume(self) -> bool:
        """Load the last checkpoint of this stage; whether the stage is finished."""
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            self.module.load_state_dict(saved["module"])
            for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.step = saved["step"]
        return self.step >= self.stage.steps

    def save(self) -> None:
        """Write a checkpoint, never leaving half of one."""
        state = {"module": self.module.state_dict(), "step": self.step,
                 "optimisers": [optimiser.state_dict() for optimiser in self.optimisers]}  # fmt: skip
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def run(self, losses: Callable[[float], dict[str, Tensor]], checkpoint: Callable[[], None]) -> None:
        """Train to the end of the stage; `losses` gets the progress (0..1) and gives named losses to add up."""
        started, first, saved = time.monotonic(), self.step, time.monotonic()
        mean: dict[str, float] = {}
        while self.step < self.stage.steps:
            progress = self.step / self.stage.steps
            self._set_rate(progress)
            parts = losses(progress)
            for optimiser in self.optimisers:
                optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()
            nn.utils.clip_grad_norm_(self.trained, 1.0)
            for optimiser in self.optimisers:
                optimiser.step()
            self.step += 1
            for name, value in parts.items():
                mean[name] = 0.95 * mean.get(name, value.item()) + 0.05 * value.item()
            if self.step % 25 == 0:
                pace = (self.step - first) / (time.monotonic() - started)
                shown = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
                log.info("%s %d/%d (%.2f steps/s) %s", self.stage.name, self.step, self.stage.steps, pace, shown)
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                checkpoint()
                saved = time.monotonic()
        self.save()
        checkpoint()

    def _set_rate(self, progress: float) -> None:
        warm = min(1.0, (self.step + 1) / self.stage.warmup)
        rate = self.stage.rate * warm * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-6
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate


# ------------------------------------------------------------------ losses


def dense_losses(cells: Tensor, batch: DenseBatch) -> dict[str, Tensor]:
    """Losses of the per-cell head `[n, grid, grid, classes + 4]`."""
    parts, first = {}, 0
    for head, count in HEADS.items():
        logits = cells[..., first : first + count].flatten(0, 2)
        parts[head] = F.cross_entropy(logits, batch.classes[head].flatten(), ignore_index=IGNORE)
        first += count
    covered = batch.classes["thing"] > 0
    parts["box"] = 10 * (cells[..., first:][covered] - batch.boxes[covered]).abs().mean()
    return parts


def answer_loss(logits: Tensor, labels: Tensor, first_location: int, sigma: float) -> Tensor:
    """Cross-entropy of answers `[m, a, vocabulary]`, with Gaussian targets for locations."""
    logits, labels = logits.flatten(0, 1), labels.flatten()
    logits, labels = logits[labels != IGNORED_LABEL], labels[labels != IGNORED_LABEL]
    is_location = (labels >= first_location) & (labels < first_location + BINS)
    log_probabilities = logits.log_softmax(-1)
    words = -log_probabilities[~is_location].gather(1, labels[~is_location][:, None]).sum()
    offset = torch.arange(BINS)[None] - (labels[is_location] - first_location)[:, None]
    soft = torch.softmax(-0.5 * (offset / sigma) ** 2, dim=1)
    places = -(soft * log_probabilities[is_location][:, first_location : first_location + BINS]).sum()
    return (words + LOCATION_WEIGHT * places) / ((~is_location).sum() + LOCATION_WEIGHT * is_location.sum())


def answer_logits(model: Florence2ForConditionalGeneration, features: Tensor, batch: TextBatch, pad: int) -> Tensor:
    """Teacher-forced logits of the answers of a batch; `features` `[m, cells + 1, width]`, one row per pair."""
    embedded = torch.cat([features, model.get_input_embeddings()(batch.prompts)], dim=1)
    mask = torch.cat([torch.ones(features.shape[:2], dtype=torch.long), (batch.prompts != pad).long()], dim=1)
    encoded = model.model.language_model.encoder(inputs_embeds=embedded, attention_mask=mask)
    decoder_start: int = cast(Any, model.config.text_config).decoder_start_token_id
    start = torch.full((len(batch.labels), 1), decoder_start)
    given = torch.cat([start, batch.labels[:, :-1].masked_fill(batch.labels[:, :-1] == IGNORED_LABEL, pad)], dim=1)
    outputs = model(encoder_outputs=BaseModelOutput(last_hidden_state=encoded.last_hidden_state), attention_mask=mask,
                    decoder_input_ids=given, use_cache=False)  # fmt: skip
    return outputs.logits  # type: ignore[no-any-return]


# ------------------------------------------------------------------ stages


class Tower(nn.Module):
    """The vision side of the model, and the head that is thrown away."""

    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.head = nn.Linear(WIDTH, sum(HEADS.values()) + 4)

    def forward(self, pixels: Tensor) -> Tensor:
        """Per cell `[n, grid, grid, classes + 4]`; the first feature is the mean and has no cell."""
        cells = self.head(image_features(self.model, pixels)[:, 1:])
        grid = math.isqrt(cells.shape[1])
        return cells.unflatten(1, (grid, grid))  # type: ignore[no-any-return]


def image_features(model: Florence2ForConditionalGeneration, pixels: Tensor) -> Tensor:
    """The projected features `[n, cells + 1, width]` of images."""
    return model.get_image_features(pixels).pooler_output  # type: ignore[no-any-return]


def is_visual(name: str) -> bool:
    """Whether a parameter belongs to the vision side."""
    return "vision_tower" in name or "multi_modal_projector" in name


def batches(dataset: DenseScenes | TextScenes, workers: int) -> Iterator[DenseBatch | TextBatch]:
    """Batches drawn beside the training; one worker is ahead of the model."""
    return iter(DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))


def train_tower(model: Florence2ForConditionalGeneration, work: Path, workers: int) -> None:
    """Stage 1."""
    tower = Tower(model)
    visual = [parameter for name, parameter in model.named_parameters() if is_visual(name)]
    trainer = Trainer(STAGES["tower"], tower, [*visual, *tower.head.parameters()], work)
    if trainer.resume():
        return
    drawn = batches(DenseScenes(1000 + trainer.step, 32), workers)

    def losses(progress: float) -> dict[str, Tensor]:
        batch = next(drawn)
        assert isinstance(batch, DenseBatch)
        return dense_losses(tower(batch.pixels), batch)

    trainer.run(losses, lambda: None)


def cached_features(model: Florence2ForConditionalGeneration, work: Path, count: int) -> tuple[Tensor, list[Scene]]:
    """The features (float16) of so many scenes, and the scenes without their pixels."""
    path, rng, scenes = work / f"features-{count}.pt", np.random.default_rng(99), []
    rows = []
    known = torch.load(path, weights_only=True) if path.exists() else None
    for _ in range(0, count, 50):
        drawn = [training_scene(rng) for _ in range(50)]
        if known is None:
            with torch.inference_mode():
                rows.append(image_features(model, pixel_values(drawn)).half())
        scenes += [Scene(scene.image[:, :, :1], scene.shapes, scene.words) for scene in drawn]
    features = known if known is not None else torch.cat(rows).clone()
    if known is None:
        torch.save(features, path)
    return features, scenes


def train_text(model: Florence2ForConditionalGeneration, tokenizer: Tokenizer, work: Path, scenes: int) -> None:
    """Stage 2."""
    textual = [parameter for name, parameter in model.named_parameters() if not is_visual(name)]
    trainer = Trainer(STAGES["text"], model, textual, work)
    if trainer.resume():
        return
    model.eval()
    features, contents = cached_features(model, work, scenes)
    log.info("features of %d scenes", len(contents))
    rng = np.random.default_rng(11 + trainer.step)
    first, pad = token_id(tokenizer, "<loc_0>"), token_id(tokenizer, "<pad>")
    start, end = STAGES["text"].sigma

    def losses(progress: float) -> dict[str, Tensor]:
        chosen = rng.integers(0, len(contents), 64)
        pairs = [draw_pairs(contents[index], rng, 1)[0] for index in chosen]
        batch = text_batch(pairs, list(range(len(pairs))), tokenizer, None)
        logits = answer_logits(model, features[torch.from_numpy(chosen)].float(), batch, pad)
        return {"answer": answer_loss(logits, batch.labels, first, start + (end - start) * progress)}

    trainer.run(losses, lambda: export(model, tokenizer, work / "export"))


def train_joint(model: Florence2ForConditionalGeneration, tokenizer: Tokenizer, work: Path, workers: int) -> None:
    """Stage 3."""
    trainer = Trainer(STAGES["joint"], model, model.parameters(), work)
    if trainer.resume():
        return
    drawn = batches(TextScenes(31337 + trainer.step, 16, 6, tokenizer), workers)
    first, pad = token_id(tokenizer, "<loc_0>"), token_id(tokenizer, "<pad>")
    start, end = STAGES["joint"].sigma

    def losses(progress: float) -> dict[str, Tensor]:
        batch = next(drawn)
        assert isinstance(batch, TextBatch) and batch.pixels is not None
        logits = answer_logits(model, image_features(model, batch.pixels)[batch.owner], batch, pad)
        return {"answer": answer_loss(logits, batch.labels, first, start + (end - start) * progress)}

    trainer.run(losses, lambda: export(model, tokenizer, work / "export"))


def kept_tokenizer(work: Path) -> Tokenizer:
    """The tokenizer of a training; its ids follow from the corpus, so that a run keeps the one it began with."""
    path = work / "tokenizer.json"
    if not path.exists():
        build_tokenizer().save(str(path))
    return Tokenizer.from_file(str(path))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m florence_blocks.demo.train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints; a second call goes on from there")
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="folder of the finished model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    parser.add_argument("--scenes", type=int, default=14000, help="scenes of the text stage")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer = kept_tokenizer(options.work)
    model = build_model(tokenizer)
    train_tower(model, options.work, options.workers)
    train_text(model, tokenizer, options.work, options.scenes)
    train_joint(model, tokenizer, options.work, options.workers)
    export(model, tokenizer, options.out)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()
