"""Training the scorer on recorded token maps (LSRS paper, section 3.3 and appendix A)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tts.data.pairs import PairSampler, split
from tts.data.store import TokenStore
from tts.errors import RunError, UsageError
from tts.interfaces import Backbone
from tts.scorers.network import ScorerConfig, ScorerNetwork, default_config

Loss = Callable[[Tensor, Tensor], Tensor]

PAIR_SHARE = 0.01
"""Share of all same-class pairs that makes an epoch, as in the published training."""


@dataclass(frozen=True)
class TrainSettings:
    """The paper's recipe: Adam 3e-4, batch 128, 4 epochs, the first one of linear warm-up, then cosine to 0.

    ``condition`` is what the scorer is told of a map besides its class: its ``scale`` index, as published, or
    its ``side``, so that it serves every schedule of the same sides. ``epoch_pairs`` is the number of pairs
    of an epoch (``None``: 1 % of all same-class pairs), ``held_out`` the share of each side kept for
    validation, ``scales`` the zero-based scales trained on, ``ema`` the decay of the weights' moving average
    (0: off).
    """

    loss: str
    scales: tuple[int, ...]
    condition: str = "scale"
    epochs: int = 4
    batch: int = 128
    learning_rate: float = 3e-4
    epoch_pairs: int | None = None
    held_out: float = 0.1
    held_out_pairs: int = 4096
    ema: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class ScaleFigures:
    """Loss and ranking accuracy (share of pairs with S_real > S_gen) of each trained scale."""

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class TrainResult:
    """The trained network, figures after each epoch, and both sides' held-out scores (pairs, scales)."""

    network: ScorerNetwork
    history: list[dict[str, Any]]
    real_scores: Tensor
    generated_scores: Tensor


@dataclass(frozen=True)
class Side:
    """Compact tokens (N, L) and labels (N,) of one side, and the indices of one part of them."""

    tokens: Tensor
    labels: Tensor
    part: Tensor


