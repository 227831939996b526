"""Fused linear layers give what torch's own give."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN

from florence_blocks.runtime.fused import MUCH, SMALL, SMALL_WEIGHT, FusedLinear, available, fuse

SIZES = {"below the threshold": (3, 32, 64), "above the threshold": (2 * SMALL // (32 * 64), 32, 64),
         "a long result": (2 * MUCH // 64, 32, 64)}  # fmt: skip


class Feed(nn.Module):
    """A feed-forward part as Florence-2 has them, with the given activation."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(32, 64), nn.Linear(64, 32, bias=False)
        self.activation_fn = ACT2FN[activation]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation_fn(self.fc1(states)))


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("size", SIZES)
def test_a_fused_part_gives_what_the_plain_one_gives(size: str, activation: str) -> None:
    torch.manual_seed(0)
    plain = Feed(activation).eval()
    states = torch.randn(1, SIZES[size][0], 32) * 3
    fused = copy.deepcopy(plain)
    fuse(fused)
    assert isinstance(fused.fc1, FusedLinear) and isinstance(fused.fc2, FusedLinear)
    assert fused.fc1.gelu == isinstance(fused.activation_fn, nn.Identity) == (activation == "gelu")
    with torch.inference_mode():
        torch.testing.assert_close(fused(states), plain(states), atol=1e-5, rtol=1e-5)


def test_weights_are_shared_and_named_as_before() -> None:
    plain = Feed("gelu")
    before = {name: weight.data_ptr() for name, weight in plain.named_parameters()}
    fuse(plain)
    fuse(plain)  # a second time changes nothing
    assert {name: weight.data_ptr() for name, weight in plain.named_parameters()} == before


@pytest.mark.parametrize("rows", [1, 5, 900])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_large_weight_laid_out_anew_gives_what_the_plain_one_gives(rows: int, dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(SMALL_WEIGHT // 256 + 3, 256, bias=bias).to(dtype)
    parent = nn.Sequential(copy.deepcopy(layer))
    fuse(parent)
    (fused,) = parent
    assert isinstance(fused, FusedLinear) == available(
        dtype
    )  # on a processor without the instructions, torch's own layer stays
    states = torch.randn(2, rows, layer.in_features, dtype=dtype)
    near = {"atol": 1e-5, "rtol": 1e-5} if dtype is torch.float32 else {"atol": 0.02, "rtol": 0.02}
    with torch.inference_mode():
        torch.testing.assert_close(fused(states), layer(states), **near)
    assert sum(weight.numel() for weight in fused.parameters()) == sum(weight.numel() for weight in layer.parameters())
