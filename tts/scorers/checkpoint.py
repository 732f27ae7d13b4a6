"""Scorer files: safetensors with the configuration, the backbone's identity and the training figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tts.backbones.file_kinds import head_of, is_safetensors
from tts.backbones.networks import SCORER
from tts.backbones.parts import Weights, read_weights
from tts.backbones.sources import INDEX
from tts.backbones.weights import State, load_strict, without_values
from tts.contents import check_tensors
from tts.data.manifest import BackboneIdentity
from tts.errors import CheckpointError, reason
from tts.io import read_metadata, save_tensors
from tts.records import parse_record
from tts.scorers.network import ScorerConfig, ScorerNetwork

FORMAT = "scalewise-tts-scorer-1"
SCORER_FILE = "scorer.safetensors"
"""Name of the file in the folder of a training."""


@dataclass(frozen=True)
class ScorerCard:
    """What a scorer file says of itself.

    ``identity`` is the backbone that it was trained for, ``None`` for the authors' plain files, which do not
    say. ``training`` holds the settings and figures of the training run.
    """

    config: ScorerConfig
    identity: BackboneIdentity | None
    training: dict[str, Any]


def save_scorer(path: Path, network: ScorerNetwork, card: ScorerCard) -> None:
    """Write the network's weights and its card."""
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(card.config)),
        "identity": json.dumps(asdict(card.identity) if card.identity else None),
        "training": json.dumps(card.training),
    }
    save_tensors(path, network.state_dict(), metadata)


def load_scorer(path: Path, grid: int, part: str | None = None) -> tuple[ScorerNetwork, ScorerCard, Weights]:
    """Read a scorer of ours, or the authors' plain state dict (then ``grid`` is the backbone's)."""
    weights = read_weights(path, SCORER, part)
    ours = not weights.source.name.endswith(INDEX) and is_safetensors(head_of(weights.source))
    metadata = read_metadata(weights.source) if ours else {}
    if metadata.get("format") == FORMAT:
        check_tensors(weights.source, own=True)
        card = _read_card(path, metadata)
    else:
        card = ScorerCard(_infer_config(path, weights.state, grid), None, {})
    empty = _empty(path, card.config)
    return load_strict(empty, weights.state, f"the scorer {path.name}").float(), card, weights


def _empty(path: Path, config: ScorerConfig) -> ScorerNetwork:
    try:
        with without_values():
            return ScorerNetwork(config)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{str(path)!r} has a damaged description ({reason(error)}); train it again")


def _read_card(path: Path, metadata: dict[str, str]) -> ScorerCard:
    parts = ",".join(f'"{name}": {metadata.get(name, "null")}' for name in ("config", "identity", "training"))
    return parse_record(f"{{{parts}}}", ScorerCard, repr(str(path)), "scorer", "train it again")


def _infer_config(path: Path, state: State, grid: int) -> ScorerConfig:
    """The published shape, read from the tensors: each stage halves the side."""
    try:
        stages = sum(f"conv_stage_{i}.0.conv1.weight" in state for i in range(1, 9))
        first = [state[f"conv_stage_{i}.0.conv1.weight"] for i in range(1, stages + 1)]
        hidden = [
            state[f"fuser.{2 * i}.weight"].shape[0] for i in range(8) if f"fuser.{2 * i}.weight" in state
        ]
        classes, embedding = state["class_label_embedding.weight"].shape
        return ScorerConfig(
            channels=first[0].shape[1],
            grid=grid,
            classes=classes,
            scales=state["stage_label_embedding.weight"].shape[0],
            widths=tuple(weight.shape[0] for weight in first),
            strides=(2,) * stages,
            embedding=embedding,
            hidden=tuple(hidden),
        )
    except (KeyError, IndexError):
        raise CheckpointError(f"{str(path)!r} is no scorer; give a file of 'tts train-scorer'") from None


def check_backbone(path: Path, card: ScorerCard, backbone: BackboneIdentity) -> str | None:
    """Refuse a scorer of other shapes, weights or another schedule; returns a remark where it cannot tell.

    A backbone's name decides nothing: a converted copy of the same weights is the same backbone.
    """
    config, identity = card.config, card.identity
    if identity is None:
        _check_shapes(path, config, backbone)
        return f"scorer {path.name} does not name its backbone; it fits {backbone.name} by shape only"
    trained = replace(identity, name=backbone.name, weights=backbone.weights)
    if trained.schedule != backbone.schedule:
        _check_schedule(card, trained, backbone)
    difference = replace(trained, schedule=backbone.schedule).mismatch(backbone)
    if difference:
        raise CheckpointError(f"scorer was trained for {difference}; pass another --scorer or retrain")
    if identity.weights != backbone.weights:
        raise CheckpointError(
            f"scorer was trained for other weights ({identity.name}, {identity.weights[:12]}),"
            f" got {backbone.name}, {backbone.weights[:12]}; pass another --scorer or retrain"
        )
    if identity.schedule != backbone.schedule:
        return (
            f"scorer {path.name} was trained at schedule {_dashes(identity.schedule)}"
            f" and serves {_dashes(backbone.schedule)} by its sides"
        )
    return None


def _check_shapes(path: Path, config: ScorerConfig, backbone: BackboneIdentity) -> None:
    for what, ours, theirs in (
        ("channels", config.channels, backbone.channels),
        ("latent grid", config.grid, backbone.grid),
        ("classes", config.classes, backbone.classes),
        ("scales", config.scales, len(backbone.schedule)),
    ):
        if ours != theirs:
            raise CheckpointError(
                f"scorer {path.name} was trained for {ours} {what}, got {backbone.name} with {theirs};"
                " pass another --scorer or retrain"
            )


def _check_schedule(card: ScorerCard, trained: BackboneIdentity, backbone: BackboneIdentity) -> None:
    """Refuse a schedule that the scorer was not trained for; one of sides must know all of them."""
    if card.config.serves(backbone.schedule):
        return
    if card.config.sides:
        raise CheckpointError(
            f"scorer knows sides {_dashes(card.config.sides)}, got scale schedule"
            f" {_dashes(backbone.schedule)}; pass another --scorer or another --schedule"
        )
    raise CheckpointError(
        f"scorer was trained for {trained.mismatch(backbone)}; pass another --scorer, or retrain"
        " (with --condition side it serves every schedule of its sides)"
    )


def _dashes(sides: tuple[int, ...]) -> str:
    return "-".join(map(str, sides))
