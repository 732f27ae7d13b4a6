"""Linear layers in the form that is fastest where they run.

On a CPU the weights are packed once for oneDNN, which uses the vector units of all makers; the library behind
``F.linear`` in float32 does not. Elsewhere a layer is what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[..., Linear]


def fast_linear(weight: Tensor, bias: Tensor, gelu: bool = False) -> Linear:
    """A layer (..., I) to (..., O) of a weight (O, I) and a bias (O,); ``gelu`` adds its tanh form."""
    if weight.device.type == "cpu" and packing_works(weight.dtype):
        return PackedLinear(weight, bias, gelu)
    return PlainLinear(weight, bias, gelu)


class PlainLinear:
    """The layer as PyTorch has it."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight, bias, gelu

    def __call__(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        h = F.linear(x, self.weight, self.bias)
        return F.gelu(h, approximate="tanh") if self.gelu else h


class PackedLinear:
    """The layer in oneDNN's own format. The operators are those of PyTorch's compiler."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool = False) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().clone())
        self.bias = bias
        self.activation = "gelu" if gelu else "none"

    def __call__(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], "tanh" if self.activation == "gelu" else ""
        )
        return out


@cache
def packing_works(dtype: torch.dtype) -> bool:
    """Whether this PyTorch on this CPU has packed layers of a dtype, and they compute what they should."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = (torch.linspace(-1, 1, n).to(dtype) for n in (3 * 64, 16 * 64, 16))
    x, weight = x.view(3, 64), weight.view(16, 64)
    try:
        packed = PackedLinear(weight, bias, True)(x)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return torch.allclose(packed, PlainLinear(weight, bias, True)(x), atol=0.05, rtol=0.05)
