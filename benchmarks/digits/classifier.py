"""Training of the classifier whose features give the digits' Frechet distance."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.training import Recipe, balanced_images, fit, parameters
from tts.data.digits import load_digits_split
from tts.evaluation.digits import (
    ClassifierConfig,
    DigitsClassifier,
    load_digits_classifier,
    write_digits_classifier,
)

RECIPE = Recipe(steps=2000, batch=128, rate=3e-3, weight_decay=0.02, average=0.99)


def train(recipe: Recipe = RECIPE) -> DigitsClassifier:
    """Train the classifier from scratch on augmented images."""
    torch.manual_seed(recipe.seed)
    net = DigitsClassifier(ClassifierConfig())

    def loss(step: int) -> Tensor:
        images, labels = balanced_images(step, recipe.batch)
        return F.cross_entropy(net(images), labels)

    fit(net, loss, recipe)
    return net


@torch.no_grad()
def accuracy(net: DigitsClassifier) -> float:
    """Share of the held-out scans that are recognised."""
    images, labels = load_digits_split("heldout")
    return float((net(images).argmax(dim=1) == labels).float().mean())


def stage(out: Path) -> dict[str, float]:
    """Train and store the classifier; returns its figures."""
    file = out / "digits-classifier.safetensors"
    write_digits_classifier(file, train())
    net = load_digits_classifier(file)
    return {"parameters": parameters(net), "held_out_accuracy": accuracy(net)}
