"""A linear layer in int8 on a CPU, for ``benchmarks/int8_blocks.py``.

Weights are rounded once, symmetrically, with a scale for each output channel. Activations are rounded where
they come in, with a scale and a zero point for all of them ("tensor"), or a scale for each row, which is a
token ("rows"): then no result depends on what else is in the batch. Sums are exact, in 32-bit integers. The
operators are those of PyTorch's compiler. Their activations are unsigned here, a row's zero at 128: signed
ones run in oneDNN's reference code, hundreds of times slower.

Axis letters: I inputs, O outputs.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-12
ZERO = 128
"""The zero point of activations with a scale a row, whose codes are 1 to 255."""


class Int8Linear:
    """A layer (..., I) to (..., O) in the dtype of its input; it takes the place of ``PackedLinear``."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool = False, rows: bool = True) -> None:
        with torch.inference_mode(False), torch.no_grad():
            codes, self.scale = quantised_weight(weight.detach().clone())
            self.weight = torch.ops.onednn.qlinear_prepack(codes, None)
            self.bias = bias.detach().float().clone()
        self.zeros = torch.zeros(len(codes), dtype=torch.int32)
        self.gelu, self.rows = gelu, rows
        self.one, self.middle = torch.ones(()), torch.tensor(ZERO, dtype=torch.int32)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        if not self.rows:
            codes, scale, zero = quantised_tensor(x)
            return self.product(codes, scale, zero, self.bias, x.dtype, self.gelu)
        codes, scale = quantised_rows(x)
        out = self.product(codes, self.one, self.middle, None, torch.float32, False)
        out = torch.add(out.mul_(scale), self.bias, out=torch.empty_like(out, dtype=x.dtype))
        return F.gelu(out, approximate="tanh") if self.gelu else out

    def product(
        self, codes: Tensor, scale: Tensor, zero: Tensor, bias: Tensor | None, dtype: torch.dtype, gelu: bool
    ) -> Tensor:
        """The product (..., O) of rounded activations (..., I), times both scales."""
        name, form = ("gelu", "tanh") if gelu else ("none", "")
        out: Tensor = torch.ops.onednn.qlinear_pointwise.tensor(
            codes, scale, zero, self.weight, self.scale, self.zeros, bias, 1.0, 0, dtype, name, [], form
        )
        return out


def quantised_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (O, I), int8, and scales (O,), whose product is nearly the weight (O, I)."""
    weight = weight.float()
    scale = weight.abs().amax(dim=1).clamp_min(TINY) / 127  # O
    return (weight / scale[:, None]).round().to(torch.int8), scale


def quantised_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (..., I), uint8 around 128, and scales (..., 1) of activations (..., I)."""
    x = x.float()
    largest = torch.maximum(x.amax(dim=-1, keepdim=True), x.amin(dim=-1, keepdim=True).neg_())  # ... 1
    scale = largest.clamp_min_(TINY) / 127
    return unsigned((x * (1 / scale)).round_()), scale


def quantised_tensor(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (..., I), uint8, with one scale () and one zero point (), of activations (..., I)."""
    x = x.float()
    low, high = x.amin().clamp_max_(0), x.amax().clamp_min_(0)
    scale = (high - low).clamp_min_(TINY) / 255
    zero = (-low / scale).round_()
    codes = (x * (1 / scale)).add_(zero - ZERO).round_().clamp_(-128, 127)
    return unsigned(codes), scale, zero.to(torch.int32)


def unsigned(codes: Tensor) -> Tensor:
    """Whole numbers from -128 to 127, float32, plus 128 as uint8: casts to int8 are four times as fast."""
    return codes.to(torch.int8).view(torch.uint8).bitwise_xor_(ZERO)


def by_definition(weight: Tensor, bias: Tensor, x: Tensor, gelu: bool, rows: bool) -> Tensor:
    """What the layer computes, in float64."""
    codes, scale = quantised_weight(weight)
    if rows:
        inner, factor = quantised_rows(x)
        x = (inner.double() - ZERO) * factor
    else:
        inner, factor, zero = quantised_tensor(x)
        x = (inner.double() - zero) * factor
    out = F.linear(x, codes.double() * scale[:, None], bias.double())
    return F.gelu(out, approximate="tanh") if gelu else out


def error(weight: Tensor, bias: Tensor, x: Tensor, gelu: bool, rows: bool) -> float:
    """How far the layer is from its definition, in spreads of the latter."""
    wanted = by_definition(weight, bias, x, gelu, rows)
    return float((Int8Linear(weight, bias, gelu, rows)(x) - wanted).abs().max() / wanted.std())


@cache
def int8_works() -> bool:
    """Whether this PyTorch on this CPU has the operators, and sums that do not saturate as on older ones."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((3, 64), (16, 64), (16,)))
    try:
        return max(error(weight, bias, x, True, rows) for rows in (True, False)) < 1e-3
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
