"""Backbones and scorers of the published sizes without trained weights, for counting and timing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tts.backbones.families import get_family
from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.flexvar import FlexVarConfig, FlexVarTransformer
from tts.backbones.presets import SCHEDULE_256, SCHEDULE_512, SPECS, VAR_PUBLISHED
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.var_adapter import make_info
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.backbones.weights import without_values
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo, Proposals
from tts.scorers.fused import FusedNetwork
from tts.scorers.network import ScorerConfig, ScorerNetwork, default_config
from tts.specs import BackboneOptions, BackboneSpec

META = torch.device("meta")
LOGITS = 2.5
"""Standard deviation of a token's logits: the published filters then leave some hundred codes."""

LIKENESS = 0.1
"""How far classes are from the unconditional one; random classes have less in common than trained ones."""

SEED = 0


@dataclass(frozen=True)
class Kind:
    """How a family's networks are made: configurations of a preset and its depth, and classes."""

    configs: Callable[[BackboneSpec, int], tuple[Any, Any]]
    transformer: Callable[[Any], Any]
    tokenizer: Callable[[Any], Any]


def untrained(
    spec: BackboneSpec, options: BackboneOptions, dtype: torch.dtype, device: torch.device
) -> Backbone:
    """A published backbone with random weights, always the same ones on a device."""
    configs = published_configs(spec)
    info = get_family(spec.family).make_info(spec.name, *configs, spec.sampling, options)
    return build_untrained(info, *configs, dtype, device)


def untrained_var(depth: int, dtype: torch.dtype, device: torch.device = META) -> Any:
    """A VAR of the published kind at 256x256, of any depth."""
    transformer = VarConfig(schedule=SCHEDULE_256, depth=depth, width=64 * depth, heads=depth)
    tokenizer = VqvaeConfig(schedule=SCHEDULE_256)
    info = make_info(f"var-d{depth}", transformer, tokenizer, VAR_PUBLISHED)
    return build_untrained(info, transformer, tokenizer, dtype, device)


def build_untrained(
    info: BackboneInfo, transformer: Any, tokenizer: Any, dtype: torch.dtype, device: torch.device
) -> Backbone:
    """A backbone of any sizes with random weights, none of them zero for want of training."""
    kind = _KINDS[info.family]
    with _seeded(device):
        parts = kind.transformer(transformer).eval(), kind.tokenizer(tokenizer).eval()
        for part in parts:
            fill_constants(part.requires_grad_(False).parameters())
    if device != META:
        spread_logits(parts[0].head.weight)
        liken_classes(parts[0].class_emb.weight)
    return get_family(info.family).backbone(info, *parts, (), device, dtype)


def published_configs(spec: BackboneSpec) -> tuple[Any, Any]:
    """The configurations of a preset's transformer and tokenizer."""
    depth = re.search(r"-d(\d+)$", spec.name)
    if depth is None or spec.family not in _KINDS:
        known = ", ".join(preset.name for preset in SPECS if preset.repo)
        raise UsageError(f"the sizes of {spec.name} are not known without weights; name one of {known}")
    return _KINDS[spec.family].configs(spec, int(depth.group(1)))


def _var_configs(spec: BackboneSpec, depth: int) -> tuple[VarConfig, VqvaeConfig]:
    shared = spec.schedule == SCHEDULE_512  # of the published ones, that of 512x512 alone
    transformer = VarConfig(**_sizes(spec, depth), shared_adaln=shared)
    return transformer, VqvaeConfig(spec.schedule, spec.codebook_size, spec.channels)


def _flexvar_configs(spec: BackboneSpec, depth: int) -> tuple[FlexVarConfig, FlexVaeConfig]:
    return FlexVarConfig(**_sizes(spec, depth)), FlexVaeConfig(spec.codebook_size, spec.channels)


def _sizes(spec: BackboneSpec, depth: int) -> dict[str, Any]:
    """Fields of every transformer: 64 wide and one head for each of its depth."""
    sizes = {"depth": depth, "width": 64 * depth, "heads": depth}
    codes = {"classes": spec.classes, "codebook_size": spec.codebook_size, "channels": spec.channels}
    return {"schedule": spec.schedule, **sizes, **codes}


_KINDS = {
    "var": Kind(_var_configs, VarTransformer, Vqvae),
    "flexvar": Kind(_flexvar_configs, FlexVarTransformer, FlexVae),
}


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Make tensors on a device, with random numbers of their own."""
    there = without_values() if device == META else device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), there:
        torch.manual_seed(SEED)
        yield


def fill_constants(parameters: Iterable[Tensor]) -> None:
    """Give random values to what starts as zeros: on zeros a chip needs less power and may run faster."""
    for parameter in parameters:
        if not parameter.is_meta and not bool(parameter.any()):
            parameter.data.normal_(std=0.02)


def spread_logits(head: Tensor) -> None:
    """Make random logits as different as trained ones, so that the filters leave some hundred codes."""
    head.data *= LOGITS / (float(head.detach().std()) * head.shape[1] ** 0.5)


def liken_classes(classes: Tensor) -> None:
    """Make classes (N, D) resemble one another, as far as guidance goes, so that it leaves codes to draw."""
    common = classes.data[-1:]  # the unconditional one
    classes.data = common + LIKENESS * (classes.data - common)


def scorer_config(info: BackboneInfo) -> ScorerConfig:
    """The published scorer's sizes for a backbone."""
    return default_config(info.channels, info.grid, info.classes, info.scales)


class UntrainedScorer:
    """The published scorer, whole in float32, or fused with blocks in ``dtype``."""

    name = "learned"

    def __init__(
        self,
        fused: bool,
        dtype: torch.dtype,
        device: torch.device = META,
        config: ScorerConfig | None = None,
        compile_blocks: bool = False,
    ) -> None:
        with _seeded(device):
            self.network = ScorerNetwork(config or ScorerConfig()).eval().requires_grad_(False)
            fill_constants(self.network.parameters())
        self.fused = FusedNetwork(self.network, dtype, compile_blocks) if fused else None

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M) of candidates."""
        if self.fused is not None:
            return self.fused(proposals.latent, proposals.increments, proposals.labels, proposals.scale)
        batch, count = proposals.tokens.shape[:2]
        labels = proposals.labels.repeat_interleave(count, output_size=batch * count)
        scales = torch.full_like(labels, proposals.scale)
        return self.network(proposals.maps.flatten(0, 1), labels, scales).unflatten(0, (batch, count))

    def fast(self, dtype: torch.dtype, compile_parts: bool = False) -> UntrainedScorer:
        """The same scorer in fewer operations; on a CPU, where these take longer, the scorer itself."""
        device = self.network.out_proj.weight.device
        if device.type == "cpu":
            return self
        return UntrainedScorer(True, dtype, device, self.network.config, compile_parts)

    def describe(self) -> dict[str, object]:
        """Where the weights came from, for a record."""
        return {"weights": "random"}
