"""The Inception Score (Salimans et al. 2016): exp of the mean KL divergence of p(y|x) from its mean.

Axis letters: N images, n images of a part, C classes, R resamples. Probabilities are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts.checks import check_matrix
from tts.errors import ShapeError, UsageError


@dataclass(frozen=True)
class ClassProbabilities:
    """p(y|x) of images (n, C) and their entropies (n,), float64."""

    probabilities: Tensor
    entropies: Tensor

    @staticmethod
    def of(logits: Tensor) -> ClassProbabilities:
        """By the softmax of logits (n, C); a logit of minus infinity is a class that is impossible."""
        probabilities = logits.detach().double().softmax(dim=1)
        if bool(probabilities.isnan().any()):
            raise UsageError("logits hold NaN or infinity; check the images and the extractor's weights")
        return ClassProbabilities(probabilities, torch.special.entr(probabilities).sum(dim=1))


def inception_score(logits: Tensor, split: int | None = None) -> float:
    """The score of logits (N, C): the mean over consecutive parts of ``split`` images, or of all as one part.

    A short tail counts as much as a full part, as in the ADM evaluation, whose parts have 5 000 images.
    The parts must be random ones: of images in the order of their classes, a part has few classes and scores
    low.
    """
    check_matrix(logits, "logits")
    if not len(logits):
        raise ShapeError(f"logits are {tuple(logits.shape)}, expected (N, C) with an image or more")
    if split is not None and split < 1:
        raise UsageError(
            f"parts of {split} images cannot be scored; use 1 or more (the ADM protocol has 5000)"
        )
    scores = [_score(ClassProbabilities.of(part)) for part in logits.split(split or len(logits))]
    return sum(scores) / len(scores)


def resampled_scores(logits: Tensor, weights: Tensor, split: int) -> Tensor:
    """Scores (R,) with images repeated as ``weights`` (R, N) say, over consecutive parts of ``split`` images.

    A sample that is drawn again stays in its part; a part without any does not count.
    """
    total, parts = (torch.zeros(len(weights), dtype=torch.float64) for _ in range(2))
    for rows, chosen in zip(logits.split(split), weights.split(split, dim=1), strict=True):
        part, drawn = ClassProbabilities.of(rows), chosen.double()  # n C, R n
        count = drawn.sum(dim=1)
        divisor = count.clamp(min=1)
        scores = scores_of(drawn @ part.probabilities / divisor[:, None], drawn @ part.entropies / divisor)
        total += torch.where(count > 0, scores, 0.0)
        parts += (count > 0).double()
    return total / parts


def _score(part: ClassProbabilities) -> float:
    return float(scores_of(part.probabilities.mean(dim=0), part.entropies.mean()))


def scores_of(mean: Tensor, entropy: Tensor) -> Tensor:
    """Scores (...) from mean probabilities (..., C) and mean entropies (...).

    The mean divergence is the entropy of the mean less the mean entropy; 0 log 0 is 0.
    """
    return (torch.special.entr(mean).sum(dim=-1) - entropy).exp()
