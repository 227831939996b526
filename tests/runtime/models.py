"""Models for tests: the embedded one, and random weights in the published layout at reduced width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Florence2Config, Florence2ForConditionalGeneration, Florence2Processor, GenerationConfig

from florence_blocks.demo import CHECKPOINT

SIZE = 192


def save_reduced(folder: Path, *, layers: int = 6) -> None:
    """A checkpoint with the published layout (four stages, window 12, base's 6 or large's 12 layers) and random weights.

    The width, the depth of the third stage and the image are smaller. Embeddings are scaled up so that the random model
    is decided: with the usual initialisation all tokens are nearly as likely, and margins are within rounding.
    """
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 2, 1], "patch_size": [7, 3, 3, 3], "patch_stride": [4, 2, 2, 2], "patch_padding": [3, 1, 1, 1],
            "patch_prenorm": [False, True, True, True], "embed_dim": [16, 32, 64, 128], "num_heads": [2, 4, 8, 16],
            "num_groups": [2, 4, 8, 16], "window_size": 12, "projection_dim": 64, "drop_path_rate": 0.1,
        },
        text_config={
            "model_type": "bart", "vocab_size": len(tokenizer), "d_model": 64,
            "encoder_layers": layers, "decoder_layers": layers,
            "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
            "max_position_embeddings": 1024, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 2, "forced_eos_token_id": 2, "is_encoder_decoder": True,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    model = Florence2ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "language_model" in name:
                parameter.mul_(4.0)
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0,
        forced_eos_token_id=2, num_beams=3, no_repeat_ngram_size=3, max_new_tokens=24,
    )  # fmt: skip
    model.save_pretrained(folder)
    processor: Any = Florence2Processor.from_pretrained(CHECKPOINT)
    processor.image_processor.size = {"height": SIZE, "width": SIZE}
    processor.image_processor.image_seq_length = (SIZE // 32) ** 2 + 1
    processor.save_pretrained(folder)
