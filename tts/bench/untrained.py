"""Backbones and scorers of the published sizes without trained weights, for counting and timing."""

from __future__ import annotations

import torch

from tts.backbones.presets import SCHEDULE_256, VAR_PUBLISHED
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.var_adapter import VarBackbone, make_info
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.interfaces import Proposals
from tts.scorers.fused import FusedNetwork
from tts.scorers.network import ScorerConfig, ScorerNetwork

META = torch.device("meta")


def untrained_var(depth: int, dtype: torch.dtype, device: torch.device = META) -> VarBackbone:
    """A VAR of the published kind at 256x256, whose width is 64 times its depth."""
    transformer = VarConfig(schedule=SCHEDULE_256, depth=depth, width=64 * depth, heads=depth)
    tokenizer = VqvaeConfig(schedule=SCHEDULE_256)
    info = make_info(f"var-d{depth}", transformer, tokenizer, VAR_PUBLISHED)
    with device:
        parts = VarTransformer(transformer).eval(), Vqvae(tokenizer).eval()
    return VarBackbone(info, *parts, (), device, dtype)


class UntrainedScorer:
    """The published scorer, whole in float32, or fused with blocks in ``dtype``."""

    name = "learned"

    def __init__(self, fused: bool, dtype: torch.dtype, device: torch.device = META) -> None:
        with device:
            self.network = ScorerNetwork(ScorerConfig()).eval()
        self.fused = FusedNetwork(self.network, dtype) if fused else None

    def score(self, proposals: Proposals) -> torch.Tensor:
        """Scores (B, M) of candidates."""
        if self.fused is not None:
            return self.fused(proposals.latent, proposals.increments, proposals.labels, proposals.scale)
        batch, count = proposals.tokens.shape[:2]
        labels = proposals.labels.repeat_interleave(count, output_size=batch * count)
        scales = torch.full_like(labels, proposals.scale)
        return self.network(proposals.maps.flatten(0, 1), labels, scales).unflatten(0, (batch, count))
