"""Everything of a training that changes while it runs, as one object that can be saved and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tts import limits
from tts.scorers.held_out import HeldOut
from tts.scorers.network import ScorerNetwork
from tts.scorers.rng import RandomState, random_state
from tts.scorers.settings import TrainSettings

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class EpochRow(TypedDict):
    """A finished epoch from 1: the training's mean loss, and held-out figures by scale."""

    epoch: limits.Count
    train_loss: float
    loss: Sequence[float]
    accuracy: Sequence[float]


@dataclass
class Position:
    """Finished epochs and steps of the one after, its sum of losses, seconds and figures so far."""

    epoch: limits.Count = 0
    step: limits.Count = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[EpochRow] = field(default_factory=list)


@dataclass(frozen=True)
class Reached:
    """What of a training's state is no tensor; ``kept`` is the epoch from 1 of the network that counts."""

    position: Position
    kept: limits.Count | None
    scaler: dict[str, int | float]


@dataclass(frozen=True)
class Kept:
    """The network that counts so far, on the CPU: its epoch from 1, weights and held-out scores (P, S)."""

    epoch: int
    state: dict[str, Tensor]
    real: Tensor
    generated: Tensor


@dataclass(frozen=True)
class Snapshot:
    """A training's state as tensors and a record."""

    tensors: dict[str, Tensor]
    record: Reached


class TrainState:
    """Network, moving average, optimiser, gradient scaler and position; ``kept`` lives in rank 0 only."""

    def __init__(self, network: ScorerNetwork, settings: TrainSettings, device: torch.device) -> None:
        self.net, self.device = network, device
        self.average = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema)) if settings.ema else None
        )
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
        self.position = Position()
        self.kept: Kept | None = None
        self.random: RandomState = random_state(device)

    @property
    def network(self) -> ScorerNetwork:
        """The network to use: the moving average where there is one."""
        return cast(ScorerNetwork, self.average.module) if self.average is not None else self.net

    def keep(self, epoch: int, figures: HeldOut) -> None:
        """Let the present network be the one that counts."""
        state = {key: value.detach().cpu().clone() for key, value in self.network.state_dict().items()}
        self.kept = Kept(epoch, state, figures.real, figures.generated)

    def snapshot(self) -> Snapshot:
        """The state; the random state is the generators' present one."""
        tensors = _prefixed("net", self.net.state_dict())
        if self.average is not None:
            tensors |= _prefixed("average", self.average.state_dict())
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= _prefixed(f"adam.{i}", moments)
        tensors |= _prefixed("random", random_state(self.device))
        if self.kept is not None:
            scores = {"real": self.kept.real, "generated": self.kept.generated}
            tensors |= _prefixed("kept", self.kept.state) | _prefixed("scores", scores)
        kept = self.kept.epoch if self.kept is not None else None
        position = replace(self.position, history=list(self.position.history))
        return Snapshot(tensors, Reached(position, kept, self.scaler.state_dict()))

    def restore(self, snapshot: Snapshot) -> None:
        """Take over what ``snapshot`` gave; ``LookupError``, ``TypeError`` and so on if it is not that."""
        tensors, record = snapshot.tensors, snapshot.record
        self.net.load_state_dict(_under("net", tensors))
        if self.average is not None:
            self.average.load_state_dict(_under("average", tensors))
        moments = {i: _moments(tensors, i, p) for i, p in enumerate(self.net.parameters())}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(record.scaler)
        self.random = _under("random", tensors)
        self.position = replace(record.position, history=list(record.position.history))
        self.kept = None
        if record.kept is not None:
            scores = _under("scores", tensors)
            self.kept = Kept(record.kept, _under("kept", tensors), scores["real"], scores["generated"])


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _moments(tensors: dict[str, Tensor], number: int, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's state of a parameter."""
    found = {name: tensors[f"adam.{number}.{name}"] for name in _MOMENTS}
    for name, value in found.items():
        expected = () if name == "step" else parameter.shape
        if value.shape != expected:
            raise ValueError(f"adam.{number}.{name} has shape {tuple(value.shape)}, not {tuple(expected)}")
    return found
