"""Selectors: which of the scored candidates is kept.

Random choices use one uniform a candidate and the Gumbel-max trick, so that a choice is reproducible, does
not depend on the batch, and changes with more candidates only if a new candidate wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts.errors import UsageError
from tts.interfaces import SelectionContext
from tts.limits import check_number
from tts.specs import SelectorRequest


def gumbel_argmax(logits: Tensor, uniforms: Tensor) -> Tensor:
    """One index (B,) drawn from softmax(logits (B, M)); ``uniforms`` (B, M) in (0, 1)."""
    return (logits - torch.log(-torch.log(uniforms))).argmax(dim=1)


@dataclass(frozen=True)
class GreedySelector:
    """The highest score wins (equation 6); of equal ones the first."""

    name: str = "greedy"
    needs_scores: bool = True

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) of the best candidate."""
        return context.scores.argmax(dim=1)


@dataclass(frozen=True)
class TopKSelector:
    """Draws from the softmax of the k highest scores (appendix G); k = 1 is greedy."""

    k: int
    temperature: float
    name: str = "topk"
    needs_scores: bool = True

    def __post_init__(self) -> None:
        """Refuse what nothing can be drawn with."""
        check_number("top_k_select", self.k, "1 is greedy")
        _check_temperature(self.temperature)

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) of a draw among the best k."""
        k = min(self.k, context.scores.shape[1])
        scores, indices = context.scores.topk(k, dim=1)  # B k
        uniforms = context.uniforms.gather(1, indices)
        choice = gumbel_argmax(scores / self.temperature, uniforms)
        return indices.gather(1, choice[:, None])[:, 0]


@dataclass(frozen=True)
class SoftmaxSelector:
    """Draws from all candidates with probability proportional to exp(score / T).

    At T = 1 and with the Bayes-optimal score, log p_real - log p_generated + const, this is
    sampling-importance-resampling: the chosen map tends to the real distribution as M grows, where greedy
    (its T = 0 limit) tends to the mode.
    """

    temperature: float
    name: str = "softmax"
    needs_scores: bool = True

    def __post_init__(self) -> None:
        """Refuse what nothing can be drawn with."""
        _check_temperature(self.temperature)

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) of a draw among all candidates."""
        return gumbel_argmax(context.scores / self.temperature, context.uniforms)


@dataclass(frozen=True)
class RandomSelector:
    """Ignores the scores: a control that must equal the plain backbone in distribution."""

    name: str = "random"
    needs_scores: bool = False

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) drawn evenly."""
        return context.uniforms.argmax(dim=1)


LEAST_TEMPERATURE = 1e-6
"""Far below it, scores divided by T overflow in float32: all of them are then equally infinite."""


def _check_temperature(temperature: float) -> None:
    if isinstance(temperature, int | float) and not temperature >= LEAST_TEMPERATURE:
        raise UsageError(
            f"temperature {temperature:g} must be at least {LEAST_TEMPERATURE:g};"
            " for the T = 0 limit use --selector greedy"
        )
    check_number("temperature", temperature)


def greedy(_: SelectorRequest) -> GreedySelector:
    """Factory of the greedy selector."""
    return GreedySelector()


def topk(request: SelectorRequest) -> TopKSelector:
    """Factory of the top-k selector: ``--top-k-select`` and ``--temperature``."""
    return TopKSelector(request.top_k, request.temperature)


def softmax(request: SelectorRequest) -> SoftmaxSelector:
    """Factory of the softmax selector: ``--temperature``."""
    return SoftmaxSelector(request.temperature)


def random(_: SelectorRequest) -> RandomSelector:
    """Factory of the random selector."""
    return RandomSelector()
