"""The layers of the FID Inception, before and after folding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.backbones.weights import load_strict
from tts.evaluation.inception_network import InceptionNetwork, Unit, pooled
from tts.evaluation.inception_weights import load_network

Error = Callable[[Tensor, Tensor], float]

SMALL = 75
"""The smallest side with which every layer has something left: each is a convolution or a pool."""


@pytest.fixture(scope="module")
def state(synthetic_state: Callable[[str], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The published names with synthetic values."""
    return synthetic_state("inception")


@pytest.fixture(scope="module")
def plain(state: dict[str, Tensor]) -> InceptionNetwork:
    """The network as published, each normalisation a step of its own, in float64."""
    kept = {key: value.double() for key, value in state.items() if "num_batches" not in key}
    with torch.device("meta"):
        network = InceptionNetwork()
    return load_strict(network, kept, "test")


@pytest.fixture(scope="module")
def folded(inception_file: Path) -> InceptionNetwork:
    return load_network(inception_file)


def stages(network: InceptionNetwork, images: Tensor) -> dict[str, Tensor]:
    """What every stage makes of images (N, 3, S, S)."""
    first = network.first_pool(images)
    second = network.second_pool(first)
    mixed_6d = network.mixed_6d(second)
    mixed_6e = network.mixed_6e(mixed_6d)
    mixed_7c = network.mixed_7c(mixed_6e)
    logits = network.logits(pooled(mixed_7c))
    return {"64": first, "192": second, "6d": mixed_6d, "6e": mixed_6e, "7c": mixed_7c, "logits": logits}


def test_the_published_names_are_the_parameters_names(state: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        ours = {key: value.shape for key, value in InceptionNetwork().state_dict().items()}
    assert ours == {key: value.shape for key, value in state.items() if "num_batches" not in key}


def test_folding_changes_nothing_but_rounding(
    plain: InceptionNetwork, folded: InceptionNetwork, error: Error, rounding: Any
) -> None:
    images = torch.rand(2, 3, SMALL, SMALL, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        wanted = stages(plain, images.double())
        for name, maps in stages(folded, images).items():
            assert maps.dtype == torch.float32
            assert error(maps.double(), wanted[name]) < rounding(2048, 48), (
                name
            )  # a layer in the longest path has so many channels


def test_folded_parameters_are_the_exact_ones_rounded_once(
    state: dict[str, Tensor], folded: InceptionNetwork
) -> None:
    unit, key = folded.Mixed_7c.branch3x3_2a, "Mixed_7c.branch3x3_2a"
    norm = {
        name: state[f"{key}.bn.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
    }
    scale = norm["weight"] / torch.sqrt(norm["running_var"] + 1e-3)
    weight = state[f"{key}.conv.weight"].double() * scale.reshape(-1, 1, 1, 1)
    assert torch.equal(unit.conv.weight, weight.float())
    assert torch.equal(unit.conv.bias, (norm["bias"] - norm["running_mean"] * scale).float())


def test_folding_twice_is_folding_once() -> None:
    unit = Unit(3, 4, 3)
    unit.fold()
    once = {key: value.clone() for key, value in unit.state_dict().items()}
    unit.fold()
    assert once.keys() == unit.state_dict().keys() == {"conv.weight", "conv.bias"}
    for key, value in unit.state_dict().items():
        assert torch.equal(value, once[key])


def test_nothing_wants_gradients(folded: InceptionNetwork) -> None:
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert not folded.training


def test_padding_does_not_count_in_average_pools(
    folded: InceptionNetwork, error: Error, rounding: Any
) -> None:
    """A constant map stays constant up to the border in the pool's branch: here its last 192 channels."""
    with torch.inference_mode():
        maps = folded.Mixed_6e(torch.ones(1, 768, 5, 5))[:, -192:]
    assert error(maps, maps[:, :, 2:3, 2:3].expand_as(maps)) < rounding(768, 2)  # products, and the mean
