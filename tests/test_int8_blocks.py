"""The int8 layers of ``benchmarks/int8_blocks.py``, and the comparison that it makes with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tts.resolve import build_backbone

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CPU = torch.device("cpu")
NAMES = (
    "against_eager",
    "digits_quality",
    "eager",
    "int8_blocks",
    "int8_linear",
    "int8_quality",
    "reference",
)


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """The folder of the scripts is on the path; skips where a CPU has no such layers."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from int8_linear import int8_works

    if not int8_works():
        pytest.skip("this PyTorch has no exact int8 layers on this CPU")
    yield
    for name in NAMES:
        sys.modules.pop(name, None)


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 5, 96), (80, 96), (80,))
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x, weight / 96**0.5, bias


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "tensor"])
@pytest.mark.parametrize("gelu", [True, False])
def test_an_int8_layer_is_near_the_float_one_and_computes_its_definition(rows, gelu):
    from int8_linear import Int8Linear, error

    x, weight, bias = weights()
    wanted = F.linear(x, weight, bias)
    wanted = F.gelu(wanted, approximate="tanh") if gelu else wanted
    found = Int8Linear(weight, bias, gelu, rows)(x)
    assert found.shape == wanted.shape
    assert (found - wanted).std() < 0.02 * wanted.std()  # 8 bits of the largest: 0.3 % of a spread or more
    assert error(weight, bias, x, gelu, rows) < 1e-5


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "tensor"])
def test_an_int8_layer_takes_bfloat16_and_zeros(rows):
    from int8_linear import Int8Linear

    x, weight, bias = (value.bfloat16() for value in weights())
    layer = Int8Linear(weight, bias, rows=rows)
    assert layer(x).dtype == torch.bfloat16
    torch.testing.assert_close(layer(torch.zeros_like(x)), bias.expand(2, 5, -1))


def test_with_a_scale_each_row_no_row_depends_on_others():
    from int8_linear import Int8Linear

    x, weight, bias = weights()
    layer, loud = Int8Linear(weight, bias), x.clone()
    loud[1] *= 100
    assert torch.equal(layer(x)[0], layer(loud)[0])
    whole = Int8Linear(weight, bias, rows=False)
    assert not torch.equal(whole(x)[0], whole(loud)[0])


def test_int8_blocks_change_a_trained_model_little_and_the_same_blocks_do_not_change_it():
    from int8_blocks import trained_arms
    from int8_quality import Comparison, Prefixes

    backbone = build_backbone("var-digits", (), CPU, torch.float32)[1]
    arms, prefixes = trained_arms("var-digits"), Prefixes.sampled(backbone, 4)
    found = Comparison({**arms, "again": arms["float32"]}, None, prefixes).figures()
    assert found.keys() == arms.keys() - {"float32"} | {"again"}
    assert not any(found["again"].values())
    for name in ("int8 rows", "int8 tensor"):
        assert found["bfloat16"]["kl_divergence"] < found[name]["kl_divergence"] < 1e-3
