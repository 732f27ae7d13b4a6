"""The settings that tuning chooses from: guidance, number of candidates M, first scale ST, and selection.

The plain model, one candidate, has its guidance only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tts import limits
from tts.config import FIRST_SELECTED
from tts.errors import UsageError
from tts.interfaces import BackboneInfo
from tts.sample_config import SampleConfig

STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.5)
"""Guidance beyond the value that switches it off: what suits good models is near 0, weak ones want more."""

FEWEST, MOST = 4, 128
"""Candidates M that are tried: powers of two between these."""

STARTS = (1, 2, 3)


@dataclass(frozen=True)
class Arm:
    """One of the settings to choose from; ``None`` where a field makes no difference. Scales count from 1."""

    cfg: float
    candidates: limits.Candidates = 1
    start_scale: limits.Scales | None = None
    selector: str | None = None
    top_k_select: limits.Candidates | None = None
    temperature: float | None = None

    @property
    def plain(self) -> bool:
        """Whether this is the model without selection."""
        return self.candidates == 1

    def applied(self, base: SampleConfig) -> SampleConfig:
        """The configuration that makes its images; a field that makes no difference stays as it is."""
        return replace(base, **self.named())

    def named(self) -> dict[str, Any]:
        """The fields that make a difference."""
        return {key: value for key, value in self.setting().items() if value is not None}

    def setting(self) -> dict[str, Any]:
        """The fields as ``SampleConfig`` has them, for records."""
        return {
            "selector": self.selector,
            "candidates": str(self.candidates),
            "start_scale": self.start_scale,
            "top_k_select": self.top_k_select,
            "temperature": self.temperature,
            "cfg": self.cfg,
        }

    @property
    def label(self) -> str:
        """Its settings in words."""
        if self.plain:
            return f"plain, cfg {self.cfg:g}"
        share = "" if self.top_k_select is None else f" {self.top_k_select}"
        heat = "" if self.temperature is None else f", T {self.temperature:g}"
        return f"{self.selector}{share}{heat}, M {self.candidates}, ST {self.start_scale}, cfg {self.cfg:g}"


@dataclass(frozen=True)
class Space:
    """The values of each setting; ``default`` is the backbone's guidance, ``off`` what leaves it out.

    ``stochastic[k]`` says whether scale k is drawn at random, so that there is something to select.
    """

    cfgs: tuple[float, ...]
    candidates: tuple[int, ...]
    starts: tuple[int, ...]
    stochastic: tuple[bool, ...]
    default: float
    off: float

    @property
    def usual_start(self) -> int:
        """The paper's first scale, or the nearest there is."""
        return min(self.starts, key=lambda start: abs(start - FIRST_SELECTED))

    @property
    def usual_cfg(self) -> float:
        """The backbone's guidance, or the nearest there is."""
        return min(self.cfgs, key=lambda cfg: abs(cfg - self.default))

    @property
    def plain(self) -> tuple[Arm, ...]:
        """The plain model at each guidance."""
        return tuple(Arm(cfg) for cfg in self.cfgs)

    def scored(self, arm: Arm) -> int:
        """Number of candidate maps that are scored for an image."""
        return 0 if arm.plain else arm.candidates * sum(self.stochastic[(arm.start_scale or 1) - 1 :])


def make_space(info: BackboneInfo, cfgs: tuple[float, ...] | None = None, most: int = MOST) -> Space:
    """The space of a backbone; ``cfgs`` replaces the values of guidance, ``most`` is the highest M."""
    if most < 2:
        raise UsageError(f"max-candidates {most} must be at least 2; one candidate leaves nothing to select")
    levels = [2**power for power in range(2, most.bit_length()) if FEWEST <= 2**power <= most]
    starts = tuple(start for start in STARTS if any(info.stochastic[start - 1 :]))
    if not starts:
        raise UsageError(f"{info.name} decodes greedily here, so there is nothing to select; choose another")
    default, off = info.sampling.cfg, info.guidance.off
    return Space(
        tuple(sorted(set(cfgs or cfg_values(default, off)))),
        tuple(sorted({*levels, most})),
        starts,
        info.stochastic,
        default,
        off,
    )


def cfg_values(default: float, off: float) -> tuple[float, ...]:
    """Strengths of guidance from off to well above the default, whatever the convention."""
    found = {round(off + strength, 6) for strength in STRENGTHS} | {default}
    if default > off + STRENGTHS[-1] / 2:
        found.add(round(off + 2 * (default - off), 6))
    return tuple(sorted(found))
