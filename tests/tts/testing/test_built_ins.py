"""Everything that the toolkit provides keeps the contracts that plugins must keep."""

from __future__ import annotations

import pytest
import torch

from tts.interfaces import Backbone
from tts.manager import get_plugins
from tts.resolve import build_backbone, build_features, build_image_scorer, build_scorer, build_selector
from tts.specs import load_attribute
from tts.strategies.choose import build_strategy
from tts.testing import (
    FakeImageScorer,
    FakeScorer,
    ToyBackbone,
    check_backbone,
    check_features,
    check_image_scorer,
    check_loss,
    check_scorer,
    check_selector,
    check_strategy,
)

CPU = torch.device("cpu")
DIGITS = ("var-digits", "flexvar-digits")


def digits(name: str) -> Backbone:
    return build_backbone(name, (), CPU, torch.float32)[1]


@pytest.mark.parametrize("name", DIGITS)
def test_backbones(name: str) -> None:
    check_backbone(digits(name))


@pytest.mark.parametrize("name", DIGITS)
def test_fast_backbones(name: str) -> None:
    backbone = digits(name)
    check_backbone(backbone.fast())  # type: ignore[attr-defined]


def test_a_backbone_in_half_precision() -> None:
    backbone = build_backbone("var-digits", (), CPU, torch.bfloat16)[1]
    check_backbone(backbone, tolerance=0.05)


def test_the_toy_backbone() -> None:
    check_backbone(ToyBackbone())
    check_backbone(ToyBackbone(), cfg=2.0, tolerance=0.0)


def test_another_toy_backbone() -> None:
    check_backbone(ToyBackbone((1, 3), 5, 1, (False, True), "small"))


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("scorer", ["learned", "likelihood", "preview:digits"])
def test_scorers(name: str, scorer: str) -> None:
    spec, backbone = build_backbone(name, (), CPU, torch.float32)
    built = build_scorer(scorer, spec, backbone, CPU)
    assert built is not None
    check_scorer(built, backbone)


def test_the_fake_scorers() -> None:
    check_scorer(FakeScorer())
    check_image_scorer(FakeImageScorer())


@pytest.mark.parametrize("name", get_plugins().selectors.names())
def test_selectors(name: str) -> None:
    check_selector(build_selector(name, 8, 1.0))


@pytest.mark.parametrize(
    "name", [*get_plugins().strategies.names(), "beam:2,prune=3-", "particles:strength=2,final=best"]
)
def test_strategies(name: str) -> None:
    check_strategy(build_strategy(name))


@pytest.mark.parametrize("name", ["lsrs", "beam"])
def test_strategies_with_a_real_model(name: str) -> None:
    check_strategy(build_strategy(name), digits("var-digits"))


def test_image_scorers() -> None:
    check_image_scorer(build_image_scorer("digits", digits("var-digits").info, CPU))


@pytest.mark.parametrize("name", get_plugins().losses.names())
def test_losses(name: str) -> None:
    check_loss(load_attribute(get_plugins().losses.get(name).target))


def test_features() -> None:
    check_features(build_features("digits", CPU))
