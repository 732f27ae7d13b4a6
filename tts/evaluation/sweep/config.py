"""What ``tts sweep`` is asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from tts.errors import UsageError
from tts.evaluation.digits_source import PARTS
from tts.evaluation.figures import MetricOptions
from tts.evaluation.sweep.grid import AXES, Grid, parse_grids, parse_sets
from tts.evaluation.sweep.lab import check_images
from tts.limits import check_numbers
from tts.sample_config import SETTINGS, SampleConfig

DIGITS, INCEPTION = "digits", "inception"

FILES = ("formats", "save_tokens", "trace", "from_tokens", "from_scale")
"""Fields of ``SampleConfig`` about files, which a sweep has no use for."""

BASE = (*(name for name in SETTINGS if name not in FILES), "device", "batch_size", "chunk", "score_memory")
"""Fields of ``SampleConfig`` that the base of a sweep may choose."""


@dataclass(frozen=True)
class SweepConfig:
    """Everything that ``tts sweep`` takes: ``base`` is what the points of the grids change.

    ``seeds`` names seed sets of ``images`` images each, as ``parse_sets`` reads them. Without grids nothing
    is measured. ``against`` is the folder of another sweep, or the id of a point of this one. ``time`` asks
    for so many rounds that time the points with ``time_images`` images each.
    """

    base: SampleConfig
    out: str | None = None
    grids: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    images: int = 1000
    seeds: str = "3"
    features: str = "auto"
    reference: str = "heldout"
    metrics: MetricOptions = field(default_factory=MetricOptions)
    keep_images: bool = False
    against: str | None = None
    time: int | None = None
    time_images: int = 250
    threads: int | None = None

    def check(self) -> None:
        """Refuse numbers out of range."""
        check_images(self.images)
        if self.base.candidates_of is not None:
            raise UsageError("candidates-of does not go with a sweep: a point has one number for all labels")
        for config in (self, self.base, self.metrics):
            check_numbers(config)

    def parse(self) -> tuple[tuple[Grid, ...], tuple[int, ...]]:
        """The grids and the seed sets."""
        return parse_grids(self.grids, self.further), parse_sets(self.seeds)

    @property
    def features_text(self) -> str:
        """The features, where ``auto`` stands for those that suit the reference."""
        if self.features != "auto":
            return self.features
        return DIGITS if self.reference in PARTS else INCEPTION

    def command(self, grids: tuple[Grid, ...]) -> str:
        """The command that goes on with this sweep, as it is typed."""
        words = ["tts", "sweep"]
        for name in BASE:
            words += option_words(name, getattr(self.base, name), getattr(SampleConfig, name))
        for grid in grids:
            words += ["--grid", grid.text]
        for name in ("images", "seeds", "features", "reference", "keep_images", "out"):
            default = SweepConfig.__dataclass_fields__[name].default
            words += option_words(name, getattr(self, name), default)
        return shlex.join(words)


def frame(base: SampleConfig) -> dict[str, Any]:
    """The fields of a base that all points share and that decide their images, but for hashed files."""
    hashed = ("backbone", "weights")
    left_out = (*AXES, *FILES, *hashed)
    return {name: value for name, value in base.settings().items() if name not in left_out}


def option_words(name: str, value: Any, default: Any) -> list[str]:
    """The words of an option that is not as by default."""
    option = f"--{name.replace('_', '-')}"
    if value == default:
        return []
    if value is True:
        return [option]
    if isinstance(value, tuple):
        return [word for one in value for word in (option, str(one))]
    return [option, str(value)]
