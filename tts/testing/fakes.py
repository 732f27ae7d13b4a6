"""Judges whose rule a test chooses, and which remember what they saw."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tts.interfaces import Proposals


class FakeScorer:
    """Scores by a rule on proposals; ``calls`` remembers each of them."""

    def __init__(self, rule: Callable[[Proposals], Tensor] | None = None, name: str = "fake-scorer") -> None:
        self.rule, self.name = rule or weighted_map, name
        self.calls: list[Proposals] = []

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M) by the rule."""
        self.calls.append(proposals)
        return self.rule(proposals)


class FakeImageScorer:
    """Scores images by a rule on images (B, 3, S, S) and labels (B,); ``calls`` remembers the images."""

    def __init__(
        self, rule: Callable[[Tensor, Tensor], Tensor] | None = None, name: str = "fake-image-scorer"
    ) -> None:
        self.rule, self.name = rule or weighted_pixels, name
        self.calls: list[Tensor] = []

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B,) by the rule."""
        self.calls.append(images)
        return self.rule(images, labels)


def weighted_map(proposals: Proposals) -> Tensor:
    """Scores (B, M) that depend on every number of a map and on the label; whole numbers below 101."""
    return _mixed(proposals.maps.flatten(2), proposals.labels[:, None], 4)


def weighted_pixels(images: Tensor, labels: Tensor) -> Tensor:
    """Scores (B,) that depend on every pixel and on the label; whole numbers below 101."""
    return _mixed(images.flatten(1), labels, 255)


def _mixed(values: Tensor, labels: Tensor, levels: int) -> Tensor:
    """A whole number below 101 for values (..., N) and labels (...): no sum of floats, so it is exact."""
    steps = (values.double() * levels).round().long()
    weights = 13 * torch.arange(values.shape[-1], device=values.device) + 1
    return ((steps * weights).sum(dim=-1) + 29 * labels).remainder(101).float()
