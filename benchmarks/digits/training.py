"""What every training of a digits model shares: batches, one optimisation loop, a moving average.

Axis letters: B images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts.data.digits import CLASSES, augmented

FIRST_SEED = 1 << 40  # images for training share no seed with images that ``tts collect`` draws


@dataclass(frozen=True)
class Recipe:
    """Settings of one training; ``average_from`` is the part of the steps before the average."""

    steps: int
    batch: int
    rate: float
    warm_up: int = 50
    weight_decay: float = 0.01
    average: float = 0.998
    average_from: float = 0.0
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then cosine to zero, as a factor of ``rate``."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - self.warm_up) / (self.steps - self.warm_up)))


class Average:
    """An exponential moving average of a network's parameters, short-sighted in its first steps."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {key: value.detach().clone() for key, value in net.state_dict().items()}

    def update(self, net: nn.Module) -> None:
        """Move towards the network's present parameters."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (self.steps + 10))
        for key, value in net.state_dict().items():
            self.state[key].lerp_(value.detach(), weight)


def balanced_images(step: int, batch: int) -> tuple[Tensor, Tensor]:
    """Augmented training images (B, 3, 16, 16) in [0, 1] and labels (B,): a pure function of the step."""
    seeds = FIRST_SEED + torch.arange(step * batch, (step + 1) * batch)
    labels = seeds % CLASSES
    return augmented(labels, seeds), labels


def fit(net: nn.Module, loss: Callable[[int], Tensor], recipe: Recipe) -> nn.Module:
    """Minimise ``loss(step)`` with AdamW; ``net`` ends with the moving average of its parameters."""
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, recipe.rate_at)
    average: Average | None = None
    start = time.perf_counter()
    net.train()
    for step in range(recipe.steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step >= recipe.average_from * recipe.steps:
            average = average or Average(net, recipe.average)
            average.update(net)
        if step % 100 == 0 or step == recipe.steps - 1:
            print(
                f"  step {step:5d}  loss {float(value.detach()):.4f}  {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    if average:
        net.load_state_dict(average.state)
    return net.eval()


def parameters(net: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def half(net: nn.Module) -> dict[str, Tensor]:
    """The state in half precision, as it is stored."""
    return {key: value.half() for key, value in net.state_dict().items()}
