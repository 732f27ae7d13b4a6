"""The fused network against the one it is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.scorers.fused import FlatConv, FusedNetwork, MatrixConv, RowsConv, flat_conv
from tts.scorers.network import ScorerConfig, ScorerNetwork, default_config

CONFIGS = {
    "published": ScorerConfig(),
    "digits": default_config(16, 4, 10, 4),
    "plain shortcut": replace(default_config(32, 4, 10, 4), strides=(1, 1)),
    "odd side": default_config(8, 9, 5, 3),
}


@pytest.fixture(params=CONFIGS)
def network(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ScorerNetwork(CONFIGS[request.param]).eval()
        for parameter in network.parameters():  # norms are not trivial in trained networks
            parameter.data += 0.05 * torch.randn_like(parameter)
    return network


def expected(network, maps, labels, row):
    batch, count = maps.shape[:2]
    rows = labels.repeat_interleave(count)
    return network(maps.flatten(0, 1), rows, torch.full_like(rows, row)).unflatten(0, (batch, count))


@torch.inference_mode()
@pytest.mark.parametrize("with_latent", [True, False])
def test_scores_are_those_of_the_network(network, with_latent):
    config, generator = network.config, torch.Generator().manual_seed(1)
    shape = (config.channels, config.grid, config.grid)
    latent = torch.randn(3, *shape, generator=generator) if with_latent else None
    increments = torch.randn(3, 5, *shape, generator=generator)
    labels = torch.tensor([0, 3, 2])
    maps = increments if latent is None else latent[:, None] + increments
    fused = FusedNetwork(network)
    for row in range(config.scales):
        torch.testing.assert_close(
            fused(latent, increments, labels, row),
            expected(network, maps, labels, row),
            rtol=1e-4,
            atol=1e-4,
        )


@torch.inference_mode()
def test_winners_are_the_same(network):
    config, generator = network.config, torch.Generator().manual_seed(2)
    shape = (config.channels, config.grid, config.grid)
    latent = torch.randn(8, *shape, generator=generator)
    increments = torch.randn(8, 32, *shape, generator=generator)
    labels = torch.arange(8) % config.classes
    scores = FusedNetwork(network)(latent, increments, labels, 1)
    exact = expected(network, latent[:, None] + increments, labels, 1)
    assert torch.equal(scores.argmax(dim=1), exact.argmax(dim=1))


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "form"),
    [
        (1, 3, 1, MatrixConv),
        (2, 3, 1, MatrixConv),
        (2, 3, 2, MatrixConv),
        (3, 3, 1, FlatConv),
        (2, 1, 1, FlatConv),
        (4, 3, 1, RowsConv),
        (4, 3, 2, FlatConv),
        (4, 1, 1, FlatConv),
        (8, 3, 1, FlatConv),
    ],
)
def test_convolutions_of_small_maps_take_the_form_of_fewest_products(
    side, kernel, stride, form, error, rounding
):
    conv = torch.nn.Conv2d(3, 4, kernel, stride=stride, padding=kernel // 2, bias=False)
    flat = flat_conv(conv.weight.detach(), stride, side, torch.float32)
    assert type(flat) is form
    maps = torch.randn(5, 3, side, side)
    assert error(flat(maps.flatten(1)), conv(maps).detach().flatten(1)) < rounding(27)


@torch.inference_mode()
def test_half_precision_loses_no_more_by_winograd():
    kernel, maps = torch.randn(64, 64, 3, 3) / 24, torch.randn(50, 64, 4, 4)
    wanted = torch.nn.functional.conv2d(maps, kernel, padding=1).flatten(1)
    half = kernel.bfloat16(), maps.bfloat16().flatten(1)
    forms = FlatConv(half[0], 1, 4), RowsConv(half[0])
    errors = [float((form(half[1]).float() - wanted).abs().mean()) for form in forms]
    assert errors[1] < 2.5 * errors[0]


@torch.inference_mode()
def test_the_latent_is_convolved_once_an_image(monkeypatch):
    rows = []
    call = FlatConv.__call__
    monkeypatch.setattr(FlatConv, "__call__", lambda self, flat: rows.append(len(flat)) or call(self, flat))
    fused = FusedNetwork(ScorerNetwork(ScorerConfig()).eval())
    rows.clear()
    fused(torch.randn(2, 32, 16, 16), torch.randn(2, 7, 32, 16, 16), torch.tensor([1, 2]), 3)
    assert sorted(set(rows)) == [2, 14]
    assert rows.count(2) == 2  # the first convolution and the shortcut's
