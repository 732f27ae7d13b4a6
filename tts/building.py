"""From a configuration to what generates its images; a cache keeps what several configurations share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import torch

from tts.config import EXACT, FAST
from tts.errors import UsageError
from tts.fast.compiling import worth_compiling
from tts.interfaces import (
    Backbone,
    BackboneInfo,
    ImageScorer,
    Scorer,
    SupportsFastBackbone,
    SupportsFastScorer,
)
from tts.manager import get_plugins
from tts.owners import inherit
from tts.pipeline import Generator
from tts.resolve import (
    build_backbone,
    build_image_scorer,
    build_scorer,
    build_selector,
    torch_device,
    torch_dtype,
)
from tts.sample_config import SampleConfig, one_based, search_settings
from tts.scorers.automatic import Automatic, automatic_scorer
from tts.search import effective_candidates
from tts.specs import IMAGES, BackboneSpec
from tts.strategies.choose import build_strategy, check_strategy_options, find_strategy

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

DIGITS = "digits"
"""The image scorer that ships with the embedded models."""


@dataclass(frozen=True)
class Model:
    """A built backbone with its spec, and the judges that were built for it, by the text that names them."""

    spec: BackboneSpec
    backbone: Backbone
    device: torch.device
    dtype: torch.dtype = torch.float32
    scorers: dict[str, Scorer | None] = field(default_factory=dict)
    fast_scorers: dict[tuple[str, bool], Scorer | None] = field(default_factory=dict)
    image_scorers: dict[str, ImageScorer] = field(default_factory=dict)
    forms: dict[bool, Backbone] = field(default_factory=dict)
    part: str | None = None

    @property
    def info(self) -> BackboneInfo:
        """Facts of the backbone."""
        return self.backbone.info

    @cached_property
    def automatic(self) -> Automatic:
        """What ``--scorer auto`` stands for."""
        return automatic_scorer(self.spec, self.backbone)

    def compiles(self, sampler: str, compile_parts: bool | None = None) -> bool:
        """Whether parts are compiled; ``None`` says where that is worth it, of the exact sampler none are."""
        return sampler == FAST and (worth_compiling(self.device) if compile_parts is None else compile_parts)

    def form(self, sampler: str, compile_parts: bool | None = None) -> Backbone:
        """The backbone in the form of a sampler, built once; ``None`` compiles where that is worth it."""
        if sampler != FAST or not isinstance(self.backbone, SupportsFastBackbone):
            return self.backbone
        compile_parts = self.compiles(sampler, compile_parts)
        return _once(self.forms, compile_parts, partial(fast_backbone, self.backbone, compile_parts))

    def scorer(self, text: str, sampler: str = EXACT, compile_parts: bool | None = None) -> Scorer | None:
        """The scorer that a text names, built once, in the form of a sampler where it has one."""
        build = partial(build_scorer, text, self.spec, self.backbone, self.device, self.part)
        plain = _once(self.scorers, text, build)
        if sampler != FAST:
            return plain
        parts = self.compiles(sampler, compile_parts)
        return _once(self.fast_scorers, (text, parts), partial(fast_form, plain, self.dtype, parts))

    def image_scorer(self, text: str) -> ImageScorer:
        """The judge of whole images that a text names, built once."""
        build = default_image_scorer if text == "auto" else partial(build_image_scorer, text)
        return _once(self.image_scorers, text, lambda: build(self.info, self.device))


class PartsCache:
    """Keeps built backbones with their judges; of more than ``most`` the one used longest ago goes."""

    def __init__(self, most: int = 2) -> None:
        self.most = most
        self._models: dict[Hashable, Model] = {}

    def model(self, config: SampleConfig) -> Model:
        """The backbone of a configuration: the same object wherever all that it is built from is equal."""
        device = torch_device(config.device)
        key = (config.backbone, config.weights, config.choices, config.dtype, device)
        model = self._models.pop(key, None)
        while model is None and len(self._models) >= self.most:
            del self._models[next(iter(self._models))]
        self._models[key] = model or build_model(config)
        return self._models[key]


def build_model(config: SampleConfig) -> Model:
    """Build the backbone that a configuration names, on its device."""
    device, dtype = torch_device(config.device), torch_dtype(config.dtype)
    files = tuple(Path(weight) for weight in config.weights)
    spec, backbone = build_backbone(config.backbone, files, device, dtype, config.choices)
    return Model(spec, backbone, device, dtype, part=config.part)


def scored(config: SampleConfig, info: BackboneInfo) -> bool:
    """Whether there are candidates that a scorer chooses among."""
    needs = (
        "selector" in find_strategy(config.strategy).refused
        or build_selector(config.selector, config.top_k_select, config.temperature).needs_scores
    )
    return needs and max(effective_candidates(info, search_settings(config, info))) > 1


def settled(config: SampleConfig, cache: PartsCache) -> tuple[SampleConfig, str | None]:
    """The configuration with the scorer that ``auto`` stands for, if it scores, and what to say of that.

    So what a run records is the scorer that it took, whatever the work folder has later.
    """
    check_strategy_options(config, SampleConfig)
    if config.scorer != "auto":
        return config, None
    model = cache.model(config)
    if not scored(config, model.info):
        return config, None
    return replace(config, scorer=model.automatic.text), model.automatic.note


def build_generator(config: SampleConfig, cache: PartsCache | None = None) -> Generator:
    """Everything that decides how the images of a configuration come out, ready to generate."""
    way = check_strategy_options(config, SampleConfig)
    model = cache.model(config) if cache else build_model(config)
    compiled = model.compiles(config.sampler, config.compile_parts)
    settings = replace(search_settings(config, model.info), compiled=compiled)
    selector = build_selector(config.selector, config.top_k_select, config.temperature)
    scorer, judged = None, scored(config, model.info)
    if judged or config.scorer != "auto":
        scorer = model.scorer(config.scorer, config.sampler, config.compile_parts)
    if judged and scorer is None and "selector" in way.refused:
        raise UsageError(f"strategy {way.name} needs a scorer; pass --scorer or --candidates 1")
    return Generator(
        backbone=model.form(config.sampler, config.compile_parts),
        scorer=scorer,
        selector=selector,
        settings=settings,
        device=model.device,
        observers=get_plugins().observers(),
        randomize_scale=one_based(config, model.info, "randomize_scale"),
        image_scorer=model.image_scorer(config.image_scorer) if way.counts == IMAGES else None,
        strategy=build_strategy(config.strategy, model.info),
    )


def fast_form(scorer: Scorer | None, dtype: torch.dtype, compile_parts: bool) -> Scorer | None:
    """What a scorer offers for the fast sampler, or the scorer itself."""
    fast = scorer.fast(dtype, compile_parts) if isinstance(scorer, SupportsFastScorer) else scorer
    return inherit(fast, scorer)


def fast_backbone(backbone: SupportsFastBackbone, compile_parts: bool) -> Backbone:
    """What a backbone offers for the fast sampler, with the same owner."""
    quick = inherit(backbone.fast(compile_parts), backbone)
    inherit(quick.info, backbone)
    return quick


def default_image_scorer(info: BackboneInfo, device: torch.device) -> ImageScorer:
    """What ``auto`` stands for: the digits' judge where the backbone makes such images."""
    try:
        return build_image_scorer(DIGITS, info, device)
    except UsageError:
        raise UsageError(
            f"no image scorer comes with {info.name}; name one with --image-scorer (see 'tts list')"
        ) from None


def _once(built: dict[K, T], key: K, make: Callable[[], T]) -> T:
    if key not in built:
        built[key] = make()
    return built[key]
