"""The conformance check of judges of whole images.

Axis letters: B images, S pixels a side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.interfaces import ImageScorer
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title

WHERE = "ImageScorer in tts/interfaces.py"
ROUNDING = 1e-4


def some_images(size: int) -> Tensor:
    """Images (5, 3, S, S) in [0, 1]: noise, shades, black and white."""
    noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    shade = torch.linspace(0, 1, size).expand(1, 3, size, size)
    return torch.cat((noise, shade, torch.zeros(1, 3, size, size), torch.ones(1, 3, size, size)))


@torch.inference_mode()
def check_image_scorer(
    scorer: ImageScorer, classes: int = 10, image_size: int = 16, *, tolerance: float = ROUNDING
) -> None:
    """Check the contract of a judge of images of ``image_size`` pixels a side, for labels below ``classes``.

    ``tolerance`` bounds differences that only rounding makes, as a share of the largest score. Raises
    ``ConformanceError``.
    """
    contract = Contract(title("image scorer", scorer), WHERE)
    contract.text(getattr(scorer, "name", None), "name")
    contract.record(scorer)
    images = some_images(image_size)
    labels = torch.arange(len(images)) * 7 % classes
    found = []
    for seed in (1, 2):
        with (
            contract.keeps("score(images, labels) must take images (B, 3, S, S) in [0, 1] and labels (B,)"),
            no_global_chance(contract, "score", seed),
            contract.unchanged("score", images=images, labels=labels),
        ):
            scores = scorer.score(images, labels)
        found.append(contract.finite(scores, tuple(labels.shape), "scores").clone())
    rule = "the same images must get the same scores each time, whatever the global seed is"
    contract.same(found[1], found[0], rule, "scores")
    rule = "the score of an image must not depend on the rest of the batch"
    with contract.keeps(rule):
        alone = [scorer.score(images[i : i + 1], labels[i : i + 1]) for i in range(len(images))]
        turned = scorer.score(images.flip(0), labels.flip(0)).flip(0)
        found += [torch.cat(alone), turned]
    for scores in found[2:]:
        contract.same(scores, found[0], rule, "scores", tolerance)
