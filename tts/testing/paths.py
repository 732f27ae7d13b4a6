"""States that keep several paths: what ``reindex`` must carry along.

Axis letters: B images, R rows after a reindex, M candidates, L tokens of a scale.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tts.interfaces import Backbone
from tts.testing.contract import Contract
from tts.testing.walks import Walk, compare, retrace

CARRY = (
    "the batch must go on as a fresh batch of those rows would: latents, both guidance halves, keys and"
    " values follow their row"
)


def check_reindex(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """``reindex`` must carry all that belongs to a row, before ``logits`` and after it."""
    if not hasattr(backbone.begin(labels, cfg), "reindex"):
        return
    for when in ("before logits", "between logits and commit"):
        follow(backbone, labels, cfg, walk, when, contract, tolerance)


def follow(
    backbone: Backbone,
    labels: Tensor,
    cfg: float,
    walk: Walk,
    when: str,
    contract: Contract,
    tolerance: float,
) -> None:
    """Reorder and repeat rows at every scale, and compare what follows with the rows of the walk."""
    rule = f"after reindex(rows) {when} {CARRY}"
    current = torch.arange(len(labels))  # R, rows of the walk
    history: list[Tensor] = []
    early = when == "before logits"

    def move(state: Any, scale: int) -> Tensor:
        nonlocal current
        if not early:
            history.append(current)  # logits came before the move
        rows = shuffled(len(current), scale)
        given = rows.to(walk.images.device)
        with contract.unchanged("reindex", rows=given):
            state.reindex(given)
        current = current[rows]
        if early:
            history.append(current)
        else:
            show(state, scale, current)
        return walk.candidates[scale][current, 0]

    def show(state: Any, scale: int, rows: Tensor) -> None:
        candidates, what = walk.candidates[scale][rows], f"propose() of scale {scale + 1}"
        with contract.keeps(rule):
            maps = state.propose(candidates)
        contract.same(maps, reference[scale][rows], rule, what, tolerance)

    reference = maps_of(backbone, labels, cfg, walk)
    with contract.keeps(rule):
        moved = retrace(
            backbone,
            labels,
            cfg,
            walk.chosen,
            before=move if early else None,
            between=(lambda state, scale: show(state, scale, current)) if early else move,
        )
    compare(moved, walk, rule, contract, tolerance, [*history, current])


def maps_of(backbone: Backbone, labels: Tensor, cfg: float, walk: Walk) -> list[Tensor]:
    """Maps (B, M, C, H, W) of the walk's candidates at each scale."""
    maps: list[Tensor] = []

    def keep(state: Any, scale: int) -> None:
        maps.append(state.propose(walk.candidates[scale]).clone())

    retrace(backbone, labels, cfg, walk.chosen, between=keep)
    return maps


def shuffled(count: int, scale: int) -> Tensor:
    """Rows in another order: at even scales the last comes first too, at odd ones the first goes."""
    rows = torch.arange(count)
    return torch.cat((rows[-1:], rows)) if scale % 2 == 0 else rows[1:].flip(0)
