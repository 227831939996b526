"""The embedded model's shape, tokenizer and processor: Florence-2's classes at a few million parameters.

160 x 160 pixels, a stride of 16: 10 x 10 features and their mean. The last stage of the vision tower has windows as large as
its grid, so that every cell sees the whole image. Capital letters never merge in the tokenizer: reading goes letter by letter.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from florence_blocks.demo.corpus import BINS, draw_pairs
from florence_blocks.demo.scenes import draw_scene

IMAGE_SIZE: Final = 160
STRIDE: Final = 16
GRID: Final = IMAGE_SIZE // STRIDE
WIDTH: Final = 128
IMAGE_MEAN: Final = (0.485, 0.456, 0.406)
IMAGE_STD: Final = (0.229, 0.224, 0.225)
BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"
MAX_NEW_TOKENS: Final = 256


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that is known to be there."""
    found = tokenizer.token_to_id(token)
    assert found is not None, token
    return found


def build_tokenizer(seed: int = 0) -> Tokenizer:
    """A byte-level BPE over the words of the corpus, with Florence-2's location and layout tokens behind it."""
    rng = np.random.default_rng(seed)
    words: list[str] = []
    for _ in range(300):
        for pair in draw_pairs(draw_scene(rng), rng, 15):
            text = f"{pair.prompt} {pair.answer}".replace("<", " <").replace(">", "> ")
            words += [word for word in text.split() if not word.isupper() and not word.startswith("<")]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern=Regex(r"[A-Z]"), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=[BOS, PAD, EOS, UNK], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=20, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator((f" {word}" for word in words), trainer)
    tokenizer.add_special_tokens([f"<loc_{k}>" for k in range(BINS)] + ["<sep>", "<poly>", "</poly>", "<and>", "<image>"])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=[(BOS, 0), (EOS, 2)])
    return tokenizer


def build_model(tokenizer: Tokenizer) -> Florence2ForConditionalGeneration:
    """The model with fresh weights; neighbouring location tokens start out alike."""
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 2], "patch_size": [7, 3, 3], "patch_stride": [4, 2, 2], "patch_padding": [3, 1, 1],
            "patch_prenorm": [False, True, True], "embed_dim": [32, 64, WIDTH], "num_heads": [2, 4, 8],
            "num_groups": [2, 4, 8], "window_size": GRID, "projection_dim": WIDTH, "drop_path_rate": 0.0,
            "max_position_embeddings": 50,
        },
        text_config={
            "model_type": "bart", "vocab_size": tokenizer.get_vocab_size(), "d_model": WIDTH, "encoder_layers": 2,
            "decoder_layers": 3, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 384,
            "decoder_ffn_dim": 384, "max_position_embeddings": 512, "dropout": 0.0, "attention_dropout": 0.0,
            "activation_dropout": 0.0, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 2, "forced_eos_token_id": 2, "is_encoder_decoder": True, "scale_embedding": False,
        },
        image_token_id=token_id(tokenizer, "<image>"),
    )  # fmt: skip
    model = Florence2ForConditionalGeneration(config)
    _smooth_locations(cast(nn.Embedding, model.get_input_embeddings()).weight, token_id(tokenizer, "<loc_0>"))
    return model


@torch.no_grad()
def _smooth_locations(embeddings: torch.Tensor, first: int) -> None:
    """Give location tokens `[BINS, width]` embeddings that vary smoothly with the bin."""
    position = torch.arange(BINS)[:, None] / BINS
    waves = position * torch.tensor([0.5, 1, 2, 4, 8, 16, 32, 64]) * math.pi
    basis = torch.cat([torch.sin(waves), torch.cos(waves)], dim=1)
    smooth = basis @ (torch.randn(basis.shape[1], embeddings.shape[1]) * 0.014)
    embeddings[first : first + BINS] = smooth + 0.3 * embeddings[first : first + BINS]


def build_processor(tokenizer: Tokenizer) -> Florence2Processor:
    """A processor that plain transformers can use with the model."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, unk_token=UNK, model_max_length=384,
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images: Any = CLIPImageProcessorPil(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}, resample=3, do_center_crop=False, image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
    )  # fmt: skip
    images.image_seq_length = GRID * GRID + 1
    quad = "".join(r"<loc_(\d+)>" for _ in range(8))
    post = {
        "ocr": {"PATTERN": rf"(.+?){quad}", "AREA_THRESHOLD": 0.0}, "phrase_grounding": {"banned_grounding_tokens": []},
        "pure_text": {}, "description_with_bboxes": {}, "description_with_polygons": {}, "polygons": {}, "bboxes": {},
        "description_with_bboxes_or_polygons": {},
    }  # fmt: skip
    return Florence2Processor(image_processor=images, tokenizer=fast, post_processor_config=post)


def export(model: Florence2ForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a checkpoint that plain transformers loads: float16 weights, configuration, tokenizer and processor."""
    model = copy.deepcopy(model).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0,
        forced_eos_token_id=2, num_beams=1, max_new_tokens=MAX_NEW_TOKENS,
    )  # fmt: skip
    model.half().save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
