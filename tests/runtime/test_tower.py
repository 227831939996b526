"""The lighter blocks of the vision tower give what transformers' own give."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Florence2VisionConfig
from transformers.models.florence2.modeling_florence2 import Florence2VisionBackbone

from florence_blocks.runtime.tower import Tower, lighten


def _tower(**settings: Any) -> Florence2VisionBackbone:
    torch.manual_seed(0)
    config = Florence2VisionConfig(
        embed_dim=[16, 32],
        depths=[1, 2],
        num_heads=[2, 4],
        num_groups=[2, 4],
        patch_size=[7, 3],
        patch_stride=[4, 2],
        patch_padding=[3, 1],
        **settings,
    )
    tower = Florence2VisionBackbone(config).eval()
    for weight in tower.parameters():  # as strong as trained ones, so that every part counts
        nn.init.normal_(weight, std=0.2)
    return tower


class _Model(nn.Module):
    """The part of a model that has the tower."""

    def __init__(self, tower: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.vision_tower, self.dtype = tower.to(dtype), dtype


@pytest.mark.parametrize("size", [(96, 96), (96, 192), (100, 70), (40, 40), (200, 97)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("bias", "before"), [(True, [False, True]), (False, [True, False])])
def test_the_lighter_tower_gives_what_the_plain_one_gives(
    size: tuple[int, int], batch: int, bias: bool, before: list[bool]
) -> None:
    plain = _tower(qkv_bias=bias, window_size=12, patch_prenorm=before)
    light = Tower(copy.deepcopy(plain))
    pixels = torch.randn(batch, 3, *size)
    with torch.inference_mode():
        want, given = plain(pixels).last_hidden_state, light(pixels).last_hidden_state
    assert want.std() > 0.1
    torch.testing.assert_close(given, want, atol=1e-4, rtol=1e-4)


def test_threads_that_use_a_tower_at_once_get_what_each_gets_alone() -> None:
    tower = Tower(_tower(patch_prenorm=[False, True]))
    inputs = [torch.randn(2, 3, side, side) for side in (100, 160, 60, 130) * 3]
    with torch.inference_mode():
        alone = [tower(pixels).last_hidden_state for pixels in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pixels: tower(pixels).last_hidden_state, inputs))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_large_images_in_float32_get_the_lighter_tower() -> None:
    model = _Model(_tower(patch_prenorm=[False, True]), torch.float32)
    lighten(model, (768, 768))
    light = model.vision_tower
    lighten(model, (768, 768))  # a second time changes nothing
    assert isinstance(light, Tower) and light is model.vision_tower


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.bfloat16, (768, 768)), (torch.float32, (160, 160))], ids=["another type", "small images"]
)
def test_otherwise_the_tower_stays_as_it_is(dtype: torch.dtype, size: tuple[int, int]) -> None:
    model = _Model(_tower(patch_prenorm=[False, True]), dtype)
    tower = model.vision_tower
    lighten(model, size)
    assert model.vision_tower is tower
