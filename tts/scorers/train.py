"""Training the scorer on recorded token maps (LSRS paper, section 3.3 and appendix A)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tts.data.store import TokenStore
from tts.engine.stopping import Stop
from tts.errors import PeerError, RunError
from tts.interfaces import Backbone
from tts.resolve import DTYPES
from tts.scorers.doubts import doubts
from tts.scorers.held_out import evaluate, mean
from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.pair_data import split_pairs
from tts.scorers.pair_scores import PairScores
from tts.scorers.rng import own_random_state, set_random_state
from tts.scorers.settings import Loss, TrainSettings
from tts.scorers.state import EpochRow, TrainState
from tts.scorers.step import Stepper
from tts.scorers.team import Team

PAIR_SHARE = 0.01
"""Share of all same-class pairs that makes an epoch, as in the published training."""

OnStep = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TrainResult:
    """The kept network, its epoch from 1, figures after each epoch, and both sides' scores (pairs, scales).

    The scores are the kept network's on held-out pairs. ``early`` says whether patience ended the training,
    ``doubts`` what makes the scorer doubtful.
    """

    network: ScorerNetwork
    history: list[EpochRow]
    real_scores: Tensor
    generated_scores: Tensor
    epoch: int = 1
    early: bool = False
    seconds: float = 0.0
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """What goes on around the steps: progress, checkpoints every so many of them, and a graceful stop."""

    on_step: OnStep = lambda step, total, loss: None
    save: Callable[[], None] = lambda: None
    every: int | None = None
    stop: Stop = field(default_factory=Stop)


class Training:
    """A training of the paper's network, from its state to the end; deterministic in the settings."""

    def __init__(
        self,
        backbone: Backbone,
        real: TokenStore,
        generated: TokenStore,
        settings: TrainSettings,
        loss: Loss,
        device: torch.device,
    ) -> None:
        self.settings, self.loss, self.device = settings, loss, device
        self.data, self.held = split_pairs(real, generated, settings)
        self.pairs = settings.epoch_pairs or max(settings.batch, round(PAIR_SHARE * self.data.total))
        self.steps = -(-self.pairs // settings.batch)
        self.total = self.steps * settings.epochs
        self.scores = PairScores(backbone, settings.scales, device, DTYPES[settings.precision])
        self.exact_scores = PairScores(backbone, settings.scales, device)
        info = backbone.info
        config = default_config(info.channels, info.grid, info.classes, info.scales)
        if settings.condition == "side":  # rows of the embedding are in the order of the schedule
            config = replace(config, sides=info.schedule)
        with own_random_state(device):
            torch.manual_seed(settings.seed)
            self.state = TrainState(ScorerNetwork(config).to(device), settings, device)

    @property
    def step(self) -> int:
        """Finished steps of all epochs."""
        return self.state.position.epoch * self.steps + self.state.position.step

    @property
    def impatient(self) -> bool:
        """Whether the held-out loss has not fallen for as many epochs as patience allows."""
        losses = [mean(row["loss"]) for row in self.state.position.history]
        patience = self.settings.patience
        return bool(losses and patience and len(losses) - 1 - losses.index(min(losses)) >= patience)

    def run(self, team: Team, around: Around) -> None:
        """Train from the present state to the end; raises ``Stopped`` after a signal, with all saved."""
        at = self.state.position
        started = time.perf_counter() - at.seconds
        with own_random_state(self.device), team.watching():
            set_random_state(self.state.random, self.device)
            stepper = Stepper(self.state, self.data, self.scores, self.settings, self.loss, team)
            while at.epoch < self.settings.epochs and not self.impatient:
                self._epoch(stepper, team, around, started)
                figures = team.lead(lambda: self._evaluate(team.world))
                at.history.append(self._row(*figures))
                at.epoch, at.step, at.loss_sum = at.epoch + 1, 0, 0.0
                at.seconds = time.perf_counter() - started
                team.lead(around.save)

    def _epoch(self, stepper: Stepper, team: Team, around: Around, started: float) -> None:
        """Train on what is left of the present epoch."""
        at, settings = self.state.position, self.settings
        self.state.net.train()
        for batch in self.data.batches(at.epoch, self.pairs, settings.batch, skip=at.step):
            rate = settings.learning_rate * learning_rate_factor(self.step, self.steps, self.total)
            loss, signal = team.total(stepper(batch, rate), around.stop.signal)
            if not math.isfinite(loss):
                raise team.error(RunError(f"the loss is {loss} at step {at.step + 1}; lower --lr"))
            at.step, at.loss_sum = at.step + 1, at.loss_sum + loss
            at.seconds = time.perf_counter() - started
            if team.main:
                around.on_step(self.step, self.total, loss)
            due = around.every is not None and self.step % around.every == 0 and at.step < self.steps
            if due or signal is not None:
                team.lead(around.save)
            if signal is not None:
                self._stop(signal, team, around.stop)

    def _stop(self, signal: int, team: Team, stop: Stop) -> None:
        """End all processes, whichever of them got the signal."""
        if not team.main:
            raise PeerError(128 + signal)
        stop.signal = signal
        stop.check(f"stopped after step {self.step} of {self.total}, pass --resume to go on")

    def _row(self, loss: tuple[float, ...], accuracy: tuple[float, ...]) -> EpochRow:
        """The epoch that has just ended."""
        at = self.state.position
        train_loss = at.loss_sum / self.steps
        return {"epoch": at.epoch + 1, "train_loss": train_loss, "loss": loss, "accuracy": accuracy}

    def _evaluate(self, world: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Held-out loss and accuracy of the present network by scale; it is kept if it counts."""
        state, at = self.state, self.state.position
        pairs, batch = (
            self.settings.held_out_pairs,
            -(-self.settings.batch // (world * self.settings.accumulate)),
        )
        figures = evaluate(state.network, self.exact_scores, self.held, pairs, batch, self.loss)
        before = [mean(row["loss"]) for row in at.history]
        if self.settings.keep == "last" or not before or mean(figures.loss) < min(before):
            state.keep(at.epoch + 1, figures)
        return figures.loss, figures.accuracy

    def result(self) -> TrainResult:
        """What a finished training has made; in rank 0."""
        kept, at = self.state.kept, self.state.position
        assert kept is not None
        network = self.state.network
        network.load_state_dict(kept.state)
        network.eval().requires_grad_(False)
        early = len(at.history) < self.settings.epochs
        accuracy = at.history[kept.epoch - 1]["accuracy"]
        said = tuple(doubts(self.settings, self.step, accuracy, min(map(len, self.held.parts))))
        return TrainResult(
            network, at.history, kept.real, kept.generated, kept.epoch, early, at.seconds, said
        )


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
    on_step: OnStep = lambda step, total, loss: None,
) -> TrainResult:
    """Train the paper's network in this process; ``on_step`` sees step, number of steps and loss."""
    training = Training(backbone, real, generated, settings, loss, device)
    training.run(Team(), Around(on_step))
    return training.result()
