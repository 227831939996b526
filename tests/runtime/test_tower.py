"""The lighter blocks of the vision tower give what transformers' own give."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Florence2VisionConfig
from transformers.models.florence2.modeling_florence2 import Florence2VisionBackbone

from florence_blocks.runtime.fused import fuse
from florence_blocks.runtime.tower import Block, lighten


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
        patch_prenorm=[False, True],
        **settings,
    )
    tower = Florence2VisionBackbone(config).eval()
    for weight in tower.parameters():  # as strong as trained ones, so that every part counts
        nn.init.normal_(weight, std=0.2)
    return tower


def _blocks(tower: nn.Module) -> list[nn.Module]:
    return [module for module in tower.modules() if isinstance(module, Block)]


@pytest.mark.parametrize("size", [(96, 96), (96, 192), (100, 70), (40, 40), (200, 97)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_lighter_tower_gives_what_the_plain_one_gives(size: tuple[int, int], batch: int, bias: bool) -> None:
    plain = _tower(qkv_bias=bias, window_size=12)
    light = copy.deepcopy(plain)
    fuse(light)
    lighten(light)
    lighten(light)  # a second time changes nothing
    assert len(_blocks(light)) == 6
    pixels = torch.randn(batch, 3, *size)
    with torch.inference_mode():
        want, given = plain(pixels).last_hidden_state, light(pixels).last_hidden_state
    assert want.std() > 0.1
    torch.testing.assert_close(given, want, atol=1e-4, rtol=1e-4)


def test_a_tower_of_another_type_stays_as_it_is() -> None:
    tower = _tower().to(torch.bfloat16)
    fuse(tower)
    lighten(tower)
    assert not _blocks(tower)


def test_a_tower_whose_layers_are_not_fused_stays_as_it_is() -> None:
    tower = _tower()
    lighten(tower)
    assert not _blocks(tower)
