"""Held-out figures: loss and ranking accuracy of each scale on pairs that are never trained on.

They are always in float32, whatever the precision of the training, so that trainings can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts.errors import RunError
from tts.scorers.pair_data import PairData
from tts.scorers.pair_scores import PairScores
from tts.scorers.settings import Loss


@dataclass(frozen=True)
class HeldOut:
    """Loss and accuracy (share of pairs with S_real > S_gen) of each scale, and all pairs' scores (P, S)."""

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    real: Tensor
    generated: Tensor


@torch.no_grad()
def evaluate(
    network: nn.Module, scores: PairScores, held: PairData, pairs: int, batch: int, loss: Loss
) -> HeldOut:
    """Figures of a network, which is put into evaluation mode, on held-out pairs, always the same ones.

    There are ``pairs`` of them, or as many as there can be; ``batch`` go through the network at a time.
    """
    network.eval()
    batches = held.batches(0, min(pairs, held.total), batch)
    rows = [scores(network, *held.read(some)) for some in batches]
    real = torch.cat([r for r, _ in rows]).cpu()  # P S
    generated = torch.cat([g for _, g in rows]).cpu()  # P S
    if not bool((real.isfinite() & generated.isfinite()).all()):
        raise RunError("held-out scores are not finite after training; lower --lr")
    losses = tuple(float(loss(real[:, s], generated[:, s])) for s in range(real.shape[1]))
    if not math.isfinite(mean(losses)):
        raise RunError(f"the held-out loss is {mean(losses)} at finite scores; choose another --loss")
    accuracy = tuple((real > generated).float().mean(dim=0).tolist())
    return HeldOut(losses, accuracy, real, generated)


def mean(losses: Sequence[float]) -> float:
    """The mean over scales, by which epochs are compared."""
    return sum(losses) / len(losses)
