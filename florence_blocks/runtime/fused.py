"""Linear layers as one oneDNN product each, on a CPU.

torch's own float32 path copies the bias into the result, has another library add the product, and applies GELU in a pass of
its own. oneDNN does all three in one pass, the way torch's compiler lowers such layers; at the base layout that is 1.2 to 2
times as fast, for one row as for thousands. Larger weights are laid out once as oneDNN reads them, in place of the plain
layout: the batched decode steps take 0.7 times as long again. Results differ from torch's in the last bits, as those of two
BLAS libraries do.
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
        self.plain = layer.weight.numel() <= SMALL_WEIGHT
        packed = layer.weight if self.plain else torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self.weight = layer.weight if self.plain else nn.Parameter(packed, requires_grad=False)
        self.register_parameter("bias", layer.bias)
        self.gelu = gelu
        self._product: Any = torch.ops.mkldnn._linear_pointwise
        self._extra: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")

    def forward(self, states: Tensor, onto: Tensor | None = None) -> Tensor:
        """`[..., in]` as `[..., out]`, added to `onto` `[..., out]` if given (of a layer without GELU)."""
        if self.plain and states.numel() * self.weight.shape[0] <= SMALL:
            plain = F.linear(states, self.weight, self.bias)
            return F.gelu(plain) if self.gelu else plain if onto is None else plain + onto
        product: Tensor
        if onto is None:
            product = self._product(states, self.weight, self.bias, *self._extra)
        else:
            product = self._product.binary(states, onto, self.weight, self.bias, "add")
        return product


def available() -> bool:
    """Whether this torch has the product."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )


def fuse(model: nn.Module) -> None:
    """Replace the linear layers of a model on a CPU; `fc1` takes the GELU of its parent with it."""
    if not available():
        return
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                activation = getattr(parent, "activation_fn", None)
                gelu = name == "fc1" and _is_exact_gelu(activation)
                setattr(parent, name, FusedLinear(layer, gelu=gelu))
                if gelu:
                    parent.activation_fn = nn.Identity()


def _is_exact_gelu(activation: object) -> bool:
    """Whether an activation is GELU by the error function, not an approximation of it."""
    return type(activation).__name__ == "GELUActivation" and getattr(activation, "act", None) is F.gelu
