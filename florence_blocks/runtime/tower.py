"""The blocks of the vision tower on a CPU, with half the passes over memory of transformers' own.

A block's four sums are never passes of their own: a depthwise convolution carries its residual as one more in the middle of
its kernel, products add to their residual as they write (see `fused`), and windows are taken apart and put back by the copy
that is needed anyway. Weights are those of the blocks that are replaced; results differ in the last bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from florence_blocks.runtime.fused import FusedLinear


class _Half(nn.Module):
    """A convolution with its residual, then a norm; what follows adds to the sum of the two."""

    def __init__(self, conv: nn.Conv2d, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm
        weight = conv.weight.detach().clone()
        weight[:, :, 1, 1] += 1
        conv.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, height, width, channels]` as the sum and its norm, both of that shape."""
        total = self.conv(states.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return total, self.norm(total)


class _Windows(nn.Module):
    """Attention within windows of an image."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.side: int = attention.window_size
        self.heads: int = attention.num_heads

    def forward(self, states: Tensor, onto: Tensor) -> Tensor:
        """Attention of `[batch, height, width, channels]`, added to `onto` in place."""
        batch, height, width, channels = states.shape
        side = self.side
        down, across = -(-height // side), -(-width // side)
        if (down * side, across * side) != (height, width):
            states = F.pad(states, (0, 0, 0, across * side - width, 0, down * side - height))
        windows = states.view(batch, down, side, across, side, channels).transpose(2, 3).reshape(-1, side**2, channels)
        query, key, value = self.qkv(windows).view(-1, side**2, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(-1, side**2, channels)
        back = self.proj(found).view(batch, down, across, side, side, channels).transpose(2, 3)
        if (down * side, across * side) == (height, width):
            onto.view(back.shape).add_(back)
            return onto
        return onto.add_(back.reshape(batch, down * side, across * side, channels)[:, :height, :width])


class _Channels(nn.Module):
    """Attention between the channels of an image, within groups of them."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.groups: int = attention.groups

    def forward(self, states: Tensor, onto: Tensor) -> Tensor:
        """Attention of `[batch, height, width, channels]`, added to `onto`."""
        batch, height, width, channels = states.shape
        count = height * width
        parts = self.qkv(states).view(batch, count, 3, self.groups, channels // self.groups)
        query, key, value = parts.permute(2, 0, 3, 4, 1)
        found = (query @ key.transpose(-1, -2) * count**-0.5).softmax(-1) @ value
        total: Tensor = self.proj(found.permute(0, 3, 1, 2).reshape(states.shape), onto)
        return total


class Block(nn.Module):
    """A spatial or a channel block of the tower: `[batch, channels, height, width]` in and out, channels last in memory."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first, self.second = _Half(block.conv1, block.norm1), _Half(block.conv2, block.norm2)
        self.attention = _Windows(block.window_attn) if hasattr(block, "window_attn") else _Channels(block.channel_attn)
        self.ffn = block.ffn

    def forward(self, states: Tensor) -> Tensor:
        """The block's sum."""
        total, normed = self.first(states.permute(0, 2, 3, 1))
        total, normed = self.second(self.attention(normed, total))
        out: Tensor = self.ffn.fc2(self.ffn.activation_fn(self.ffn.fc1(normed)), total)
        return out.permute(0, 3, 1, 2)


def lighten(tower: Any) -> None:
    """Replace the blocks of a vision tower whose linear layers are fused.

    One more in the middle of a kernel is exact enough in float32 only; towers of other types stay as they are.
    """
    if tower.dtype is not torch.float32:
        return
    for layer in tower.modules():
        for name in ("spatial_block", "channel_block"):
            block = getattr(layer, name, None)
            if block is not None and not isinstance(block, Block) and isinstance(block.ffn.fc2, FusedLinear):
                setattr(layer, name, Block(block))
