"""What ``tts bench`` is asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tts.config import check_sampler, parse_range
from tts.engine.launch import Launch
from tts.errors import UsageError
from tts.limits import CANDIDATES, NUMBERS, brief, check_number, check_numbers
from tts.sample_config import SampleConfig

AUTO = "auto"
RESULT = "bench.json"
ELSEWHERE = (
    *(
        "strategy",
        "image_scorer",
        "candidates",
        "candidates_of",
        "labels",
        "seeds",
        "per_class",
        "formats",
        "save_tokens",
    ),
    *("trace", "from_tokens", "from_scale", "randomize_scale", "uint8", "out", "batch_size", "overwrite"),
    *("extend", "shard", "shard_items"),
)
"""Fields of ``SampleConfig`` that a batch in memory does not need, or that the bench has itself."""


@dataclass(frozen=True)
class BenchConfig:
    """Everything that ``tts bench`` takes; ``sample`` says what is built and how it samples.

    ``candidates`` lists the numbers M and ``batch`` the batch sizes, or is ``auto``.
    """

    sample: SampleConfig
    candidates: str = "1,4,32,128"
    batch: str = AUTO
    rounds: int = 15
    decode: bool = True
    out: str | None = None
    overwrite: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers M, from 1, which all others are compared with."""
        return tuple(sorted({1, *_at_least_one(self.candidates, "candidates")}))

    @property
    def batches(self) -> tuple[int, ...] | None:
        """The batch sizes, or ``None`` where one is to be found."""
        return None if self.batch == AUTO else tuple(sorted(_at_least_one(self.batch, "batch")))

    def arm(self, candidates: int) -> SampleConfig:
        """What samples with so many candidates."""
        return replace(self.sample, candidates=str(candidates))

    def settings(self) -> dict[str, Any]:
        """The fields for a record."""
        sample = {key: value for key, value in asdict(self.sample).items() if key not in ELSEWHERE}
        own = {"batch": self.batch, "rounds": self.rounds, "decode": self.decode}
        return {**sample, "weights": list(self.sample.weights), "candidates": list(self.counts), **own}


def check_bench(config: BenchConfig) -> None:
    """Refuse numbers out of range, and results that would be lost, before anything is loaded."""
    if not config.counts or config.batches == ():
        raise UsageError("candidates and batch must name a number each")
    check_number("rounds", config.rounds, "an interval needs 6, 15 give a good one")
    check_numbers(config.sample)
    check_sampler(config.sample.sampler, config.sample.compile_parts)
    launch = Launch.from_environment()
    if launch.together:
        raise UsageError(
            f"tts bench is for one process, torchrun started {launch.world}; run it without torchrun"
        )
    if config.out is not None and not config.overwrite and (Path(config.out) / RESULT).exists():
        raise UsageError(
            f"{Path(config.out) / RESULT} is there already; choose another --out or pass --overwrite"
        )


def _at_least_one(text: str, what: str) -> tuple[int, ...]:
    also = f", or be {AUTO}" if what == "batch" else ""
    try:
        values = parse_range(text, what)
    except UsageError as error:
        raise UsageError(f"{error}{also}") from None
    most = NUMBERS["batch"][1] if what == "batch" else CANDIDATES
    if not 1 <= min(values) <= max(values) <= most:
        raise UsageError(f"{what} {brief(text)!r} must be whole numbers from 1 to {most}{also}")
    return values
