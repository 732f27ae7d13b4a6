"""Errors of a plugin's part name the plugin, its version and the hook; those of built-ins do not."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tts.building import PartsCache, build_generator
from tts.errors import PluginError, ScoreError, ShapeError
from tts.manager import get_plugins
from tts.owners import Origin, claim, inherit, origin_of, titled
from tts.pipeline import Item
from tts.sample_config import SampleConfig

Install = Callable[..., Path]
Refused = Callable[..., AbstractContextManager[None]]

ORIGIN = Origin("acme 1.2", "tts_register_scorers", "sum")


@dataclass
class Part:
    """Something with a name."""

    name: str = "sum"


class Slotted:
    """Nothing can refer to it weakly."""

    __slots__ = ()


def test_a_claimed_part_is_titled_with_its_origin() -> None:
    part = claim(Part(), ORIGIN)
    assert titled(part) == "sum (acme 1.2, tts_register_scorers)"
    assert titled(Part()) == "sum"
    assert titled(claim(Part("other"), None)) == "other"
    assert titled(inherit(Part("fast"), part)) == "fast (acme 1.2, tts_register_scorers)"


def test_parts_without_a_name() -> None:
    assert titled(Slotted()) == "Slotted"
    assert titled(claim(Slotted(), ORIGIN)) == "sum (acme 1.2, tts_register_scorers)"
    assert titled(gc.collect) == "collect"


def test_a_dead_part_is_forgotten() -> None:
    part = claim(Part(), ORIGIN)
    key = id(part)
    assert origin_of(part) == ORIGIN
    del part
    gc.collect()
    from tts import owners

    assert key not in owners._ORIGINS


PARTS = """
import dataclasses
from tts.specs import *

@tts.hookimpl
def tts_register_scorers():
    return [ScorerSpec(name, f"acme:{name}", "s") for name in ("flat", "nothing", "endless", "empty", "lost")]

@tts.hookimpl
def tts_register_selectors():
    return [SelectorSpec(name, f"acme:{name}", "s") for name in ("pair", "far", "wide")]

@tts.hookimpl
def tts_register_strategies():
    return [StrategySpec(name, f"acme:{name}", "s") for name in ("short", "silent", "halves")]

@tts.hookimpl
def tts_register_image_scorers():
    return [ImageScorerSpec("grid", "acme:grid", "s")]

class Scorer:
    name = "acme-scorer"
    def __init__(self, rule):
        self.rule = rule
    def score(self, proposals, *rest):
        return self.rule(proposals)

def flat(request): return Scorer(lambda p: p.maps.flatten(2).sum(2)[:, 0])
def nothing(request): return Scorer(lambda p: None)
def endless(request): return Scorer(lambda p: p.maps.flatten(2).sum(2) * float("nan"))
def empty(request): return object()
def grid(request): return Scorer(lambda images: images.flatten(1))

class Selector:
    name, needs_scores = "acme-selector", True
    def __init__(self, rule):
        self.rule = rule
    def select(self, context):
        return self.rule(context.scores.argmax(dim=1))

def pair(request): return Selector(lambda index: index[:, None].expand(-1, 2))
def far(request): return Selector(lambda index: index + 100)
def wide(request): return Selector(lambda index: index.float())

def strategy(change):
    def run(*args):
        from tts.strategies.strategy import lsrs
        return change(lsrs(*args))
    return run

