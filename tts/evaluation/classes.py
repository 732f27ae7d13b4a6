"""Figures that need the labels: accuracy and diversity within a class.

Axis letters: N images, C classes of the extractor, D features, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tts.checks import check_labels, check_numbers_in


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images (N,) the extractor gives their own class, by logits (N, C) and labels (N,)."""
    check_numbers_in(logits, "logits")
    check_labels(labels, len(logits))
    return logits.argmax(dim=1) == labels


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of the images that the extractor gives their own class."""
    return float(correct(logits, labels).double().mean())


def strange_labels(labels: Tensor, classes: int) -> str | None:
    """Why labels (N,) are none of so many classes, so that they give no accuracy; ``None`` if they are."""
    lowest, highest = (int(label) for label in labels.aminmax())
    if lowest >= 0 and highest < classes:
        return None
    return (
        f"labels go from {lowest} to {highest}, the features' classes are 0 to {classes - 1}; the accuracy is"
        " left out"
    )


def within_class_variance(features: Tensor, labels: Tensor) -> float:
    """Total variance of features (N, D) within a class, averaged over the classes; lost modes lower it."""
    check_numbers_in(features, "features")
    check_labels(labels, len(features))
    one = torch.ones(1, len(labels), dtype=torch.float64)
    return float(resampled_variance(features, labels, one)[0])


def resampled_variance(features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The same (R,) with images repeated as ``weights`` (R, N) say; a class without images does not count."""
    total = torch.zeros(len(weights), dtype=torch.float64)
    classes = torch.zeros(len(weights), dtype=torch.float64)
    for members in _members(labels):
        rows = features[members].double()
        rows = rows - rows.mean(dim=0)  # n D
        chosen = weights[:, members].double()  # R n
        count = chosen.sum(dim=1)
        divisor = count.clamp(min=1)
        lengths = chosen @ rows.square().sum(dim=1) / divisor  # R
        means = chosen @ rows / divisor[:, None]  # R D
        total += lengths - means.square().sum(dim=1)
        classes += (count > 0).double()
    return total / classes


def _members(labels: Tensor) -> Iterator[Tensor]:
    """The numbers of the images of each class."""
    order = labels.argsort(stable=True)
    return iter(order.split(labels.unique(return_counts=True)[1].tolist()))
