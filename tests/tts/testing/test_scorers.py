"""Scorers and image scorers that break their contract, each in one way."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.interfaces import Proposals
from tts.testing import (
    FakeImageScorer,
    FakeScorer,
    ToyBackbone,
    check_image_scorer,
    check_scorer,
    proposals_of,
)
from tts.testing.fakes import weighted_map, weighted_pixels

Broken = Callable[..., AbstractContextManager[None]]


def mutates_maps(proposals: Proposals) -> Tensor:
    proposals.maps.add_(1)
    return weighted_map(proposals)


def mutates_previews(proposals: Proposals) -> Tensor:
    proposals.previews().mul_(0.5)
    return weighted_map(proposals)


def ranks(proposals: Proposals) -> Tensor:
    scores = weighted_map(proposals)
    return scores - scores.mean(dim=1, keepdim=True)


def of_the_batch(proposals: Proposals) -> Tensor:
    scores = weighted_map(proposals)
    return scores - scores.mean(dim=0)


def of_the_position(proposals: Proposals) -> Tensor:
    return weighted_map(proposals) + torch.arange(proposals.tokens.shape[1])


def numpy_chance(proposals: Proposals) -> Tensor:
    return weighted_map(proposals) + np.random.rand()  # noqa: NPY002


def python_chance(proposals: Proposals) -> Tensor:
    return weighted_map(proposals) + random.random()


def hidden_chance(proposals: Proposals) -> Tensor:
    state = torch.get_rng_state()
    noise = torch.rand(())
    torch.set_rng_state(state)
    return weighted_map(proposals) + noise


RULES: dict[Callable[[Proposals], Any], tuple[str, ...]] = {
    mutates_maps: ("score must not change its arguments", "it changed maps"),
    mutates_previews: ("score must not change its arguments", "it changed previews"),
    ranks: ("a candidate's score must not depend on the others", "scores at scale 1 differs"),
    of_the_batch: ("must not depend on the rest of the batch",),
    of_the_position: ("a candidate's score must not depend on the others",),
    lambda p: weighted_map(p)[:, 0]: ("floating-point tensor of shape (3, 5)", "shape (3,)"),
    lambda p: weighted_map(p).long(): ("must be a floating-point tensor", "got int64"),
    lambda p: weighted_map(p) / 0: ("scores at scale 1 must be",),
    lambda p: weighted_map(p).tolist(): ("must be a floating-point tensor", "got list"),
    lambda p: weighted_map(p) + torch.rand(()): ("the state of torch changed",),
    numpy_chance: ("the state of numpy.random changed",),
    python_chance: ("the state of random changed",),
    hidden_chance: ("must get the same scores each time, whatever the global seed is",),
    lambda p: p.maps.view(1): ("must take candidates of every scale", "raised RuntimeError"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_scorer_is_found(rule: Callable[[Proposals], Any], broken: Broken) -> None:
    with broken("scorer mine", *RULES[rule], "Scorer and Proposals in tts/interfaces.py"):
        check_scorer(FakeScorer(rule, "mine"))


class WithParts(FakeScorer):
    """A scorer with further attributes."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        vars(self).update(parts)


PARTS: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name must be text"),
    ({"describe": lambda: {"file": {1, 2}}}, "describe() must give a dict that can be written as JSON"),
    ({"describe": lambda: "mine"}, "got str"),
    ({"fast": lambda dtype, compile_parts: FakeScorer(ranks)}, "fast(dtype, compile_parts) must give"),
    ({"fast": lambda: FakeScorer()}, "raised TypeError"),
]


@pytest.mark.parametrize(("parts", "words"), PARTS)
def test_broken_extras_are_found(parts: dict[str, Any], words: str, broken: Broken) -> None:
    with broken("scorer ", words):
        check_scorer(WithParts(**parts))


def test_good_extras_pass() -> None:
    check_scorer(WithParts(describe=lambda: {"a": 1}, fast=lambda dtype, compile_parts: FakeScorer()))


def test_proposals_are_those_of_the_plain_model() -> None:
    toy = ToyBackbone()
    proposals = proposals_of(toy, 2, labels=(4, 4, 9), candidates=6, seeds=(1, 1, 5))
    assert proposals.tokens.shape == (3, 6, 9)
    assert proposals.maps.shape == (3, 6, 3, 4, 4)
    assert proposals.previews().shape == (3, 6, 3, 16, 16)
    assert torch.equal(proposals.tokens[0], proposals.tokens[1])
    more = proposals_of(toy, 2, labels=(4,), candidates=8, seeds=(1,))
    assert torch.equal(more.maps[0, :6], proposals.maps[0])
    assert bool((proposals.log_probs < 0).all())


def mutates(images: Tensor, labels: Tensor) -> Tensor:
    images.neg_()
    return weighted_pixels(images, labels)


IMAGE_RULES: dict[Callable[[Tensor, Tensor], Any], str] = {
    mutates: "score must not change its arguments; it changed images",
    lambda images, labels: weighted_pixels(images, labels)[:, None]: "tensor of shape (5,)",
    lambda images, labels: weighted_pixels(images, labels).log() * torch.inf: "must be",
    lambda images, labels: weighted_pixels(images, labels) - images.mean(): "the rest of the batch",
    lambda images, labels: weighted_pixels(images, labels) + torch.rand(5): "global random generator",
    lambda images, labels: images[100]: "raised IndexError",
}


@pytest.mark.parametrize("rule", IMAGE_RULES)
def test_a_broken_image_scorer_is_found(rule: Callable[[Tensor, Tensor], Any], broken: Broken) -> None:
    with broken("image scorer mine", IMAGE_RULES[rule], "ImageScorer in tts/interfaces.py"):
        check_image_scorer(FakeImageScorer(rule, "mine"))
