"""The vision tower on a CPU, image by image and strip by strip, so that what is in work stays in the processor's cache.

transformers' own tower passes the whole map through memory some twenty times a block, often into fresh pages that the system
must clear first. Here a block is two passes over strips of a few rows of windows: convolution, norm, projections and attention
of a strip, then convolution, norm and feed-forward; only two maps lie in memory, which one image takes over from the other.
Products write to where their result belongs or add to what is there. A depthwise convolution carries its residual as one more
in the middle of its kernel. What channel attention does to the values is multiplied into one projection. Batches would add
nothing to large images: a strip is enough for a product to run at full rate. Weights are those of the tower that is replaced;
results differ in the last bits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutputWithPooling

from florence_blocks.runtime.fused import is_exact_gelu

POSITIONS: Final = 1152
"""About how many positions a strip has: enough for a product to run at full rate, few enough for the cache."""

SMALLEST: Final = 320 * 320
"""How many pixels an image needs to have enough positions in every stage: measured in batches of 8 against transformers' own
tower, 160 x 160 pixels take 1.5 to 1.7 times as long, 320 x 320 take 0.7 to 1.06 times, 768 x 768 0.47 to 0.61."""

Strips = Sequence[tuple[int, int]]
"""First and last row (exclusive) of the strips of a map."""


def _strips(height: int, width: int, side: int = 1) -> Strips:
    """Strips of whole windows of so many rows."""
    rows = side * max(1, round(POSITIONS / (side * width)))
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


class Scratch:
    """Memory of one pass, taken over by the next: fresh memory comes page by page."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Memory of this shape with whatever is in it; what was taken by the same name before is gone."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.numel() < size:
            kept = self._kept[name] = torch.empty(size)
        return kept[:size].view(shape)

    def map(self, name: str, height: int, width: int, channels: int) -> Tensor:
        """A map with a row of zeros above and below, `[1 + height + 1, width, channels]`."""
        edged = self.take(name, height + 2, width, channels)
        edged[0].zero_()
        edged[-1].zero_()
        return edged


