"""Losses and feature extractors that break their contract, each in one way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.evaluation.features import Features, check_images
from tts.scorers.losses import pairwise
from tts.testing import check_features, check_loss

Broken = Callable[..., AbstractContextManager[None]]


def turned(real: Tensor, generated: Tensor) -> Tensor:
    return pairwise(generated, real)


def overflows(real: Tensor, generated: Tensor) -> Tensor:
    return (1 + (generated - real).exp()).log().mean()


def mutates(real: Tensor, generated: Tensor) -> Tensor:
    real.data.zero_()
    return pairwise(real, generated)


LOSSES: dict[Callable[[Tensor, Tensor], Any], str] = {
    turned: "a loss must be lower where real scores stand higher above generated ones",
    overflows: "the loss must be finite",
    mutates: "a loss must not change its arguments; it changed real",
    lambda real, generated: (generated - real).exp(): "tensor of shape ()",
    lambda real, generated: pairwise(real, generated).detach(): "must have gradients for both sides",
    lambda real, generated: (-real).exp().mean(): "must have gradients for both sides",
    lambda real, generated: pairwise(real, generated).item(): "got float",
    lambda real: real.mean(): "raised TypeError",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_broken_loss_is_found(loss: Any, broken: Broken) -> None:
    with broken("loss ", LOSSES[loss], "LossSpec in tts/specs.py"):
        check_loss(loss)


def checked(images: Tensor) -> Features:
    check_images(images)
    return Features(images.double().mean(dim=(2, 3)).float())


class Means:
    """Mean colours of images, with one thing replaced."""

    name, title, dimensions, image_size, knows_labels = "means", "FD", 3, None, False

    def __init__(self, rule: Callable[[Tensor], Any] | None = None, **parts: Any) -> None:
        self.rule = rule or checked
        vars(self).update(parts)

    def extract(self, images: Tensor) -> Any:
        """Features by the rule."""
        return self.rule(images)

    def describe(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}


def pooled(images: Tensor) -> Tensor:
    return images.float().mean(dim=(2, 3))


EXTRACTORS: list[tuple[Means, str]] = [
    (Means(pooled), "extract must return tts.Features; got Tensor"),
    (Means(lambda images: Features(pooled(images)[:, :2])), "pool must be a float32 tensor of shape (5, 3)"),
    (Means(lambda images: Features(pooled(images).double())), "got float64"),
    (Means(lambda images: Features(pooled(images) / 0)), "pool must be"),
    (Means(lambda images: Features(pooled(images) - pooled(images).mean())), "the rest of the batch"),
    (Means(lambda images: Features(pooled(images) + torch.rand(3))), "global random generator"),
    (Means(lambda images: Features(pooled(images.zero_()))), "it changed images"),
    (Means(lambda images: Features(pooled(images), pooled(images)[1:])), "spatial must be"),
    (Means(knows_labels=True), "where knows_labels is True there must be logits"),
    (Means(dimensions=0), "dimensions must be a whole number"),
    (Means(image_size="any"), "image_size must be the only side that is taken"),
    (Means(title=""), "title must be text"),
    (Means(describe=lambda: {"weights": torch.zeros(2)}), "can be written as JSON"),
    (Means(describe=None), "describe() must give name and weights"),
]


@pytest.mark.parametrize(("extractor", "words"), EXTRACTORS)
def test_a_broken_extractor_is_found(extractor: Means, words: str, broken: Broken) -> None:
    with broken("features means", words, "FeatureExtractor in tts/evaluation/features.py"):
        check_features(extractor)


def test_a_good_extractor_passes_at_any_size() -> None:
    check_features(Means())
    check_features(Means(), image_size=8)


def test_floats_may_be_scaled_or_refused_but_are_no_bytes(broken: Broken) -> None:
    scaled = Means(lambda images: Features(pooled(images) * (255 if images.is_floating_point() else 1)))
    check_features(scaled)
    words = "images of floats in [0, 1] must be refused (tts.evaluation.features.check_images), or scaled"
    with broken("features means", words, "FeatureExtractor in tts/evaluation/features.py"):
        check_features(Means(lambda images: Features(pooled(images))))
