"""The paper's scorer at work: a trained network that judges e_k."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange, repeat
from torch import Tensor

from tts.backbones.storage import EMBEDDED
from tts.data.manifest import BackboneIdentity
from tts.errors import CheckpointError
from tts.interfaces import Proposals
from tts.io import sha256_file
from tts.scorers.checkpoint import SCORER_FILE, ScorerCard, check_backbone, load_scorer
from tts.scorers.fused import FusedNetwork
from tts.scorers.network import ScorerNetwork
from tts.specs import ScorerRequest


class LearnedScorer:
    """S(c, e_k, k) of equation 6, in float32.

    ``rows`` holds the row of the scale embedding for each scale of the schedule in use; ``remarks`` is what
    the user should know of the file.
    """

    name = "learned"

    def __init__(
        self,
        network: ScorerNetwork,
        path: Path,
        card: ScorerCard,
        rows: tuple[int, ...],
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.network = network
        self.path = path
        self.card = card
        self.rows = rows
        self.remarks = remarks

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M) of maps (B, M, C, H, W)."""
        batch, count = proposals.maps.shape[:2]
        maps = rearrange(proposals.maps, "b m c h w -> (b m) c h w")
        labels = repeat(proposals.labels, "b -> (b m)", m=count)
        scales = torch.full_like(labels, self.rows[proposals.scale])
        return rearrange(self.network(maps, labels, scales), "(b m) -> b m", b=batch)

    def fast(self, dtype: torch.dtype, compile_parts: bool = False) -> LearnedScorer:
        """The same scorer in fewer operations; on a CPU, where these take longer, the scorer itself."""
        if self.network.out_proj.weight.device.type == "cpu":
            return self
        return FusedScorer(self, dtype, compile_parts)

    def describe(self) -> dict[str, object]:
        """Where the scorer came from, for a run's record."""
        return {"file": str(self.path), "sha256": sha256_file(self.path), "training": self.card.training}


class FusedScorer(LearnedScorer):
    """The same scores, but for rounding, by the fused network, whose blocks run in ``dtype``."""

    def __init__(
        self, scorer: LearnedScorer, dtype: torch.dtype = torch.float32, compile_parts: bool = False
    ) -> None:
        super().__init__(scorer.network, scorer.path, scorer.card, scorer.rows, scorer.remarks)
        self.fused = FusedNetwork(scorer.network, dtype, compile_parts)

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M) of increments (B, M, C, H, W) on their latent (B, C, H, W)."""
        row = self.rows[proposals.scale]
        return self.fused(proposals.latent, proposals.increments, proposals.labels, row)


def shipped_scorer(backbone_name: str) -> Path:
    """The scorer that ships inside the package for an embedded backbone."""
    return EMBEDDED / f"{backbone_name}-scorer.safetensors"


def build(request: ScorerRequest) -> LearnedScorer:
    """A learned scorer from the file in ``argument``, or the one that ships with the backbone."""
    name = request.backbone.info.name
    path = Path(request.argument) if request.argument else shipped_scorer(name)
    if (path / SCORER_FILE).is_file():
        path = path / SCORER_FILE
    if not request.argument and not path.is_file():
        raise CheckpointError(
            f"no scorer ships with {name}; train one with 'tts train-scorer' and pass --scorer FILE"
        )
    network, card, weights = load_scorer(path, request.backbone.info.grid, request.part)
    remark = check_backbone(path, card, BackboneIdentity.from_backbone(request.backbone))
    rows = card.config.rows(request.backbone.info.schedule)
    said = weights.remarks if card.identity is None else weights.notes  # of ours, the type is as it should be
    remarks = (*said, *([remark] if remark else []))
    return LearnedScorer(network.to(request.device), weights.source, card, rows, remarks)