class _Dense(nn.Module):
    """A linear layer that writes to memory that is there."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().t(), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias.detach(), requires_grad=False)

    @classmethod
    def of(cls, layer: nn.Linear) -> _Dense:
        """The layer `[in, out]`, on the same weights."""
        return cls(layer.weight, layer.bias)

    def forward(self, states: Tensor, scratch: Scratch) -> Tensor:
        """`[positions, in]` as `[positions, out]`, until the scratch memory is taken again."""
        out = scratch.take("dense", len(states), len(self.bias))
        return torch.addmm(self.bias, states, self.weight, out=out)


class _Half(nn.Module):
    """A depthwise convolution with its residual, and the norm of the sum."""

    def __init__(self, conv: nn.Conv2d, norm: nn.LayerNorm) -> None:
        super().__init__()
        weight = conv.weight.detach().clone()
        weight[:, :, 1, 1] += 1
        self.weight, self.bias, self.norm = nn.Parameter(weight, requires_grad=False), conv.bias, norm

    def forward(self, edged: Tensor) -> tuple[Tensor, Tensor]:
        """Rows with one more above and below `[1 + rows + 1, width, channels]`: sum and norm, `[rows, width, channels]`."""
        total = F.conv2d(_as_image(edged), self.weight, self.bias, padding=(0, 1), groups=len(self.weight))
        rows = total[0].permute(1, 2, 0)
        return rows, self.norm(rows)


def _as_image(rows: Tensor) -> Tensor:
    """`[height, width, channels]` as `[1, channels, height, width]`."""
    return rows[None].permute(0, 3, 1, 2)


class _Windows(nn.Module):
    """Attention within windows of an image."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = _Dense.of(attention.qkv), _Dense.of(attention.proj)
        self.side: int = attention.window_size
        self.heads: int = attention.num_heads

    def forward(self, source: Tensor, target: Tensor, half: _Half, strips: Strips, scratch: Scratch) -> None:
        """Convolution, norm and attention of one map, strip by strip, into another; both with an edge."""
        for first, last in strips:
            total, normed = half(source[first : last + 2])
            found, onto = self._attended(normed, scratch), target[first + 1 : last + 1]
            down, side, across, _, channels = windowed = found.shape
            if (down * side, across * side) == total.shape[:2]:
                torch.add(total.view(windowed), found, out=onto.view(windowed))
            else:
                whole = found.reshape(down * side, across * side, channels)
                torch.add(total, whole[: len(total), : total.shape[1]], out=onto)

    def _attended(self, states: Tensor, scratch: Scratch) -> Tensor:
        """Attention within the windows of rows `[rows, width, channels]`: `[down, side, across, side, channels]`."""
        rows, width, channels = states.shape
        side = self.side
        down, across = -(-rows // side), -(-width // side)
        if (down * side, across * side) != (rows, width):
            states = F.pad(states, (0, 0, 0, across * side - width, 0, down * side - rows))
        windows = states.view(down, side, across, side, channels).transpose(1, 2).reshape(-1, channels)
        parts = self.qkv(windows, scratch).view(-1, side**2, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(-1, channels)
        back: Tensor = self.proj(found, scratch)
        return back.view(down, across, side, side, channels).transpose(1, 2)


class _Channels(nn.Module):
    """Attention between the channels of an image, within groups of them."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        weight, bias, width = attention.qkv.weight, attention.qkv.bias, attention.proj.in_features
        self.qk = _Dense(weight[: 2 * width], None if bias is None else bias[: 2 * width])
        self.value = _Dense(weight[2 * width :], None if bias is None else bias[2 * width :])
        self.proj = _Dense.of(attention.proj)
        self.groups: int = attention.groups

    def forward(self, source: Tensor, target: Tensor, half: _Half, strips: Strips, scratch: Scratch) -> None:
        """Convolution, norm and attention of one map into another, both with an edge.

        What channels have to do with each other is the sum of the strips' shares. Then values, attention and projection are one
        product.
        """
        height, width, channels = source.shape[0] - 2, *source.shape[1:]
        states = scratch.take("normed", height, width, channels)
        alike = source.new_zeros((self.groups, channels // self.groups, channels // self.groups))
        for first, last in strips:
            total, normed = half(source[first : last + 2])
            target[first + 1 : last + 1], states[first:last] = total, normed
            query, key = self.qk(normed.reshape(-1, channels), scratch).view(-1, 2, self.groups, alike.shape[-1]).unbind(1)
            alike.baddbmm_(query.permute(1, 2, 0), key.transpose(0, 1))
        weights = (alike * (height * width) ** -0.5).softmax(-1)
        parts = self.proj.weight.reshape(self.groups, -1, channels)
        mixed = (weights.transpose(1, 2) @ parts).view(channels, channels)
        bias, mixed = torch.addmv(self.proj.bias, mixed.t(), self.value.bias), self.value.weight @ mixed
        for first, last in strips:
            onto = target[first + 1 : last + 1].view(-1, channels)
            onto.add_(bias).addmm_(states[first:last].view(-1, channels), mixed)


class _Block(nn.Module):
    """A spatial or a channel block."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first, self.second = _Half(block.conv1, block.norm1), _Half(block.conv2, block.norm2)
        self.attention = _Windows(block.window_attn) if hasattr(block, "window_attn") else _Channels(block.channel_attn)
        self.fc1, self.fc2 = _Dense.of(block.ffn.fc1), _Dense.of(block.ffn.fc2)
        activation = block.ffn.activation_fn
        self._activation = torch.ops.aten.gelu_ if is_exact_gelu(activation) else activation

    def forward(self, states: Tensor, spare: Tensor, strips: Strips, scratch: Scratch) -> None:
        """Change a map with an edge in place, with another of its shape for what is in between."""
        self.attention(states, spare, self.first, strips, scratch)
        channels = states.shape[-1]
        for first, last in strips:
            total, normed = self.second(spare[first : last + 2])
            onto = torch.add(total, self.fc2.bias, out=states[first + 1 : last + 1]).view(-1, channels)
            onto.addmm_(self._activation(self.fc1(normed.reshape(-1, channels), scratch)), self.fc2.weight)


class _Stage(nn.Module):
    """A convolution to fewer positions and the blocks on them."""

    def __init__(self, conv: Any, layers: Any) -> None:
        super().__init__()
        self.conv, self.norm, self.norm_before = conv.conv, conv.norm, conv.pre_norm
        # as the kernels read it; otherwise every call turns it around
        self.conv.weight.data = self.conv.weight.data.contiguous(memory_format=torch.channels_last)
        self.blocks = nn.ModuleList(_Block(block) for layer in layers for block in (layer.spatial_block, layer.channel_block))
        self._side: int = layers[0].spatial_block.window_attn.window_size

    def forward(self, states: Tensor, scratch: Scratch) -> Tensor:
        """A map `[height, width, channels]` to the next, until the scratch memory is taken again."""
        if self.norm_before:
            states = self._normed(states, scratch.map("spare", *states.shape))
        states = self.conv(_as_image(states))[0].permute(1, 2, 0)
        height, width, channels = states.shape
        one, spare = (scratch.map(name, height, width, channels) for name in ("map", "spare"))
        if self.norm_before:
            one[1:-1] = states
        else:
            self._normed(states, one)
        strips = _strips(height, width, self._side)
        for block in self.blocks:
            block(one, spare, strips, scratch)
        return one[1:-1]

    def _normed(self, states: Tensor, edged: Tensor) -> Tensor:
        """The norm of a map, within the edge of another."""
        for first, last in _strips(*states.shape[:2]):
            edged[first + 1 : last + 1] = self.norm(states[first:last])
        return edged[1:-1]


class Tower(nn.Module):
    """A vision tower in place of transformers' own; several threads may use it at once."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_Stage(conv, layers) for conv, layers in zip(tower.convs, tower.blocks, strict=True))
        self._free: deque[Scratch] = deque()

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> BaseModelOutputWithPooling:
        """Preprocessed images `[batch, 3, height, width]` as maps `[batch, channels, height, width]`."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        found = torch.stack([self._encoded(image, scratch).clone() for image in pixels])
        self._free.append(scratch)
        return BaseModelOutputWithPooling(last_hidden_state=found.permute(0, 3, 1, 2))

    def _encoded(self, image: Tensor, scratch: Scratch) -> Tensor:
        states = image.permute(1, 2, 0).contiguous()
        for stage in self.stages:
            states = stage(states, scratch)
        return states


def lighten(model: Any, size: tuple[int, int]) -> None:
    """Replace the vision tower of a `Florence2Model` on a CPU, for images of this height and width.

    The tower stays as it is for small images, which it reads faster together than strips do alone, and where it is of another
    type than float32: one more in the middle of a kernel would not be exact enough.
    """
    if math.prod(size) >= SMALLEST and model.dtype is torch.float32 and not isinstance(model.vision_tower, Tower):
        model.vision_tower = Tower(model.vision_tower)
