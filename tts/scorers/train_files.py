"""The files of a finished training: the scorer with its card, its figures and pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tts import limits
from tts.data.manifest import BackboneIdentity
from tts.io import sha256_file, write_json
from tts.records import read_record
from tts.scorers.checkpoint import SCORER_FILE, ScorerCard, save_scorer
from tts.scorers.report import beyond_first, draw, score_gap
from tts.scorers.settings import TrainSettings, described
from tts.scorers.train import TrainResult
from tts.scorers.train_config import TrainConfig

METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class TrainSummary:
    """Where the scorer lies, the epoch kept of those trained, and its held-out figures by scale.

    ``finished_before`` says that there was nothing to do, ``warnings`` what makes the scorer doubtful.
    """

    scorer: Path
    scales: tuple[int, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    pictures: tuple[Path, ...]
    seconds: float
    epoch: int
    epochs: int
    finished_before: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldOutFigures:
    """Held-out loss and accuracy by scale."""

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Metrics:
    """What later commands need of ``metrics.json``; ``scales`` count from 1."""

    held_out: HeldOutFigures
    history: tuple[dict[str, Any], ...]
    scales: tuple[limits.Side, ...]
    seconds: float
    kept_epoch: limits.Count | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def write_result(
    config: TrainConfig,
    settings: TrainSettings,
    result: TrainResult,
    identity: BackboneIdentity,
    made_by: dict[str, Any],
) -> TrainSummary:
    """Write ``scorer.safetensors``, the pictures and ``metrics.json``; figures are those of the kept epoch.

    ``made_by`` are further facts for ``metrics.json``.
    """
    out = Path(config.out)
    kept = result.history[result.epoch - 1]
    gap = score_gap(
        *(beyond_first(s, settings.scales) for s in (result.real_scores, result.generated_scores))
    )
    figures = {"loss": kept["loss"], "accuracy": kept["accuracy"], "score_gap": asdict(gap)}
    training: dict[str, Any] = {
        "settings": described(settings),
        "held_out": figures,
        "data": [config.real, config.generated],
    }
    if result.epoch < len(result.history):
        training["kept_epoch"] = result.epoch
    save_scorer(out / SCORER_FILE, result.network, ScorerCard(result.network.config, identity, training))
    pictures = draw(result, settings.scales, out)
    record = {
        "settings": asdict(config),
        "resolved": asdict(settings),
        "scales": [scale + 1 for scale in settings.scales],
        "history": result.history,
        "kept_epoch": result.epoch,
        "stopped_early": result.early,
        "held_out": figures,
        "warnings": list(result.doubts),
        "seconds": result.seconds,
        "files": {path.name: sha256_file(path) for path in pictures},
        **made_by,
    }
    write_json(out / METRICS_FILE, record)
    return replace(read_summary(out), pictures=tuple(pictures))


def read_summary(out: Path, finished_before: bool = False) -> TrainSummary:
    """The summary of a finished training from its files."""
    record = read_metrics(out)
    return TrainSummary(
        out / SCORER_FILE,
        record.scales,
        record.held_out.loss,
        record.held_out.accuracy,
        tuple(path for name in ("curves.png", "scores.png") if (path := out / name).exists()),
        record.seconds,
        len(record.history) if record.kept_epoch is None else record.kept_epoch,
        len(record.history),
        finished_before,
        record.warnings,
    )


def read_metrics(out: Path) -> Metrics:
    """The figures of a finished training."""
    return read_record(
        out / METRICS_FILE, Metrics, "record of a training", "pass --overwrite to train anew", own=True
    )
