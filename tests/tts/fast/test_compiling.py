"""Compiled parts compute what the others do."""

from __future__ import annotations

import shutil

import pytest
import torch

from tts.building import Model, build_model
from tts.fast import compiling
from tts.fast.linear import PlainLinear
from tts.resolve import build_backbone
from tts.sample_config import SampleConfig

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch.compile itself

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


def test_auto_compiles_on_a_gpu_with_triton(monkeypatch):
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    assert not compiling.worth_compiling(torch.device("cuda"))
    monkeypatch.setattr(compiling, "find_spec", lambda name: object())
    assert compiling.worth_compiling(torch.device("cuda"))
    assert not compiling.worth_compiling(CPU)


def test_a_form_is_built_once_and_the_exact_sampler_has_the_backbone_itself():
    model: Model = build_model(SampleConfig())
    assert model.form("exact") is model.backbone
    assert model.form("exact", True) is model.backbone
    fast = model.form("fast")
    assert fast is model.form("fast", False)
    assert fast is not model.form("fast", True)


def test_compiled_blocks_have_plain_layers():
    backbone = build_backbone("var-digits", (), CPU, torch.float32)[1].fast(True)
    assert isinstance(backbone.engine.blocks[0].fc1, PlainLinear)


def test_a_product_is_written_where_it_belongs():
    memory, x, factor = torch.zeros(2, 6, 4), torch.randn(2, 3, 4), torch.randn(3, 1)
    compiling.product(x, factor, memory[:, 1:4])
    assert torch.equal(memory[:, 1:4], x * factor)
    assert not memory[:, 4:].any()
    half = torch.empty(2, 3, 4, dtype=torch.bfloat16)
    assert torch.equal(compiling.product(x, factor, half), (x * factor).bfloat16())


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@torch.inference_mode()
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
def test_compiled_logits_and_images_are_the_same(name, assert_same_model):
    exact = build_backbone(name, (), CPU, torch.float32)[1]
    assert_same_model(exact, exact.fast(True), torch.tensor([3, 7]), 1.5)
