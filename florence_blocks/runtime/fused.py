"""Linear layers as one oneDNN product each, on a CPU.

torch's own float32 path copies the bias into the result, has another library add the product, and applies GELU in a pass of
its own. oneDNN does all three in one pass, the way torch's compiler lowers such layers; its GELU is slower than torch's where
there is much of it, so that long results get torch's, in place. Larger weights are laid out once as oneDNN reads them, in place
of the plain layout: the batched decode steps take 0.7 times as long again. Results differ from torch's in the last bits, as
those of two BLAS libraries do.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL: Final = 2**20
"""Multiplications up to which torch's own path is at least as fast: it uses one thread where oneDNN wakes all of them."""

SMALL_WEIGHT: Final = 2**17
"""Elements up to which a weight stays as it is, for the torch path to read."""


MUCH: Final = 2**17
"""Results from which torch's GELU, in a pass of its own, is faster than oneDNN's."""

_NOTHING: Final[tuple[str, list[float], str]] = ("none", [], "")
_GELU: Final[tuple[str, list[float], str]] = ("gelu", [], "none")


class FusedLinear(nn.Module):
    """A linear layer, with an exact GELU behind it or without.

    Attributes:
        weight: `[out, in]`: shared with the layer it was made of, or, if it is large, a copy laid out for oneDNN.
        bias: `[out]`, or None.
        gelu: whether GELU follows.
    """

    bias: nn.Parameter | None

    def __init__(self, layer: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        self.inputs, self.outputs = layer.in_features, layer.out_features
        self.plain = layer.weight.numel() <= SMALL_WEIGHT
        packed = layer.weight if self.plain else torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self.weight = layer.weight if self.plain else nn.Parameter(packed, requires_grad=False)
        self.register_parameter("bias", layer.bias)
        self.gelu = gelu
        self._product: Any = torch.ops.mkldnn._linear_pointwise

    def forward(self, states: Tensor) -> Tensor:
        """`[..., in]` as `[..., out]`."""
        if self.plain and states.numel() * self.outputs <= SMALL:
            plain = F.linear(states, self.weight, self.bias)
            return F.gelu(plain) if self.gelu else plain
        fused = self.gelu and states.numel() // self.inputs * self.outputs < MUCH
        product: Tensor = self._product(states, self.weight, self.bias, *(_GELU if fused else _NOTHING))
        return torch.ops.aten.gelu_(product) if self.gelu and not fused else product


def available(dtype: torch.dtype) -> bool:
    """Whether this torch has the product, and this processor the instructions for it in a precision."""
    if not torch.backends.mkldnn.is_available() or not all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    ):
        return False
    asked = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}.get(dtype)
    return dtype is torch.float32 or (asked is not None and bool(getattr(torch.ops.mkldnn, asked)()))


def fuse(model: nn.Module) -> None:
    """Replace the linear layers of a model on a CPU; `fc1` takes the GELU of its parent with it."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and available(layer.weight.dtype):
                activation = getattr(parent, "activation_fn", None)
                gelu = name == "fc1" and is_exact_gelu(activation)
                setattr(parent, name, FusedLinear(layer, gelu=gelu))
                if gelu:
                    parent.activation_fn = nn.Identity()


def is_exact_gelu(activation: object) -> bool:
    """Whether an activation is GELU by the error function, not an approximation of it."""
    return type(activation).__name__ == "GELUActivation" and getattr(activation, "act", None) is F.gelu
