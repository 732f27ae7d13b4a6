"""What makes a trained scorer doubtful: one line for each thing, with the way out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tts.scorers.settings import TrainSettings

LEAST = 0.55
"""Held-out accuracy below which a scale's choice is hardly better than a coin's."""

_ERRORS = 2.0  # standard errors above 0.5 that few held-out images demand as well


def doubts(settings: TrainSettings, steps: int, accuracy: Sequence[float], items: int) -> Iterator[str]:
    """Lines about a training of so many steps.

    ``accuracy`` is that of each scale on held-out pairs; ``items`` the held-out images of the smaller side,
    which bound how much the pairs can tell. The first scale does not count: it says next to nothing (LSRS
    paper, section 4.3).
    """
    bound = max(LEAST, 0.5 + _ERRORS * 0.5 / math.sqrt(max(1, items)))
    judged = [(k, a) for k, a in zip(settings.scales, accuracy, strict=True) if k > 0]
    judged = judged or list(zip(settings.scales, accuracy, strict=True))
    poor = [f"{k + 1} ({a:.3f})" for k, a in judged if a < bound]
    if poor:
        who = "the scorer" if len(poor) == len(judged) else f"the scorer at scale {', '.join(poor)}"
        more = "train on more pairs or epochs (--epoch-pairs, --epochs), or collect more images"
        yield (
            f"{who} ranks held-out pairs no better than chance: accuracy below {bound:.2f}, of {items} images"
            f" a side; {more}"
        )
    horizon = 1 / (1 - settings.ema)
    if settings.ema and horizon > steps:
        least = 1 - 1 / steps if steps > 1 else 0.0
        yield (
            f"the moving average of --ema {settings.ema:g} spans {horizon:.0f} steps, the training has"
            f" {steps}: it is mostly of the first steps; pass --ema"
            f" {math.floor(1000 * least) / 1000:g} or less, or train longer"
        )
