"""What ``tts train-scorer`` takes."""

from __future__ import annotations

from dataclasses import dataclass

from tts.config import dtype_name, parse_scales
from tts.limits import check_numbers
from tts.scorers.settings import TrainSettings


@dataclass(frozen=True)
class TrainConfig:
    """Everything that ``tts train-scorer`` takes; ``scales`` counts from 1 (``None``: all).

    Folders that are not given are those of the work folder.
    """

    real: str = ""
    generated: str = ""
    out: str = ""
    loss: str = "pairwise"
    backbone: str | None = None
    weights: tuple[str, ...] = ()
    part: str | None = None
    scales: str | None = None
    condition: str = "scale"
    epochs: int = 4
    batch: int = 128
    learning_rate: float = 3e-4
    epoch_pairs: int | None = None
    held_out: float = 0.1
    ema: float = 0.0
    seed: int = 0
    accumulate: int = 1
    precision: str = "float32"
    keep: str = "best"
    patience: int | None = None
    checkpoint_steps: int = 1000
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        precision = dtype_name(self.precision, "precision")  # records have one name of each type
        object.__setattr__(self, "precision", precision)


def check(config: TrainConfig) -> None:
    """Refuse numbers out of range before anything is loaded."""
    _settings(config, ())
    check_numbers(config)


def train_settings(config: TrainConfig, count: int) -> TrainSettings:
    """The settings of a training for a backbone of ``count`` scales."""
    return _settings(
        config, tuple(range(count)) if config.scales is None else parse_scales(config.scales, count)
    )


def _settings(config: TrainConfig, scales: tuple[int, ...]) -> TrainSettings:
    return TrainSettings(
        loss=config.loss,
        scales=scales,
        condition=config.condition,
        epochs=config.epochs,
        batch=config.batch,
        learning_rate=config.learning_rate,
        epoch_pairs=config.epoch_pairs,
        held_out=config.held_out,
        ema=config.ema,
        seed=config.seed,
        accumulate=config.accumulate,
        precision=config.precision,
        keep=config.keep,
        patience=config.patience,
    )