class PairScores:
    """Scores of both sides of a batch of pairs, at all chosen scales at once."""

    def __init__(self, backbone: Backbone, scales: tuple[int, ...], device: torch.device) -> None:
        self.backbone, self.scales, self.device = backbone, scales, device

    def __call__(
        self, network: torch.nn.Module, real: Tensor, generated: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (b, S) of real and generated tokens (b, L) of classes (b,)."""
        tokens = torch.cat((real, generated)).to(self.device, torch.int64)  # 2b L
        labels = labels.to(self.device, torch.int64).repeat(2)  # 2b
        views = self.backbone.views(tokens)
        maps = torch.cat([views[k] for k in self.scales])  # S*2b C H W
        scales = torch.tensor(self.scales, device=self.device).repeat_interleave(len(labels))
        scores = network(maps, labels.repeat(len(self.scales)), scales)  # S*2b
        both = rearrange(scores, "(s side b) -> side b s", s=len(self.scales), side=2)
        return both[0], both[1]


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear from 0 to 1 over ``warmup`` steps, then cosine to 0 at ``total``."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def train_scorer(
    backbone: Backbone,
    real: TokenStore,
    generated: TokenStore,
    settings: TrainSettings,
    loss: Loss,
    device: torch.device,
    on_step: Callable[[int, int, float], None] = lambda step, total, loss: None,
) -> TrainResult:
    """Train the paper's network; deterministic in the settings. ``on_step`` sees the progress."""
    if settings.epochs < 1 or settings.batch < 1:
        raise UsageError(f"epochs {settings.epochs} and batch {settings.batch} must be at least 1")
    info = backbone.info
    generator = torch.Generator().manual_seed(settings.seed)
    parts = [split(store.labels.long(), settings.held_out, generator) for store in (real, generated)]
    sides = [
        Side(store.tokens, store.labels, part[0])
        for store, part in zip((real, generated), parts, strict=True)
    ]
    held = [
        Side(store.tokens, store.labels, part[1])
        for store, part in zip((real, generated), parts, strict=True)
    ]
    sampler = _sampler(sides, settings.seed)
    pairs = settings.epoch_pairs or max(settings.batch, round(PAIR_SHARE * sampler.total))
    steps = -(-pairs // settings.batch)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        config = default_config(info.channels, info.grid, info.classes, info.scales)
        if settings.condition == "side":  # rows of the embedding are in the order of the schedule
            config = replace(config, sides=info.schedule)
        run = _Run(backbone, settings, loss, device, config, steps)
        history = []
        for epoch in range(settings.epochs):
            batches = _batches(sampler.epoch(epoch, pairs, settings.batch), sides)
            train_loss = run.epoch(epoch, batches, on_step)
            figures, scores = run.evaluate(held)
            history.append({"epoch": epoch + 1, "train_loss": train_loss, **asdict(figures)})
    return TrainResult(run.network(), history, *scores)


def _batches(
    indices: Iterator[tuple[Tensor, Tensor]], sides: list[Side]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Real tokens (b, L), generated tokens (b, L) and labels (b,) of pairs of part indices."""
    real, generated = sides
    for r, g in indices:
        rows = real.part[r]
        yield real.tokens[rows], generated.tokens[generated.part[g]], real.labels[rows]


def _sampler(sides: list[Side], seed: int) -> PairSampler:
    real, generated = (side.labels[side.part] for side in sides)
    return PairSampler(real, generated, seed)


class _Run:
    """Network, optimiser and schedule of one training run."""

    def __init__(
        self,
        backbone: Backbone,
        settings: TrainSettings,
        loss: Loss,
        device: torch.device,
        config: ScorerConfig,
        steps: int,
    ) -> None:
        self.settings, self.loss, self.steps = settings, loss, steps
        self.scores = PairScores(backbone, settings.scales, device)
        self.net = ScorerNetwork(config).to(device)
        self.average = (
            AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(settings.ema)) if settings.ema else None
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=settings.learning_rate)
        self.total = steps * settings.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, steps, self.total)
        )

    def network(self) -> ScorerNetwork:
        """The network to use: the moving average where there is one."""
        net = cast(ScorerNetwork, self.average.module) if self.average is not None else self.net
        return net.eval().requires_grad_(False)

    def epoch(
        self,
        epoch: int,
        batches: Iterator[tuple[Tensor, Tensor, Tensor]],
        on_step: Callable[[int, int, float], None],
    ) -> float:
        """Train on one epoch's batches; returns the mean loss."""
        self.net.train()
        losses = []
        for step, (real, generated, labels) in enumerate(batches):
            real_scores, generated_scores = self.scores(self.net, real, generated, labels)
            loss = self.loss(real_scores.flatten(), generated_scores.flatten())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            if self.average is not None:
                self.average.update_parameters(self.net)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise RunError(f"the loss is {losses[-1]} at step {step + 1}; lower --lr")
            on_step(epoch * self.steps + step + 1, self.total, losses[-1])
        return sum(losses) / len(losses)

    @torch.no_grad()
    def evaluate(self, held: list[Side]) -> tuple[ScaleFigures, tuple[Tensor, Tensor]]:
        """Loss and accuracy of each scale on held-out pairs, always the same ones, and their scores."""
        net = self.average.module if self.average is not None else self.net
        net.eval()
        sampler = _sampler(held, self.settings.seed + 1)
        indices = sampler.epoch(0, min(self.settings.held_out_pairs, sampler.total), self.settings.batch)
        rows = [self.scores(net, *batch) for batch in _batches(indices, held)]
        real = torch.cat([r for r, _ in rows]).cpu()  # P S
        generated = torch.cat([g for _, g in rows]).cpu()  # P S
        if not bool((real.isfinite() & generated.isfinite()).all()):
            raise RunError("held-out scores are not finite after training; lower --lr")
        count = real.shape[1]
        losses = tuple(float(self.loss(real[:, s], generated[:, s])) for s in range(count))
        accuracy = tuple((real > generated).float().mean(dim=0).tolist())
        return ScaleFigures(losses, accuracy), (real, generated)
