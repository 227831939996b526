"""A checkpoint in the published layouts with random weights, for measuring time and memory; its answers mean nothing.

Token ids are those of the published vocabulary (`<loc_0>` is 50269, `<image>` 51289); the words inside are the embedded
model's, and fillers take the other places. No answer ends before its limit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from transformers import (
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from florence_blocks.demo import CHECKPOINT

LAYOUTS: dict[str, dict[str, Any]] = {
    "base": {"embed": [128, 256, 512, 1024], "heads": [4, 8, 16, 32], "width": 768, "layers": 6, "attention": 12,
             "ffn": 3072, "positions": 1024},
    "large": {"embed": [256, 512, 1024, 2048], "heads": [8, 16, 32, 64], "width": 1024, "layers": 12, "attention": 16,
              "ffn": 4096, "positions": 4096},
}  # fmt: skip
SIZE = 768
WORDS = 50265
FLORENCE = [
    "<od>", "</od>", "<ocr>", "</ocr>", *[f"<loc_{bin_}>" for bin_ in range(1000)], "<cap>", "</cap>", "<ncap>", "</ncap>",
    "<dcap>", "</dcap>", "<grounding>", "</grounding>", "<seg>", "</seg>", "<sep>", "<region_cap>", "</region_cap>",
    "<region_to_desciption>", "</region_to_desciption>", "<proposal>", "</proposal>", "<poly>", "</poly>", "<and>",
]  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """The embedded model's words in a vocabulary of the published size."""
    given = json.loads((CHECKPOINT / "tokenizer.json").read_text())
    vocabulary = {word: index for word, index in given["model"]["vocab"].items() if index < WORDS}
    for index in range(len(vocabulary), WORDS - 1):
        vocabulary[f"filler{index}"] = index
    vocabulary["<mask>"] = WORDS - 1
    base = Tokenizer.from_str(json.dumps({**given, "added_tokens": [], "post_processor": None}))
    merges = [tuple(pair) for pair in given["model"]["merges"]]
    made = Tokenizer(BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = base.pre_tokenizer, base.decoder
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")])
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in FLORENCE])
    made.add_special_tokens([AddedToken("<image>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
                                   unk_token="<unk>", mask_token="<mask>", model_max_length=1024,
                                   extra_special_tokens={"image_token": "<image>"})  # fmt: skip


def build(layout: str, folder: Path) -> None:
    """Write a checkpoint of a layout (`base` or `large`)."""
    shape, words = LAYOUTS[layout], tokenizer()
    vision = {
        "depths": [1, 1, 9, 1], "patch_size": [7, 3, 3, 3], "patch_stride": [4, 2, 2, 2], "patch_padding": [3, 1, 1, 1],
        "patch_prenorm": [False, True, True, True], "embed_dim": shape["embed"], "num_heads": shape["heads"],
        "num_groups": shape["heads"], "window_size": 12, "projection_dim": shape["width"],
    }  # fmt: skip
    text = {
        "model_type": "bart", "vocab_size": len(words), "d_model": shape["width"], "encoder_layers": shape["layers"],
        "decoder_layers": shape["layers"], "encoder_attention_heads": shape["attention"],
        "decoder_attention_heads": shape["attention"], "encoder_ffn_dim": shape["ffn"], "decoder_ffn_dim": shape["ffn"],
        "max_position_embeddings": shape["positions"], "activation_function": "gelu", "scale_embedding": False,
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
        "is_encoder_decoder": True,
    }  # fmt: skip
    torch.manual_seed(0)
    image = int(words.convert_tokens_to_ids("<image>"))
    model = Florence2ForConditionalGeneration(Florence2Config(vision_config=vision, text_config=text, image_token_id=image))
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0,
        forced_eos_token_id=2, no_repeat_ngram_size=3, num_beams=3, early_stopping=True, min_new_tokens=shape["positions"],
    )  # fmt: skip
    model.eval().save_pretrained(folder)
    processor: Any = Florence2Processor.from_pretrained(CHECKPOINT)
    images = processor.image_processor
    images.size, images.image_seq_length = {"height": SIZE, "width": SIZE}, (SIZE // 32) ** 2 + 1
    answers = processor.post_processor_config
    Florence2Processor(image_processor=images, tokenizer=words, post_processor_config=answers).save_pretrained(folder)
