"""The conformance check of scorers.

Axis letters: B images, M candidates.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from tts.interfaces import Backbone, Proposals, Scorer, no_previews
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title
from tts.testing.proposals import part_of, proposals_of
from tts.testing.toy import ToyBackbone

WHERE = "Scorer and Proposals in tts/interfaces.py"
ROUNDING = 1e-4
FAST_ROUNDING = 1e-2
CANDIDATES = 5


@torch.inference_mode()
def check_scorer(scorer: Scorer, backbone: Backbone | None = None, *, tolerance: float = ROUNDING) -> None:
    """Check the contract of a scorer on real candidates of every scale.

    They come from ``backbone``, the one that the scorer was built for, or from ``ToyBackbone()``.
    ``tolerance`` bounds differences that only rounding makes, as a share of the largest score. Raises
    ``ConformanceError``.
    """
    contract = Contract(title("scorer", scorer), WHERE)
    contract.text(getattr(scorer, "name", None), "name")
    contract.record(scorer)
    source = ToyBackbone() if backbone is None else backbone
    labels = tuple(sorted({0, source.info.classes // 2, source.info.classes - 1}))
    for scale in range(source.info.scales):
        proposals = proposals_of(source, scale, labels, CANDIDATES)
        scores = check_scores(scorer, proposals, contract)
        check_others(scorer, proposals, scores, contract, tolerance)
        check_fast(scorer, proposals, scores, contract)


def check_scores(scorer: Scorer, proposals: Proposals, contract: Contract) -> Tensor:
    """Scores (B, M), which must be numbers, the same twice, without chance or changes to the arguments."""
    where, shape = f"scores at scale {proposals.scale + 1}", tuple(proposals.tokens.shape[:2])
    found = []
    for seed in (1, 2):
        with (
            contract.keeps("score(proposals) must take candidates of every scale"),
            no_global_chance(contract, "score", seed),
            unchanged(contract, "score", proposals),
        ):
            scores = scorer.score(proposals)
        found.append(contract.finite(scores, shape, where).clone())
    rule = "the same candidates must get the same scores each time, whatever the global seed is"
    contract.same(found[1], found[0], rule, where)
    return found[0]


def check_others(
    scorer: Scorer, proposals: Proposals, scores: Tensor, contract: Contract, tolerance: float
) -> None:
    """A score must depend on its own candidate and image alone: on no other, and on no order."""
    batch, count = scores.shape
    every, name = slice(None), f"scores at scale {proposals.scale + 1}"
    candidate = "a candidate's score must not depend on the others of its image"
    image = "the scores of an image must not depend on the rest of the batch"
    for parts in (slices(count, 2), slices(count, 1), [torch.arange(count).flip(0)]):
        with contract.keeps(candidate):
            chunks = [scorer.score(part_of(proposals, every, part)) for part in parts]
            found = torch.cat(chunks, dim=1)
        wanted = torch.cat([scores[:, part] for part in parts], dim=1)
        contract.same(found, wanted, candidate, name, tolerance)
    for rows in (slices(batch, 1), [torch.arange(batch).flip(0)]):
        with contract.keeps(image):
            found = torch.cat([scorer.score(part_of(proposals, own, every)) for own in rows])
        contract.same(found, torch.cat([scores[own] for own in rows]), image, name, tolerance)


def check_fast(scorer: Any, proposals: Proposals, scores: Tensor, contract: Contract) -> None:
    """``fast()``, where a scorer has it, must give the same scores but for rounding."""
    if not hasattr(scorer, "fast"):
        return
    rule = "fast(dtype, compile_parts) must give a scorer of the same scores but for rounding"
    with contract.keeps(rule):
        quick = scorer.fast(torch.float32, False).score(proposals)
    what = f"fast scores at scale {proposals.scale + 1}"
    contract.same(contract.finite(quick, tuple(scores.shape), what), scores, rule, what, FAST_ROUNDING)
    again = scorer.score(proposals)
    contract.same(again, scores, "fast() must leave the scorer as it is", what, ROUNDING)


def unchanged(contract: Contract, what: str, proposals: Proposals) -> AbstractContextManager[None]:
    """A context that ``what`` leaves with the proposals as they were."""
    tensors = ("labels", "tokens", "increments", "log_probs", "latent", "maps")
    given = {name: getattr(proposals, name) for name in tensors}
    if proposals.previews is not no_previews:
        given["previews"] = proposals.previews()
    return contract.unchanged(what, **given)


def slices(count: int, size: int) -> list[slice]:
    """Consecutive parts of so many."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
