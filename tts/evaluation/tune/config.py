"""What ``tts tune`` is asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from tts.errors import UsageError
from tts.evaluation.digits_source import PARTS
from tts.evaluation.sweep.config import DIGITS, INCEPTION, option_words
from tts.evaluation.tune.budget import parse_duration
from tts.evaluation.tune.objective import Objective, find_objective
from tts.evaluation.tune.space import MOST, Arm
from tts.limits import NUMBERS, brief, check_numbers
from tts.sample_config import SETTINGS, SampleConfig

MOST_SEED = 10**6
"""Seeds of a tune; each has a thousand seed sets of its own."""

FOUND = ("backbone", "scorer", "candidates", "cfg")
"""Settings that a settings file always names."""

SHARED = (
    *("backbone", "weights", "part", "schedule", "guidance", "sample_all_scales", "scorer"),
    *("top_k", "top_p", "uint8", "sampler", "dtype", "device", "batch_size", "chunk", "score_memory"),
)
"""Options of ``tts sample`` that all settings which are tried share."""

OWN = (
    *("budget", "objective", "reference", "features", "cfgs", "max_candidates", "max_overhead", "min_images"),
    *("seed", "out"),
)


@dataclass(frozen=True)
class TuneConfig:
    """Everything that ``tts tune`` takes: ``base`` is what the settings that are tried change.

    ``budget`` is a time like ``20m``, ``cfgs`` guidance strengths like ``0,0.5,1``; ``max_overhead`` bounds
    the seconds an image in those of the plain model, ``min_images`` is the fewest images of a measurement.
    """

    base: SampleConfig
    budget: str = "20m"
    objective: str = "fid"
    reference: str = "heldout"
    features: str = "auto"
    cfgs: str | None = None
    max_candidates: int = MOST
    max_overhead: float | None = None
    min_images: int | None = None
    seed: int = 0
    out: str | None = None
    overwrite: bool = False

    def parse(self) -> Asked:
        """The values that are given as text, once all are checked."""
        if self.base.scorer == "none":
            raise UsageError("scorer none leaves nothing to select by; give one with --scorer")
        if self.max_overhead is not None and not self.max_overhead > 0:
            raise UsageError(
                f"max-overhead {self.max_overhead:g} must be above 0; 1 is the plain model's time"
            )
        if not 0 <= self.seed <= MOST_SEED:
            raise UsageError(f"seed {self.seed} must be from 0 to {MOST_SEED}")
        for config in (self, self.base):
            check_numbers(config)
        cfgs = None if self.cfgs is None else parse_cfgs(self.cfgs)
        return Asked(parse_duration(self.budget), find_objective(self.objective), cfgs)

    @property
    def features_text(self) -> str:
        """The features, where ``auto`` stands for those that suit the reference."""
        if self.features != "auto":
            return self.features
        return DIGITS if self.reference in PARTS else INCEPTION

    def options(self) -> dict[str, Any]:
        """What decides the search and the verdict, beside models, features and reference."""
        hashed = ("backbone", "weights", "scorer")
        shared = {
            name: value
            for name, value in self.base.settings().items()
            if name in SHARED and name not in hashed
        }
        own = [name for name in OWN if name not in ("reference", "features", "out")]
        read = {
            "budget": parse_duration(self.budget),
            "cfgs": None if self.cfgs is None else list(parse_cfgs(self.cfgs)),
        }
        return {
            **shared,
            **{name: getattr(self, name) for name in own},
            **read,
        }

    def command(self) -> str:
        """The command that goes on with this tune, as it is typed."""
        words = ["tts", "tune"]
        for name in SHARED:
            words += option_words(name, getattr(self.base, name), getattr(SampleConfig, name))
        for name in OWN:
            words += option_words(name, getattr(self, name), getattr(TuneConfig, name))
        return shlex.join(words)

    def settings(self, arm: Arm) -> dict[str, Any]:
        """The fields of ``SampleConfig`` that make an arm's images, without what is so by default."""
        config = arm.applied(self.base)
        values = {name: getattr(config, name) for name in SETTINGS}
        return {
            name: value
            for name, value in values.items()
            if name in FOUND or name in arm.named() or value != getattr(SampleConfig, name)
        }


@dataclass(frozen=True)
class Asked:
    """Options that are given as text, read."""

    budget: float
    objective: Objective
    cfgs: tuple[float, ...] | None


def parse_cfgs(text: str) -> tuple[float, ...]:
    """Guidance strengths of text like ``0,0.5,1``."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    low, high = NUMBERS["cfg"]
    if not values or not all(low <= value <= high for value in values):
        raise UsageError(f"cfgs {brief(text)!r} must be numbers from {low} to {high}, like 0,0.5,1")
    return values
