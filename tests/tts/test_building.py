"""From a configuration to its generator, and what configurations share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tts.building import PartsCache, build_generator, default_image_scorer
from tts.pipeline import Generator, Item
from tts.sample_config import SampleConfig
from tts.scorers.learned import FusedScorer, LearnedScorer
from tts.scorers.likelihood import LikelihoodScorer
from tts.strategies.best_of_n import best_of_n

Refused = Callable[..., AbstractContextManager[None]]

CONFIG = SampleConfig(device="cpu", scorer="likelihood", candidates="3")
ITEMS = [Item(7, 0), Item(1, 5), Item(1, 6)]


def tokens(generator: Generator) -> list[list[int]]:
    (batch,) = generator.batches(ITEMS, 3)
    return batch.result.tokens.tolist()


def test_a_generator_is_what_the_configuration_says(digits_scorer: Path) -> None:
    asked = replace(CONFIG, scorer=str(digits_scorer), selector="softmax", cfg=2.0, top_k=5, start_scale=3)
    generator = build_generator(replace(asked, randomize_scale=2, chunk=2, score_memory=7))
    assert generator.backbone.info.name == "var-digits"
    assert (generator.selector.name, generator.device) == ("softmax", torch.device("cpu"))
    assert generator.scorer is not None
    assert generator.scorer.name == "learned"
    settings = generator.settings
    assert settings.candidates == (1, 1, 3, 3)
    assert (settings.cfg, settings.top_k, settings.top_p) == (2.0, 5, 0.0)
    assert (settings.chunk, settings.chunk_bytes) == (2, 7 * 2**20)
    assert generator.randomize_scale == 1


def test_a_scorer_is_built_where_there_is_a_choice_or_one_is_named() -> None:
    for changes, name in (
        ({}, "learned"),
        ({"candidates": "1"}, None),
        ({"selector": "random"}, None),
        ({"top_k": 1}, None),
        ({"candidates": "1", "scorer": "likelihood"}, "likelihood"),
    ):
        scorer = build_generator(replace(CONFIG, **{"scorer": "auto", **changes})).scorer
        assert (scorer and scorer.name) == name


def test_the_fast_sampler_has_the_fast_form_of_a_scorer(
    digits_scorer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LearnedScorer, "fast", lambda *args: FusedScorer(*args))
    cache, asked = PartsCache(), replace(CONFIG, scorer=str(digits_scorer))
    exact, fast = (build_generator(replace(asked, sampler=name), cache) for name in ("exact", "fast"))
    assert type(exact.scorer) is LearnedScorer
    assert type(fast.scorer) is FusedScorer
    assert build_generator(replace(asked, sampler="fast"), cache).scorer is fast.scorer
    assert (exact.settings.sampler, fast.settings.sampler) == ("exact", "fast")
    assert type(build_generator(replace(CONFIG, sampler="fast")).scorer) is LikelihoodScorer


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"candidates": "1,1,2,5"},
        {"cfg": 3.0, "selector": "softmax", "temperature": 0.5},
        {"labels": "3", "seeds": "9", "out": "elsewhere", "top_k": 3},
    ],
)
def test_configurations_that_differ_elsewhere_share_backbone_and_scorer(changes: dict[str, object]) -> None:
    cache = PartsCache()
    first, second = (build_generator(c, cache) for c in (CONFIG, replace(CONFIG, **changes)))
    assert second.backbone is first.backbone
    assert second.scorer is first.scorer
    assert tokens(second) == tokens(build_generator(replace(CONFIG, **changes)))


@pytest.mark.parametrize(
    "changes", [{"backbone": "flexvar-digits"}, {"dtype": "bfloat16"}, {"sample_all_scales": True}]
)
def test_another_backbone_is_another_object(changes: dict[str, object]) -> None:
    cache = PartsCache()
    base = build_generator(CONFIG, cache)
    other = build_generator(replace(CONFIG, **changes), cache)
    assert other.backbone is not base.backbone
    assert build_generator(CONFIG, cache).backbone is base.backbone
    assert build_generator(replace(CONFIG, **changes), cache).backbone is other.backbone


def test_another_scorer_leaves_the_backbone_and_the_first_scorer(digits_scorer: Path) -> None:
    cache = PartsCache()
    first = build_generator(CONFIG, cache)
    second = build_generator(replace(CONFIG, scorer=str(digits_scorer)), cache)
    assert second.backbone is first.backbone
    assert isinstance(first.scorer, LikelihoodScorer)
    assert second.scorer is not first.scorer
    assert build_generator(CONFIG, cache).scorer is first.scorer


def test_a_cache_keeps_no_more_backbones_than_it_may() -> None:
    cache = PartsCache(most=2)
    configs = [replace(CONFIG, dtype=dtype) for dtype in ("float32", "bfloat16", "float16")]
    first, second = (build_generator(config, cache).backbone for config in configs[:2])
    assert build_generator(configs[0], cache).backbone is first  # so the second was used longest ago
    build_generator(configs[2], cache)
    assert build_generator(configs[0], cache).backbone is first
    assert build_generator(configs[1], cache).backbone is not second


def test_a_backbone_that_cannot_be_built_leaves_the_others(refused: Refused) -> None:
    cache = PartsCache(most=2)
    first = build_generator(CONFIG, cache).backbone
    with refused("unknown backbone"):
        build_generator(replace(CONFIG, backbone="var-digit"), cache)
    assert build_generator(CONFIG, cache).backbone is first


def test_best_of_n_has_a_judge_of_whole_images_and_no_scorer() -> None:
    asked = replace(CONFIG, scorer="auto", strategy="best-of-n")
    cache = PartsCache()
    first = build_generator(asked, cache)
    assert (first.scorer, first.settings.whole_images, first.strategy) == (None, 3, best_of_n)
    assert first.image_scorer is not None
    assert first.image_scorer.name == "digits"
    again = build_generator(replace(asked, candidates="7"), cache)
    assert again.image_scorer is first.image_scorer
    assert again.settings.whole_images == 7
    assert build_generator(replace(asked, image_scorer="digits"), cache).image_scorer is not None
    assert build_generator(CONFIG, cache).image_scorer is None


def test_a_backbone_of_other_images_needs_a_judge_by_name(refused: Refused, fake_backbone: Any) -> None:
    with refused("no image scorer comes with fake; name one with --image-scorer"):
        default_image_scorer(fake_backbone().info, torch.device("cpu"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cfg": -1.0}, "cfg -1.0 must be a number of at least 0"),
        ({"candidates": "0"}, "candidates '0' must be whole numbers of at least 1"),
        ({"selector": "greediest"}, "unknown selector"),
        ({"scorer": "none"}, "selector greedy needs a scorer"),
        ({"randomize_scale": 5}, "randomize-scale 5 is out of range"),
        ({"device": "tpu"}, "unknown device"),
        ({"dtype": "int8"}, "unknown dtype"),
        ({"strategy": "tree"}, "unknown strategy 'tree'"),
        ({"strategy": "best-of-n"}, "--scorer does not go with --strategy best-of-n"),
        ({"image_scorer": "digits"}, "--image-scorer does not go with --strategy lsrs"),
        ({"strategy": "best-of-n", "scorer": "auto", "image_scorer": "digit"}, "unknown image scorer"),
        ({"strategy": "best-of-n", "scorer": "auto", "candidates": "1,2,3,4"}, "must be one whole number"),
    ],
)
def test_what_cannot_be_built_is_refused(refused: Refused, changes: dict[str, object], words: str) -> None:
    with refused(words):
        build_generator(replace(CONFIG, **changes))
