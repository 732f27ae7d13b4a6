"""How figures and costs are named and written in tables and plots."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["lower", "higher"]
ARROWS = {"lower": "↓", "higher": "↑"}
MINUS = "−"


@dataclass(frozen=True)
class Measure:
    """A figure: its key, its name, its unit, which side is better, and how many decimals it has at least.

    ``factor`` turns the stored number into one of the unit. An ``exact`` one is a count, without a spread.
    """

    key: str
    name: str
    better: Better | None = None
    unit: str = ""
    decimals: int = 2
    factor: float = 1.0
    exact: bool = False

    @property
    def header(self) -> str:
        """The name with unit and arrow, for a table."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}{' ' + ARROWS[self.better] if self.better else ''}"

    @property
    def axis(self) -> str:
        """The name with unit and direction in words, for a plot."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}" + (f", {self.better} is better" if self.better else "")


@dataclass(frozen=True)
class Number:
    """A mean with its spread over seed sets, ``None`` where there is one set only."""

    mean: float
    spread: float | None = None

    def text(self, decimals: int) -> str:
        """``1.66 ± 0.02``."""
        mean = f"{self.mean:.{decimals}f}"
        if self.spread is None:
            return mean
        return f"{mean} ± {self.spread:.{decimals}f}"


def decimals_for(measure: Measure, means: Iterable[float]) -> int:
    """Decimals that show the smallest number of a column with three digits, five decimals at most."""
    sizes = [abs(mean) for mean in means if mean]
    if not sizes:
        return measure.decimals
    return min(max(measure.decimals, 2 - math.floor(math.log10(min(sizes)))), 5)


def signed(value: float, decimals: int) -> str:
    """A difference with its sign."""
    text = f"{abs(value):.{decimals}f}"
    return f"{MINUS if value < 0 and float(text) else '+'}{text}"


INCEPTION = Measure("inception_score", "IS", "higher")
PRECISION = Measure("precision", "precision", "higher", decimals=3)
RECALL = Measure("recall", "recall", "higher", decimals=3)
ACCURACY = Measure("accuracy", "accuracy", "higher", "%", decimals=1, factor=100)
VARIANCE = Measure("variance", "variance within a class", decimals=1)
SECONDS = Measure("seconds_per_1000", "seconds per 1 000 images", decimals=1)
MEMORY = Measure("peak_mib", "peak memory", None, "MiB", decimals=0)
PASSES = Measure("transformer_passes_per_image", "transformer passes an image", exact=True)
SCORER_CALLS = Measure("scorer_calls_per_image", "maps scored an image", exact=True)
DECODER_CALLS = Measure("decoder_calls_per_image", "images decoded an image", exact=True)
JUDGED = Measure("image_scorer_calls_per_image", "images judged an image", exact=True)


@dataclass(frozen=True)
class Names:
    """The measures whose names depend on the features: FID with Inception's, FD with others."""

    title: str

    @property
    def fid(self) -> Measure:
        """The Frechet distance."""
        return Measure("fid", self.title, "lower")

    @property
    def sfid(self) -> Measure:
        """That of spatial features."""
        return Measure("sfid", f"s{self.title}", "lower")

    @property
    def parts(self) -> tuple[Measure, ...]:
        """The Frechet distance and its parts (LSRS paper, appendix F)."""
        return (
            replace(self.fid, decimals=3),
            Measure("mean_diff2", "‖μr − μg‖²", "lower", decimals=3),
            Measure("trace_term", "trace term", "lower", decimals=3),
            Measure("trace_samples", "Tr(Σg)", decimals=3),
            Measure("two_trace_sqrt", "2 Tr((ΣrΣg)^½)", decimals=3),
        )
