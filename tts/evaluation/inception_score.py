"""The Inception Score (Salimans et al. 2016): exp of the mean KL divergence of p(y|x) from its mean.

Axis letters: N images, n images of a part, C classes. Probabilities are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts.errors import ShapeError, UsageError


@dataclass(frozen=True)
class ClassProbabilities:
    """p(y|x) of images (n, C) and their entropies (n,), float64."""

    probabilities: Tensor
    entropies: Tensor

    @staticmethod
    def of(logits: Tensor) -> ClassProbabilities:
        """By the softmax of logits (n, C); a logit of minus infinity is a class that is impossible."""
        probabilities = logits.double().softmax(dim=1)
        return ClassProbabilities(probabilities, torch.special.entr(probabilities).sum(dim=1))


def inception_score(logits: Tensor, split: int | None = None) -> float:
    """The score of logits (N, C): the mean over consecutive parts of ``split`` images, or of all as one part.

    A short tail counts as much as a full part, as in the ADM evaluation, whose parts have 5 000 images.
    The parts must be random ones: of images in the order of their classes, a part has few classes and scores
    low.
    """
    if logits.ndim != 2 or not len(logits):
        raise ShapeError(f"logits are {tuple(logits.shape)}, expected (N, C) with an image or more")
    if split is not None and split < 1:
        raise UsageError(
            f"parts of {split} images cannot be scored; use 1 or more (the ADM protocol has 5000)"
        )
    scores = [_score(ClassProbabilities.of(part)) for part in logits.split(split or len(logits))]
    return sum(scores) / len(scores)


def _score(part: ClassProbabilities) -> float:
    return float(scores_of(part.probabilities.mean(dim=0), part.entropies.mean()))


def scores_of(mean: Tensor, entropy: Tensor) -> Tensor:
    """Scores (...) from mean probabilities (..., C) and mean entropies (...).

    The mean divergence is the entropy of the mean less the mean entropy; 0 log 0 is 0.
    """
    return (torch.special.entr(mean).sum(dim=-1) - entropy).exp()
