"""What ``tts bench`` is asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tts.config import BEST_OF_N, parse_range
from tts.errors import UsageError
from tts.sample_config import SampleConfig

AUTO = "auto"


@dataclass(frozen=True)
class BenchConfig:
    """``base`` names backbone, scorer, selector, sampler, and device; ``rounds`` counts measurements."""

    base: SampleConfig
    candidates: str = "1,4,32,128,1024"
    batch: str = "1"
    rounds: int = 5
    out: str | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError(f"rounds {self.rounds} must be at least 1")
        if self.base.strategy == BEST_OF_N:
            raise UsageError("bench measures candidates of a scale; leave --strategy best-of-n out")
        self.counts()
        self.batches()

    def counts(self) -> tuple[int, ...]:
        """Numbers of candidates in rising order; 1, the base of all ratios, is always among them."""
        return tuple(sorted({1, *_numbers(self.candidates, "candidates")}))

    def batches(self) -> tuple[int, ...] | None:
        """Batch sizes; ``None`` for one that is to be found."""
        return None if self.batch == AUTO else tuple(sorted(set(_numbers(self.batch, "batch"))))


def _numbers(text: str, what: str) -> tuple[int, ...]:
    numbers = parse_range(text, what)
    if min(numbers) < 1:
        raise UsageError(f"{what} {text!r} must be at least 1 everywhere")
    return numbers
