"""A selector in one file: rejection sampling in the literal sense.

Candidates are looked at in the order they were drawn. The first whose score is at least the threshold is
kept; if none passes, the best one is. ``tts sample --selector accept:0.5`` sets the threshold (default 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AcceptSelector:
    """Keeps the first candidate with a score of at least ``threshold``, else the best."""

    threshold: float
    name: str = "accept"
    needs_scores: bool = True

    def select(self, context: tts.SelectionContext) -> Tensor:
        """Index (B,) of the kept candidate."""
        passed = context.scores >= self.threshold  # B M
        first = passed.int().argmax(dim=1)
        return first.where(passed.any(dim=1), context.scores.argmax(dim=1))


def accept(request: tts.SelectorRequest) -> AcceptSelector:
    """Build the selector from the text after the colon."""
    try:
        return AcceptSelector(float(request.argument or 0.0))
    except ValueError:
        from tts.errors import UsageError

        raise UsageError(
            f"accept threshold {request.argument!r} is no number; write --selector accept:0.5"
        ) from None


@tts.hookimpl
def tts_register_selectors() -> list[tts.SelectorSpec]:
    """Provide ``accept``."""
    return [
        tts.SelectorSpec(
            "accept",
            "tts_select_accept:accept",
            "the first candidate above a threshold",
            argument="THRESHOLD",
            unused=("top_k_select", "temperature"),
        )
    ]
