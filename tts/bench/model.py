"""The model that is measured: the user's weights, a model's own, or random ones of the published sizes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts.backbones.adapter import Adapter
from tts.bench.untrained import META, UntrainedScorer, scorer_config, untrained
from tts.building import Model, build_model, fast_form
from tts.config import FAST, SearchSettings, choose_options
from tts.interfaces import Backbone, Scorer, Selector
from tts.resolve import build_selector, find_backbone, torch_device, torch_dtype
from tts.sample_config import SampleConfig, check_output, search_settings
from tts.scorers.learned import LearnedScorer
from tts.search import SearchResult, search
from tts.specs import BackboneSpec

RANDOM, OWN, GIVEN = "random", "its own", "given"


@dataclass(frozen=True)
class BenchModel:
    """A backbone with its judges, and where its weights came from."""

    config: SampleConfig
    backbone: Backbone
    scorer: Scorer | None
    selector: Selector
    device: torch.device
    weights: str

    def settings(self, candidates: int, decode: bool) -> SearchSettings:
        """Those of the configuration, with so many candidates from the second scale on."""
        config = replace(self.config, candidates=str(candidates))
        return replace(search_settings(config, self.backbone.info), decode=decode)

    def run(self, batch: int, candidates: int, decode: bool = False) -> SearchResult:
        """Generate a batch of different classes and seeds."""
        seeds = torch.arange(batch, device=self.device)
        labels = seeds % self.backbone.info.classes
        settings = self.settings(candidates, decode)
        return search(self.backbone, self.scorer, self.selector, settings, labels, seeds)

    def decode(self, tokens: Tensor) -> Tensor:
        """Images of a batch's token maps."""
        return self.backbone.decode(tokens)


def bench_model(config: SampleConfig) -> BenchModel:
    """The model that a configuration names; random weights where it has none on this machine."""
    check_output(config)
    spec, _ = find_backbone(config.backbone)
    device, dtype = torch_device(config.device), torch_dtype(config.dtype)
    selector = build_selector(config.selector, config.top_k_select, config.temperature)
    if config.weights or not spec.repo or fetched(spec):
        model = build_model(config)
        scorer = model.scorer(config.scorer, config.sampler == FAST) if selector.needs_scores else None
        backbone = model.form(config.sampler, config.compile_parts)
        return BenchModel(config, backbone, scorer, selector, device, GIVEN if spec.repo else OWN)
    plain = untrained(spec, choose_options(spec, config.choices), dtype, device)
    model = Model(spec, plain, device, dtype)
    if config.scorer != "auto":
        scorer = model.scorer(config.scorer, config.sampler == FAST)
    else:
        scorer = UntrainedScorer(False, torch.float32, device, scorer_config(plain.info))
        scorer = fast_form(scorer, dtype) if config.sampler == FAST else scorer
    backbone = model.form(config.sampler, config.compile_parts)
    return BenchModel(config, backbone, scorer, selector, device, RANDOM)


def fetched(spec: BackboneSpec) -> bool:
    """Whether both parts of a published model are in the download cache."""
    from tts.backbones.fetch import cached_file

    return all(cached_file(spec, role) is not None for role in spec.files)


def on_meta(model: BenchModel) -> BenchModel | None:
    """The same model without memory, for counting what a GPU would do; ``None`` where its kind is unknown."""
    config, backbone = model.config, model.backbone
    if not isinstance(backbone, Adapter):
        return None
    scorer = scorer_on_meta(model)
    if model.scorer is not None and scorer is None:
        return None
    dtype = torch_dtype(config.dtype)
    transformer = copy.deepcopy(backbone.transformer).to(META)
    tokenizer = copy.deepcopy(exact_tokenizer(backbone)).to(META)
    plain: Any = type(backbone)(backbone.info, transformer, tokenizer, (), META, dtype)
    fast = config.sampler == FAST
    return replace(
        model,
        backbone=plain.fast() if fast else plain,
        scorer=fast_form(scorer, dtype) if fast else scorer,
        device=META,
    )


def exact_tokenizer(backbone: Adapter[Any, Any]) -> Any:
    """The tokenizer with the decoder that it was loaded with."""
    return backbone.exact.tokenizer if backbone.exact else backbone.tokenizer


def scorer_on_meta(model: BenchModel) -> Scorer | None:
    """The learned scorer without memory; ``None`` for other kinds."""
    scorer = model.scorer
    if isinstance(scorer, UntrainedScorer):
        return UntrainedScorer(False, torch.float32, META, scorer.network.config)
    if isinstance(scorer, LearnedScorer):
        network = copy.deepcopy(scorer.network).to(META)
        return LearnedScorer(network, Path(), scorer.card, scorer.rows)
    return None
