"""The work of ``tts train-scorer``: from two token data sets to a scorer file with its figures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tts.config import Choices, parse_scales
from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore
from tts.errors import CheckpointError, UsageError
from tts.interfaces import Backbone
from tts.io import ensure_writable_dir, write_json
from tts.manager import get_plugins
from tts.resolve import build_backbone, find_backbone, torch_device
from tts.runinfo import environment
from tts.scorers.checkpoint import ScorerCard, save_scorer
from tts.scorers.report import beyond_first, draw, score_gap
from tts.scorers.train import Loss, TrainResult, TrainSettings, train_scorer
from tts.specs import load_attribute

SCORER_FILE = "scorer.safetensors"
METRICS_FILE = "metrics.json"
CONDITIONS = ("scale", "side")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that ``tts train-scorer`` takes; ``scales`` counts from 1 (``None``: all)."""

    real: str
    generated: str
    out: str
    loss: str = "pairwise"
    backbone: str | None = None
    weights: tuple[str, ...] = ()
    scales: str | None = None
    condition: str = "scale"
    epochs: int = 4
    batch: int = 128
    learning_rate: float = 3e-4
    epoch_pairs: int | None = None
    held_out: float = 0.1
    ema: float = 0.0
    seed: int = 0
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class TrainSummary:
    """Where the scorer lies, and its final held-out figures by scale."""

    scorer: Path
    scales: tuple[int, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    pictures: tuple[Path, ...]
    seconds: float


def run_train(
    config: TrainConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> TrainSummary:
    """Train a scorer and write ``scorer.safetensors``, ``metrics.json`` and the pictures."""
    check(config)
    loss: Loss = load_attribute(get_plugins().losses.get(config.loss).target)
    out = Path(config.out)
    if (out / SCORER_FILE).exists() and not config.overwrite:
        raise UsageError(f"{out} already holds a scorer; choose another --out or pass --overwrite")
    real, generated = open_side(config.real, "real"), open_side(config.generated, "generated")
    difference = real.identity.mismatch(generated.identity)
    if difference:
        raise CheckpointError(
            f"the real data are of {difference} in the generated; collect both with one backbone"
        )
    ensure_writable_dir(out)
    device = torch_device(config.device)
    backbone = _backbone(config, generated, device)
    settings = train_settings(config, backbone)
    started = time.perf_counter()
    result = train_scorer(
        backbone, real, generated, settings, loss, device, lambda step, total, _: progress(step, total)
    )
    seconds = time.perf_counter() - started
    return _write(out, config, settings, result, generated.identity, seconds, environment(device))


def check(config: TrainConfig) -> None:
    """Refuse numbers out of range before anything is loaded."""
    for name, value in (
        ("epochs", config.epochs),
        ("batch", config.batch),
        ("epoch-pairs", config.epoch_pairs),
    ):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value} must be at least 1")
    if not 0 < config.learning_rate < math.inf:
        raise UsageError(f"lr {config.learning_rate} must be a number above 0; the paper uses 3e-4")
    if not 0 <= config.seed < 2**63:
        raise UsageError(f"seed {config.seed} must be from 0 to below 2^63")
    if config.condition not in CONDITIONS:
        raise UsageError(f"unknown condition {config.condition!r}; use {' or '.join(CONDITIONS)}")
    if not 0 <= config.ema < 1:
        raise UsageError(f"ema {config.ema} must be from 0 (off) to below 1")


def open_side(folder: str, kind: str) -> TokenStore:
    """A data set that must be of the given kind."""
    store = TokenStore.open(folder)
    if store.manifest.kind != kind:
        raise UsageError(
            f"{folder} holds {store.manifest.kind} images, --{kind} needs {kind} ones; swap the folders"
        )
    return store


def _backbone(config: TrainConfig, generated: TokenStore, device: torch.device) -> Backbone:
    """The backbone that the data came from, for its fusion of token maps."""
    recorded = generated.manifest.settings
    name = config.backbone or str(recorded.get("backbone", generated.identity.name))
    weights = config.weights or tuple(recorded.get("weights", ()))
    files = tuple(Path(weight) for weight in weights)
    free = find_backbone(name)[0].max_side is not None
    choices = Choices(",".join(map(str, generated.identity.schedule)) if free else None)
    backbone = build_backbone(name, files, device, torch.float32, choices)[1]
    difference = generated.identity.mismatch(BackboneIdentity.from_backbone(backbone))
    if difference:
        raise CheckpointError(f"the data were collected with {difference}; pass the right --backbone")
    return backbone


def train_settings(config: TrainConfig, backbone: Backbone) -> TrainSettings:
    """The settings with the scales resolved."""
    count = backbone.info.scales
    return TrainSettings(
        loss=config.loss,
        scales=tuple(range(count)) if config.scales is None else parse_scales(config.scales, count),
        condition=config.condition,
        epochs=config.epochs,
        batch=config.batch,
        learning_rate=config.learning_rate,
        epoch_pairs=config.epoch_pairs,
        held_out=config.held_out,
        ema=config.ema,
        seed=config.seed,
    )


def _write(
    out: Path,
    config: TrainConfig,
    settings: TrainSettings,
    result: TrainResult,
    identity: BackboneIdentity,
    seconds: float,
    made_by: dict[str, Any],
) -> TrainSummary:
    last = result.history[-1]
    gap = score_gap(
        *(beyond_first(s, settings.scales) for s in (result.real_scores, result.generated_scores))
    )
    figures = {"loss": last["loss"], "accuracy": last["accuracy"], "score_gap": asdict(gap)}
    scales = tuple(scale + 1 for scale in settings.scales)
    training = {"settings": asdict(settings), "held_out": figures, "data": [config.real, config.generated]}
    save_scorer(out / SCORER_FILE, result.network, ScorerCard(result.network.config, identity, training))
    pictures = draw(result, settings.scales, out)
    record = {
        "settings": asdict(config),
        "resolved": asdict(settings),
        "scales": scales,
        "history": result.history,
        "held_out": figures,
        "seconds": seconds,
        "environment": made_by,
    }
    write_json(out / METRICS_FILE, record)
    return TrainSummary(
        out / SCORER_FILE, scales, tuple(last["loss"]), tuple(last["accuracy"]), tuple(pictures), seconds
    )
