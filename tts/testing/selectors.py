"""The conformance check of selectors.

Axis letters: B images, M candidates.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tts.interfaces import Proposals, SelectionContext, Selector
from tts.noise import selection_uniforms
from tts.noise_streams import Stream
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title
from tts.testing.proposals import proposals_of
from tts.testing.toy import ToyBackbone

WHERE = "Selector and SelectionContext in tts/interfaces.py"
LABELS = (0, 3, 9, 3)
SCALE = 2


@torch.inference_mode()
def check_selector(selector: Selector) -> None:
    """Check the contract of a selector, for 2 to 33 candidates, with ties among scores and without.

    Nobody asks a selector about one candidate. Raises ``ConformanceError``.
    """
    contract = Contract(title("selector", selector), WHERE)
    contract.text(getattr(selector, "name", None), "name")
    needs = getattr(selector, "needs_scores", None)
    contract.require(isinstance(needs, bool), "needs_scores must be True or False", f"got {needs!r}")
    for count in (2, 5, 33):
        proposals = proposals_of(ToyBackbone(), SCALE, LABELS, count)
        for kind, scores in some_scores(count).items():
            context = context_of(proposals, scores, range(len(LABELS)))
            check_choice(selector, context, f"{count} candidates with {kind} scores", contract)
        if not needs:
            missing = torch.full((len(LABELS), count), torch.nan)
            context = context_of(proposals, missing, range(len(LABELS)))
            what = f"{count} candidates without scores (needs_scores is False, so they are NaN)"
            check_choice(selector, context, what, contract)


def some_scores(count: int) -> dict[str, Tensor]:
    """Scores (B, M) of several kinds."""
    generator = torch.Generator().manual_seed(count)
    different = torch.randn(len(LABELS), count, generator=generator)
    return {
        "different": different,
        "some equal": different.round(),
        "all equal": torch.zeros_like(different),
        "large": 1e4 * different,
    }


def context_of(proposals: Proposals, scores: Tensor, seeds: range) -> SelectionContext:
    """What a selector meets: candidates and maps of the toy backbone with given scores."""
    uniforms = selection_uniforms(torch.tensor(seeds), Stream.SAMPLE, proposals.scale, scores.shape[1])
    return SelectionContext(
        proposals.scale,
        proposals.labels,
        scores,
        uniforms,
        lambda: proposals.tokens,
        lambda: proposals.maps,
    )


def check_choice(selector: Selector, context: SelectionContext, what: str, contract: Contract) -> None:
    """One choice: in range, the same again, and each image's own."""
    found = [chosen(selector, context, what, contract, seed) for seed in (1, 2)]
    rule = "the same context must give the same choice under any global seed: chance is context.uniforms"
    contract.same(found[1], found[0], rule, f"the choice among {what}")
    rule = "the choice of an image must not depend on the rest of the batch"
    alone = [
        chosen(selector, row_of(context, row), what, contract, row) for row in range(len(context.labels))
    ]
    contract.same(torch.cat(alone), found[0], rule, f"the choice among {what}")


def chosen(selector: Selector, context: SelectionContext, what: str, contract: Contract, seed: int) -> Tensor:
    """The choice (B,), checked."""
    batch, count = context.scores.shape
    given = {"scores": context.scores, "uniforms": context.uniforms, "labels": context.labels}
    with (
        contract.keeps(f"select(context) must choose among {what}"),
        no_global_chance(contract, "select", seed),
        contract.unchanged("select", **given, tokens=context.tokens(), maps=context.maps()),
    ):
        index = selector.select(context)
    name = f"the choice among {what}"
    index = contract.tensor(index, (batch,), name, torch.int64)
    contract.within(index, 0, count - 1, name)
    return index.clone()


def row_of(context: SelectionContext, row: int) -> SelectionContext:
    """The context of one image alone."""
    own = slice(row, row + 1)
    return replace(
        context,
        labels=context.labels[own],
        scores=context.scores[own],
        uniforms=context.uniforms[own],
        tokens=lambda: context.tokens()[own],
        maps=lambda: context.maps()[own],
    )