def short(request): return strategy(lambda r: dataclasses.replace(r, tokens=r.tokens[:, 1:]))
def silent(request): return strategy(lambda r: None)
def halves(request): return strategy(lambda r: dataclasses.replace(r, tokens=r.tokens.float()))
"""

CONFIG = SampleConfig(device="cpu", scorer="likelihood", candidates="3")
ITEMS = [Item(7, 0), Item(1, 5)]

WRONG: list[tuple[dict[str, str], str, type[Exception]]] = [
    ({"scorer": "flat"}, "scores of acme-scorer (acme 1.0, tts_register_scorers) must have", ShapeError),
    ({"scorer": "nothing"}, "scores of acme-scorer (acme 1.0, tts_register_scorers) must be a", ShapeError),
    ({"scorer": "endless"}, "scorer acme-scorer (acme 1.0, tts_register_scorers) gave a score", ScoreError),
    ({"selector": "pair"}, "choice of acme-selector (acme 1.0, tts_register_selectors) must", ShapeError),
    ({"selector": "far"}, "selector acme-selector (acme 1.0, tts_register_selectors) must", ShapeError),
    ({"selector": "wide"}, "selector acme-selector (acme 1.0, tts_register_selectors) must", ShapeError),
    ({"strategy": "short"}, "(acme 1.0, tts_register_strategies) must have shape (2, 30)", ShapeError),
    (
        {"strategy": "silent"},
        "(acme 1.0, tts_register_strategies) must return a tts.Search",
        ShapeError,
    ),
    ({"strategy": "halves"}, "(acme 1.0, tts_register_strategies) must be int64, got float32", ShapeError),
    (
        {"scorer": "preview:grid"},
        "scores of acme-scorer (acme 1.0, tts_register_image_scorers) must have",
        ShapeError,
    ),
    (
        {"scorer": "auto", "strategy": "best-of-n", "image_scorer": "grid"},
        "scores of acme-scorer (acme 1.0, tts_register_image_scorers) must have",
        ShapeError,
    ),
]


@pytest.mark.parametrize(("changes", "words", "kind"), WRONG)
def test_a_wrong_result_names_plugin_version_and_hook(
    changes: dict[str, str], words: str, kind: type[Exception], install: Install, refused: Refused
) -> None:
    install("acme", PARTS)
    cache = PartsCache()
    generator = build_generator(replace(CONFIG, **changes), cache)
    with refused(words, kind=kind, code=1):
        list(generator.batches(ITEMS, 2))
    (batch,) = build_generator(CONFIG, cache).batches(ITEMS, 2)  # the rest keeps working
    assert batch.result.tokens.shape == (2, 30)


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("empty", "scorer 'empty' (acme 1.0, tts_register_scorers) was built as object, which has no name"),
        ("lost", "scorer 'lost' (acme 1.0, tts_register_scorers) cannot be imported"),
    ],
)
def test_a_part_that_is_none_is_refused_with_its_owner(
    scorer: str, words: str, install: Install, refused: Refused
) -> None:
    install("acme", PARTS)
    with refused(words, kind=PluginError):
        build_generator(replace(CONFIG, scorer=scorer))


BACKBONE = """
from tts.specs import *

@tts.hookimpl
def tts_register_backbones():
    from tts.specs import VAR_GUIDANCE
    facts = dict(schedule=(1, 2, 3, 4), classes=10, codebook_size=16, channels=3, image_size=16)
    sampling = SamplingDefaults(0.5, 0, 0.0)
    return [BackboneSpec("acme-toy", "toy", "acme:build", "s", sampling=sampling, **facts)]

def build(request):
    from tts.testing import ToyBackbone, ToyState

    class State(ToyState):
        def {method}
    return ToyBackbone(name="acme-toy", state=State)
"""

METHODS = {
    "logits(self): return super().logits()[..., 1:]": "logits must have shape (2, 1, 16), got (2, 1, 15)",
    "logits(self): return super().logits().long()": "logits must be floating-point numbers, got int64",
    "increments(self, tokens): return super().increments(tokens)[:, :, tokens.shape[1] - 1 :]": (
        "proposals must have shape"
    ),
    "decode(self): return super().decode()[..., 1:]": "images must have shape (2, 3, 16, 16)",
    "preview(self, tokens): return super().preview(tokens)[:, :, 0]": "previews must have shape",
}


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_backbone_is_named(method: str, install: Install, refused: Refused) -> None:
    install("acme", BACKBONE.replace("{method}", method))
    scorer = "preview:digits" if "preview" in method else "likelihood"
    generator = build_generator(replace(CONFIG, backbone="acme-toy", scorer=scorer))
    with refused(f"acme-toy (acme 1.0, tts_register_backbones) {METHODS[method]}", kind=ShapeError, code=1):
        list(generator.batches(ITEMS, 2))


def test_the_fast_form_keeps_the_owner(install: Install) -> None:
    source = PARTS + "\n    def fast(self, *args): return Scorer(self.rule)\n".replace("    def", "def", 1)
    install("acme", source + "Scorer.fast = fast\n")
    scorer = build_generator(replace(CONFIG, scorer="flat", sampler="fast")).scorer
    assert titled(scorer) == "acme-scorer (acme 1.0, tts_register_scorers)"


def test_built_ins_have_no_origin() -> None:
    plugins = get_plugins()
    assert plugins.origin(plugins.scorers, "learned") is None
    assert titled(build_generator(CONFIG).scorer) == "likelihood"
