"""Real candidates of a backbone, as a scorer sees them.

Axis letters: B images, M candidates, L tokens of a scale, V codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from tts.checks import check_batch, check_part
from tts.errors import UsageError
from tts.interfaces import (
    Backbone,
    BackboneState,
    Proposals,
    SupportsIncrements,
    SupportsPreviews,
    no_previews,
)
from tts.noise import token_uniforms
from tts.noise_streams import Stream
from tts.sampling import TokenDistribution


def drawn(logits: Tensor, scale: int, seeds: Sequence[int], candidates: int) -> tuple[Tensor, Tensor]:
    """Tokens (B, M, L) that the unfiltered logits (B, L, V) give, and their log-probabilities (B, M, L)."""
    distribution = TokenDistribution.from_logits(logits, 0, 0.0)
    own = torch.tensor(seeds, device=logits.device)
    uniforms = token_uniforms(own, Stream.SAMPLE, scale, range(candidates), logits.shape[1])
    tokens = distribution.draw(uniforms)
    return tokens, distribution.log_prob(tokens)


@torch.inference_mode()
def proposals_of(
    backbone: Backbone,
    scale: int,
    labels: Sequence[int] = (0, 1, 2),
    candidates: int = 5,
    seeds: Sequence[int] | None = None,
    cfg: float | None = None,
) -> Proposals:
    """Candidates of one scale (from 0) for each label; the scales before are those of the plain model.

    ``seeds`` are one an image (0, 1, ... unless given), ``cfg`` the guidance strength (the backbone's own).
    """
    own = range(len(labels)) if seeds is None else seeds
    check_part(backbone, "backbone", "info", "begin")
    check_batch(backbone.info, torch.tensor(labels), torch.tensor(own), number=candidates - 1)
    if scale not in range(backbone.info.scales):
        raise UsageError(f"scale {scale} must be from 0 to {backbone.info.scales - 1}")
    strength = backbone.info.sampling.cfg if cfg is None else cfg
    state = backbone.begin(torch.tensor(labels), strength)
    for before in range(scale):
        state.commit(drawn(state.logits(), before, own, 1)[0][:, 0])
    tokens, log_probs = drawn(state.logits(), scale, own, candidates)
    return seen(state, scale, torch.tensor(labels, device=tokens.device), tokens, log_probs)


def seen(state: BackboneState, scale: int, labels: Tensor, tokens: Tensor, log_probs: Tensor) -> Proposals:
    """What a scorer sees of candidates (B, M, L), with latents and previews where the state has them."""
    latent = None
    if hasattr(state, "increments"):
        latent, maps = (
            cast(SupportsIncrements, state).latent,
            cast(SupportsIncrements, state).increments(tokens),
        )
    else:
        maps = state.propose(tokens)
    previews = no_previews
    if hasattr(state, "preview"):
        images = cast(SupportsPreviews, state).preview(tokens)
        previews = lambda: images  # noqa: E731
    return Proposals(scale, labels, tokens, maps, log_probs, latent, previews)


def part_of(proposals: Proposals, rows: Tensor | slice, candidates: Tensor | slice) -> Proposals:
    """Some images, and of those some candidates."""
    latent = None if proposals.latent is None else proposals.latent[rows]
    return Proposals(
        proposals.scale,
        proposals.labels[rows],
        proposals.tokens[rows][:, candidates],
        proposals.increments[rows][:, candidates],
        proposals.log_probs[rows][:, candidates],
        latent,
        lambda: proposals.previews()[rows][:, candidates],
    )
