"""What states and backbones may offer beyond the contract: increments, previews, a fast form.

Axis letters: B images, M candidates, L tokens of a scale, C H W maps, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from tts.interfaces import Backbone
from tts.testing.contract import Contract
from tts.testing.walks import Walk, checked_images, compare, retrace

FAST_ROUNDING = 1e-3
"""Differences that a fast form may make, as a share of the largest value; codes have margins far above it."""


def _before_commits(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk
) -> Iterator[tuple[Any, int, Tensor]]:
    """The state of a walk between ``logits`` and ``commit``, with the scale and its candidates (B, M, L)."""
    state = backbone.begin(labels, cfg)
    for scale, candidates in enumerate(walk.candidates):
        state.logits()
        yield state, scale, candidates
        state.commit(candidates[:, 0])


def check_increments(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """``latent`` and ``increments`` must add up to ``propose``, and change nothing."""
    if not hasattr(backbone.begin(labels, cfg), "increments"):
        return
    info, rule = backbone.info, "latent and increments(tokens) must add up to propose(tokens)"
    with contract.keeps(rule):
        for state, scale, candidates in _before_commits(backbone, labels, cfg, walk):
            what, given = f"increments() at scale {scale + 1}", candidates.clone()
            shape = (len(labels), info.channels, info.grid, info.grid)
            latent = contract.tensor(state.latent, shape, f"latent at scale {scale + 1}").clone()
            with contract.unchanged("increments", tokens=given):
                added = state.increments(given)
            contract.tensor(added, (*given.shape[:2], *shape[1:]), what)
            contract.same(latent[:, None] + added, state.propose(candidates), rule, what, tolerance)
            contract.same(state.latent, latent, "increments must change nothing", "latent")
    changes_nothing("increments", backbone, labels, cfg, walk, contract, tolerance)


def check_previews(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """``preview`` must show images, at the last scale those of ``decode``, and change nothing."""
    if not hasattr(backbone.begin(labels, cfg), "preview"):
        return
    rule = "preview(tokens) must give images of candidates (B, M, L_k)"
    for state, scale, candidates in _before_commits(backbone, labels, cfg, walk):
        given, what = candidates.clone(), f"preview() at scale {scale + 1}"
        with contract.keeps(rule), contract.unchanged("preview", tokens=given):
            images = state.preview(given)
        checked_images(images, backbone.info, tuple(given.shape[:2]), what, contract)
        last = images[:, 0]
    changes_nothing("preview", backbone, labels, cfg, walk, contract, tolerance)
    same = "at the last scale a preview must be what decode() gives after commit"
    contract.same(last, walk.images, same, what, tolerance)


def changes_nothing(
    method: str,
    backbone: Backbone,
    labels: Tensor,
    cfg: float,
    walk: Walk,
    contract: Contract,
    tolerance: float,
) -> None:
    """A walk during which ``method`` of the state is called must be the walk without."""
    rule = f"{method} changes nothing: what comes after must be as if it was not called"

    def call(state: Any, scale: int) -> None:
        getattr(state, method)(walk.candidates[scale])

    with contract.keeps(rule):
        watched = retrace(backbone, labels, cfg, walk.chosen, between=call)
    compare(watched, walk, rule, contract, tolerance)


def check_fast(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """``fast()`` must give a backbone of the same results but for rounding, and leave this one alone."""
    make: Callable[..., Backbone] | None = getattr(backbone, "fast", None)
    if make is None:
        return
    rounding = max(FAST_ROUNDING, 10 * tolerance)
    rule = "fast() must give a backbone of the same logits, maps and images but for rounding"
    with contract.keeps(rule):
        fast = make(compile_parts=False)
        contract.require(fast.info == backbone.info, rule, "its info differs")
        quick = retrace(fast, labels, cfg, walk.chosen)
        compare(quick, walk, rule, contract, rounding)
        for view, other in zip(fast.views(walk.tokens), backbone.views(walk.tokens), strict=True):
            contract.same(view, other, rule, "views()", rounding)
    after = retrace(backbone, labels, cfg, walk.chosen)
    compare(after, walk, "fast() must leave the backbone as it is", contract, rounding)
