"""Compiled parts compute what the others do."""

from __future__ import annotations

import shutil

import pytest
import torch

from tts.building import Model, build_generator, build_model
from tts.fast import compiling
from tts.fast.linear import PlainLinear
from tts.noise import mixed, token_uniforms
from tts.noise_streams import Stream
from tts.resolve import build_backbone
from tts.sample_config import SampleConfig
from tts.scorers.fused import FusedNetwork
from tts.scorers.network import ScorerConfig, ScorerNetwork
from tts.search import search

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


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@torch.inference_mode()
def test_compiled_noise_is_the_same_to_the_last_bit():
    torch.compiler.reset()
    for batch, candidates, positions in ((3, range(5, 12), 36), (1, range(1), 1), (2, range(4), 9)):
        seeds = torch.tensor([2**63 - 1, 0, 12345])[:batch]
        plain, mix = (
            token_uniforms(seeds, Stream.SAMPLE, 3, candidates, positions, mix)
            for mix in (mixed, compiling.compiled_mix())
        )
        assert torch.equal(plain, mix)


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@torch.inference_mode()
def test_a_compiled_scorer_gives_the_same_scores():
    torch.manual_seed(0)
    network = ScorerNetwork(ScorerConfig()).eval()
    labels = torch.tensor([3, 7])
    plain, fused = (FusedNetwork(network, compile_blocks=compiled) for compiled in (False, True))
    latent, increments = torch.randn(2, 32, 16, 16), torch.randn(2, 3, 32, 16, 16)
    for given in (latent, None):
        wanted = plain(given, increments, labels, 4)
        torch.testing.assert_close(fused(given, increments, labels, 4), wanted, atol=1e-4, rtol=1e-4)


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_run_draws_the_tokens_of_one_that_is_not():
    generators = [
        build_generator(SampleConfig(sampler="fast", compile_parts=parts, candidates="3"))
        for parts in (False, True)
    ]
    assert [generator.settings.compiled for generator in generators] == [False, True]
    labels = torch.tensor([3, 7])
    plain, fused = (
        search(made.backbone, made.scorer, made.selector, made.settings, labels, labels)
        for made in generators
    )
    assert torch.equal(plain.tokens, fused.tokens)
