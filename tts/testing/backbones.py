"""The conformance check of backbones.

Axis letters: B images, M candidates, L tokens of a scale, V codes, C H W maps, K scales, S pixels a side.
"""

from __future__ import annotations

import itertools
import math
import re

import torch
from torch import Tensor

from tts.interfaces import Backbone, BackboneInfo
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title
from tts.testing.extras import check_fast, check_increments, check_previews
from tts.testing.paths import check_reindex
from tts.testing.walks import Walk, checked_images, compare, plain_walk, retrace

WHERE = "Backbone and BackboneState in tts/interfaces.py"
ROUNDING = 1e-4
"""Differences that another order of summation may make, as a share of the largest value."""


@torch.inference_mode()
def check_backbone(backbone: Backbone, cfg: float | None = None, *, tolerance: float = ROUNDING) -> None:
    """Check the contract of a backbone and of its states; optional parts are checked where they are there.

    ``cfg`` is the guidance strength to check at: the backbone's own, or one where its own is off. Up to three
    classes are generated, a dozen times with guidance, so that a check of a large model takes as long as
    some forty images. ``tolerance`` bounds differences that only rounding makes, as a share of the largest
    value. Raises ``ConformanceError``.
    """
    info = getattr(backbone, "info", None)
    contract = Contract(title("backbone", info or backbone), WHERE)
    if not isinstance(info, BackboneInfo):
        contract.fail("info must be a BackboneInfo", f"got {type(info).__name__}")
    check_info(info, contract)
    strength = cfg if cfg is not None else info.sampling.cfg
    if cfg is None and strength == info.guidance.off:
        strength = info.guidance.off + 1.5
    labels = torch.tensor(sorted({0, info.classes // 2, info.classes - 1}))
    with no_global_chance(contract, "generation", 1):
        walk = plain_walk(backbone, labels, strength, contract)
    with no_global_chance(contract, "generation", 2):
        again = retrace(backbone, labels, strength, walk.chosen)
    compare(again, walk, "a walk over the same tokens must give the same results", contract, tolerance)
    check_rows(backbone, labels, strength, walk, contract, tolerance)
    check_proposals(backbone, labels, strength, walk, contract, tolerance)
    check_tokenizer(backbone, walk, contract, tolerance)
    check_guidance(backbone, labels, contract, tolerance)
    check_hash(backbone, contract)
    check_increments(backbone, labels, strength, walk, contract, tolerance)
    check_previews(backbone, labels, strength, walk, contract, tolerance)
    check_reindex(backbone, labels, strength, walk, contract, tolerance)
    check_fast(backbone, labels, strength, walk, contract, tolerance)


def check_info(info: BackboneInfo, contract: Contract) -> None:
    """The facts must agree with each other."""
    for name in ("name", "family"):
        contract.text(getattr(info, name), f"info.{name}")
    sides = tuple(info.schedule)
    rising = sides[:1] == (1,) and all(a < b for a, b in itertools.pairwise(sides)) and len(sides) > 1
    contract.require(rising, "info.schedule must increase from 1, in two scales at least", f"got {sides}")
    lengths = tuple(side * side for side in sides)
    contract.require(
        tuple(info.lengths) == lengths, f"info.lengths must be {lengths}", f"got {tuple(info.lengths)}"
    )
    least = {"codebook_size": 2, "channels": 1, "grid": 1, "classes": 1, "image_size": 1}
    for name, lowest in least.items():
        value = getattr(info, name)
        right = isinstance(value, int) and value >= lowest
        contract.require(right, f"info.{name} must be a whole number of at least {lowest}", f"got {value!r}")
    flags = info.stochastic
    contract.require(
        len(flags) == len(sides) and all(isinstance(flag, bool) for flag in flags),
        f"info.stochastic must say of each of the {len(sides)} scales whether its tokens are drawn",
        f"got {flags}",
    )
    known = info.uint8 in ("truncate", "round")
    contract.require(known, "info.uint8 must be 'truncate' or 'round'", f"got {info.uint8!r}")
    finite = math.isfinite(info.guidance.off)
    contract.require(finite, "info.guidance.off must be a finite number", f"got {info.guidance.off}")


def check_rows(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """An image must not depend on the rest of its batch."""
    rule = "an image alone must come out as it does in a batch"
    for row in range(len(labels)):
        part = slice(row, row + 1)
        with contract.keeps(rule):
            alone = retrace(backbone, labels[part], cfg, [tokens[part] for tokens in walk.chosen])
        own = [torch.tensor([row])] * len(walk.chosen)
        compare(alone, walk, rule, contract, tolerance, own)


def check_proposals(
    backbone: Backbone, labels: Tensor, cfg: float, walk: Walk, contract: Contract, tolerance: float
) -> None:
    """``propose`` must show each candidate by itself, and change nothing."""
    info, shown = backbone.info, []
    state = backbone.begin(labels, cfg)
    silent = "propose changes nothing: what comes after must be as if it was not called"
    for scale, candidates in enumerate(walk.candidates):
        with contract.keeps(silent):
            logits = state.logits()
        contract.same(logits, walk.logits[scale], silent, f"logits() of scale {scale + 1}", tolerance)
        what = f"propose() at scale {scale + 1}"
        shape = (*candidates.shape[:2], info.channels, info.grid, info.grid)
        given = candidates.clone()
        with (
            contract.keeps(f"{what} must take candidates (B, M, L_k)"),
            contract.unchanged(what, tokens=given),
        ):
            maps = contract.tensor(state.propose(given), shape, what, torch.float32).clone()
        with contract.keeps(silent):
            again = state.propose(given)
            alone = torch.cat([state.propose(part) for part in given.split(1, dim=1)], dim=1)
        contract.same(again, maps, silent, f"a second {what}", tolerance)
        contract.same(alone, maps, "many candidates must be shown as each is alone", what, tolerance)
        shown.append(maps[:, 0])
        with contract.keeps(silent):
            state.commit(candidates[:, 0])
    with contract.keeps(silent):
        images = state.decode()
    contract.same(images, walk.images, silent, "decode()", tolerance)
    check_views(backbone, walk.tokens, shown, contract, tolerance)


def check_views(
    backbone: Backbone, tokens: Tensor, shown: list[Tensor], contract: Contract, tolerance: float
) -> None:
    """``views`` must give for recorded tokens what ``propose`` showed."""
    rule = "views(tokens) must give at each scale the map that propose() gave for the committed tokens"
    with contract.keeps(rule), contract.unchanged("views", tokens=tokens):
        views = backbone.views(tokens)
    contract.require(len(views) == len(shown), rule, f"got {len(views)} maps for {len(shown)} scales")
    for scale, (view, maps) in enumerate(zip(views, shown, strict=True)):
        contract.tensor(view, tuple(maps.shape), f"views()[{scale}]", torch.float32)
        contract.same(view, maps, rule, f"views()[{scale}]", tolerance)


def check_tokenizer(backbone: Backbone, walk: Walk, contract: Contract, tolerance: float) -> None:
    """``decode`` must agree with the state's, and ``encode`` give tokens."""
    info, tokens = backbone.info, walk.tokens
    rule = "decode(tokens) must give the images of a state that committed these tokens"
    with contract.keeps(rule), contract.unchanged("decode", tokens=tokens):
        images = backbone.decode(tokens)
    checked_images(images, info, (len(tokens),), "decode(tokens)", contract)
    contract.same(images, walk.images, rule, "decode(tokens)", tolerance)
    given = walk.images.clone()
    with contract.keeps("encode must take images (B, 3, S, S)"), contract.unchanged("encode", images=given):
        found = backbone.encode(given)
    contract.tensor(found, (len(tokens), info.tokens), "encode(images)", torch.int64)
    contract.within(found, 0, info.codebook_size - 1, "tokens of encode(images)")
    contract.same(backbone.encode(given), found, "encode must give the same tokens twice", "encode(images)")


def check_guidance(backbone: Backbone, labels: Tensor, contract: Contract, tolerance: float) -> None:
    """Guidance left out must be what guidance tends to at ``info.guidance.off``."""
    off = backbone.info.guidance.off
    plain = plain_walk(backbone, labels, off, contract)
    rule = f"at cfg {off:g}, info.guidance.off, logits must be those that guidance tends to"
    with contract.keeps(rule):
        near = retrace(backbone, labels, off + 1e-6, plain.chosen)
    compare(near, plain, rule, contract, max(tolerance, ROUNDING))


def check_hash(backbone: Backbone, contract: Contract) -> None:
    """``weights_hash`` must be a SHA-256 that stays the same."""
    rule = "weights_hash() must be the same 64 lower-case hexadecimal digits each time"
    with contract.keeps(rule):
        first, second = backbone.weights_hash(), backbone.weights_hash()
    right = isinstance(first, str) and bool(re.fullmatch("[0-9a-f]{64}", first))
    contract.require(right and first == second, rule, f"got {first!r} and then {second!r}")
