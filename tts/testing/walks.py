"""Walks of a backbone through its scales, as the search loop takes them, with all that comes out.

Axis letters: B images, M candidates, L tokens of a scale, V codes, C H W maps, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tts.interfaces import Backbone, BackboneInfo, BackboneState
from tts.testing.contract import Contract
from tts.testing.proposals import drawn

CANDIDATES = 3


@dataclass
class Walk:
    """What came out: of each scale ``logits`` (B, L, V) and ``candidates`` (B, M, L), and the ``images``."""

    logits: list[Tensor] = field(default_factory=list)
    candidates: list[Tensor] = field(default_factory=list)
    images: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def chosen(self) -> list[Tensor]:
        """The committed tokens (B, L) of each scale: the first candidates."""
        return [candidates[:, 0] for candidates in self.candidates]

    @property
    def tokens(self) -> Tensor:
        """The committed tokens (B, sum L_k)."""
        return torch.cat(self.chosen, dim=1)


def plain_walk(backbone: Backbone, labels: Tensor, cfg: float, contract: Contract) -> Walk:
    """Draw, commit and decode, and check all shapes on the way; nothing is proposed."""
    info, walk = backbone.info, Walk()
    with contract.unchanged("begin", labels=labels):
        state = backbone.begin(labels, cfg)
    for scale in range(info.scales):
        with contract.keeps(f"logits and commit must work at scale {scale + 1} of {info.scales}"):
            logits = checked_logits(state, info, len(labels), scale, contract)
            tokens, _ = drawn(logits, scale, range(len(labels)), CANDIDATES)
            walk.logits.append(logits)
            walk.candidates.append(tokens)
            chosen = tokens[:, 0].clone()
            with contract.unchanged("commit", tokens=chosen):
                state.commit(chosen)
    with contract.keeps("decode() must give images once all scales are committed"):
        walk.images = checked_images(state.decode(), info, (len(labels),), "decode()", contract)
    return walk


def checked_logits(
    state: BackboneState, info: BackboneInfo, batch: int, scale: int, contract: Contract
) -> Tensor:
    """A copy of the logits (B, L, V) of one scale."""
    shape = (batch, info.lengths[scale], info.codebook_size)
    logits = contract.tensor(state.logits(), shape, f"logits() of scale {scale + 1}", torch.float32)
    return logits.clone()  # a state may use their memory again


def checked_images(
    images: object, info: BackboneInfo, leading: tuple[int, ...], what: str, contract: Contract
) -> Tensor:
    """Images (..., 3, S, S), float32 in [0, 1]."""
    shape = (*leading, 3, info.image_size, info.image_size)
    found = contract.tensor(images, shape, what, torch.float32)
    contract.within(found, 0, 1, what, 1e-6)
    return found


Visit = Callable[[Any, int], Tensor | None]


def retrace(
    backbone: Backbone,
    labels: Tensor,
    cfg: float,
    chosen: Sequence[Tensor],
    before: Visit | None = None,
    between: Visit | None = None,
) -> Walk:
    """Walk again over chosen tokens (B, L) of each scale.

    ``before`` is called before ``logits`` and ``between`` after it, each with the state and the scale; either
    may return the tokens to commit in place of the walk's.
    """
    state, walk = backbone.begin(labels, cfg), Walk()
    for scale, tokens in enumerate(chosen):
        early = before(state, scale) if before else None
        walk.logits.append(state.logits().clone())
        late = between(state, scale) if between else None
        given = next((own for own in (late, early) if own is not None), tokens)
        state.commit(given.clone())
        walk.candidates.append(given[:, None])
    walk.images = state.decode()
    return walk


def compare(
    got: Walk,
    wanted: Walk,
    rule: str,
    contract: Contract,
    tolerance: float,
    rows: Sequence[Tensor] | None = None,
) -> None:
    """All logits and the images of two walks must agree; ``rows`` are those of ``wanted`` at each scale.

    The last of them are those of the images.
    """
    for scale, logits in enumerate(got.logits):
        reference = wanted.logits[scale]
        if rows is not None:
            reference = reference[rows[scale]]
        contract.same(logits, reference, rule, f"logits() of scale {scale + 1}", tolerance)
    images = wanted.images if rows is None else wanted.images[rows[-1]]
    contract.same(got.images, images, rule, "decode()", tolerance)
