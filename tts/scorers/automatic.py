"""What ``--scorer auto`` stands for: the scorer in the work folder, the one that ships, or likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts.data.manifest import BackboneIdentity
from tts.errors import CheckpointError
from tts.interfaces import Backbone
from tts.scorers.checkpoint import SCORER_FILE, check_backbone, load_scorer
from tts.specs import BackboneSpec
from tts.workspace import place_of

FALLBACK_SCORER = "likelihood"
"""Ranks the candidates of a backbone for which no scorer was trained."""


@dataclass(frozen=True)
class Automatic:
    """A text of ``--scorer`` that says the same as ``auto``, and what the user should know of it."""

    text: str
    note: str | None = None


def automatic_scorer(spec: BackboneSpec, backbone: Backbone) -> Automatic:
    """The scorer in the work folder if it was trained on the weights and for the schedule in use.

    One that does not fit is named and left out, for the one that ships or for likelihood.
    """
    path = place_of(spec.name).scorer / SCORER_FILE
    misfit = _misfit(path, backbone) if path.is_file() else ""
    if misfit is None:
        return Automatic(
            str(path), f"scorer {path}, which was trained for this model; --scorer names another"
        )
    usual = spec.default_scorer or FALLBACK_SCORER
    if misfit:
        return Automatic(usual, f"scorer {path} is left out ({misfit}); {usual} is taken in its place")
    return Automatic(usual, None if spec.default_scorer else no_scorer(spec.name))


def no_scorer(name: str) -> str:
    """What to say where no one trained a scorer."""
    return (
        f"{name} has no scorer of its own, so candidates are ranked by {FALLBACK_SCORER}, which may make"
        f" images worse; train one with 'tts train-scorer --backbone {name}', or pass --candidates 1"
    )


def _misfit(path: Path, backbone: Backbone) -> str | None:
    """Why a scorer does not suit a backbone, if it does not."""
    identity = BackboneIdentity.from_backbone(backbone)
    try:
        card = load_scorer(path, backbone.info.grid)[1]
        check_backbone(path, card, identity)
        card.config.rows(backbone.info.schedule)
    except CheckpointError as error:
        return str(error)
    if card.identity is None or card.identity.weights != identity.weights:
        return "it was trained on other weights"
    return None
