"""Points of a sweep in one canonical form, so that settings which make the same images are measured once.

One candidate everywhere is the plain model, whatever the selector is; a selector that ignores scores needs no
scorer; a list of candidates that says the same as M with a first and a last scale becomes that. Here a point
is K scales with m_1..m_K candidates, as in Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tts.building import DIGITS
from tts.config import BEST_OF_N as BEST_OF_N
from tts.config import LSRS as LSRS
from tts.config import plan_candidates
from tts.interfaces import BackboneInfo, Selector
from tts.sample_config import SampleConfig, search_settings
from tts.scorers.automatic import FALLBACK_SCORER
from tts.search import effective_candidates
from tts.specs import BackboneSpec
from tts.strategies.best_of_n import effective_images
from tts.strategies.choose import find_selector, find_strategy

DRAWING = ("top_k_select", "temperature")
"""The settings of selectors."""

CANDIDATE_COST = 1 / 16
"""What scoring a candidate costs, in transformer passes: about that of the embedded models."""


@dataclass(frozen=True)
class Setting:
    """How the images of a point come out; ``None`` where a field makes no difference. Scales count from 1."""

    strategy: str
    scorer: str | None
    image_scorer: str | None
    selector: str | None
    candidates: str
    start_scale: int | None
    end_scale: int | None
    top_k_select: int | None
    temperature: float | None
    cfg: float
    top_k: int
    top_p: float
    schedule: str
    guidance: str

    @property
    def plain(self) -> bool:
        """Whether this is the model without selection."""
        return self.candidates == "1"


SETTING_FIELDS = tuple(field.name for field in fields(Setting))


@dataclass(frozen=True)
class Point:
    """A setting with the configuration that makes its images; ``weight`` is a rough cost of an image."""

    setting: Setting
    config: SampleConfig
    weight: float


def canonical(config: SampleConfig, spec: BackboneSpec, info: BackboneInfo, selector: Selector) -> Point:
    """The point of a configuration, whose backbone and selector were built; defaults are filled in."""
    way = find_strategy(config.strategy)
    search = search_settings(config, info)
    counts, images = effective_candidates(info, search), effective_images(info, search)
    whole, chosen, selects = images > 1, max(counts) > 1, "selector" not in way.refused
    candidates, first, last = _span(search.candidates) if chosen else (str(images), None, None)
    unused = find_selector(config.selector).unused if chosen and selects else DRAWING
    setting = Setting(
        strategy=config.strategy if whole or chosen else LSRS,
        scorer=_scorer(config.scorer, spec) if chosen and (selector.needs_scores or not selects) else None,
        image_scorer=_image_scorer(config.image_scorer) if whole else None,
        selector=config.selector if chosen and selects else None,
        candidates=candidates,
        start_scale=first,
        end_scale=last,
        top_k_select=None if "top_k_select" in unused else config.top_k_select,
        temperature=None if "temperature" in unused else float(config.temperature),
        cfg=float(search.cfg),
        top_k=search.top_k,
        top_p=float(search.top_p),
        schedule=",".join(map(str, info.schedule)),
        guidance=info.guidance.name,
    )
    scored = CANDIDATE_COST * sum(count for count in counts if count > 1)
    passes = len(counts) * images if way.name in (LSRS, BEST_OF_N) else sum(counts) * images  # one a path
    return Point(setting, _config(config, setting), passes + scored)


def _span(counts: tuple[int, ...]) -> tuple[str, int | None, int | None]:
    """M with its first and last scale, or the list where the numbers are no such span."""
    used = [k for k, count in enumerate(counts, 1) if count > 1]
    most, first, last = counts[used[0] - 1], used[0], used[-1]
    if plan_candidates(str(most), first, last, len(counts)) == counts:
        return str(most), first, last
    return ",".join(map(str, counts)), None, None


def _scorer(text: str, spec: BackboneSpec) -> str:
    """What ``auto`` stands for."""
    return (spec.default_scorer or FALLBACK_SCORER) if text == "auto" else text


def _image_scorer(text: str) -> str:
    return DIGITS if text == "auto" else text


def _config(config: SampleConfig, setting: Setting) -> SampleConfig:
    """The configuration with every field that makes no difference as it is by default."""
    default = SampleConfig()
    unused: dict[str, Any] = {
        name: getattr(default, name)
        for name in ("scorer", "image_scorer", "selector", "top_k_select", "temperature")
        if getattr(setting, name) is None
    }
    span = {"start_scale": setting.start_scale, "end_scale": setting.end_scale}
    return replace(config, strategy=setting.strategy, candidates=setting.candidates, **{**unused, **span})


def config_of(setting: Setting, base: SampleConfig, info: BackboneInfo) -> SampleConfig:
    """The configuration of a point that was measured; ``info`` is of the base, whose other fields it has."""
    values = {name: getattr(setting, name) for name in SETTING_FIELDS}
    given = {name: getattr(SampleConfig, name) if v is None else v for name, v in values.items()}
    if setting.schedule == ",".join(
        map(str, info.schedule)
    ):  # the base's own words, so that it is built once
        given["schedule"] = base.schedule
    if setting.guidance == info.guidance.name:
        given["guidance"] = base.guidance
    return replace(base, **given)


def distinct(points: list[Point]) -> list[Point]:
    """The points without repetitions, in their order."""
    first: dict[Setting, Point] = {}
    for point in points:
        first.setdefault(point.setting, point)
    return list(first.values())


def grouped(points: Sequence[Point]) -> list[Point]:
    """The points backbone by backbone, so that each is built once however few are kept in memory."""
    choices = list(dict.fromkeys(point.config.choices for point in points))
    return sorted(points, key=lambda point: choices.index(point.config.choices))
