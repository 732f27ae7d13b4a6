"""Test-time scaling for scale-wise autoregressive image models (not text-to-speech).

Importing this package does not import torch; names that need it load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tts.hookspecs import hookimpl
from tts.specs import (
    BackboneOptions,
    BackboneRequest,
    BackboneSpec,
    CollectDefaults,
    FeatureRequest,
    FeatureSpec,
    Guidance,
    ImageScorerRequest,
    ImageScorerSpec,
    LossSpec,
    SamplingDefaults,
    ScorerRequest,
    ScorerSpec,
    SelectorRequest,
    SelectorSpec,
    StrategyRequest,
    StrategySpec,
)

if TYPE_CHECKING:
    from tts.config import SearchSettings
    from tts.evaluation.features import FeatureExtractor, Features
    from tts.interfaces import (
        Backbone,
        BackboneInfo,
        BackboneState,
        ImageScorer,
        Proposals,
        ScaleEvent,
        Scorer,
        SelectionContext,
        Selector,
    )
    from tts.search import SearchResult
    from tts.strategies.strategy import Judges, Strategy

__version__ = "0.1.0"

_LAZY = {
    "Backbone": "tts.interfaces",
    "BackboneInfo": "tts.interfaces",
    "BackboneState": "tts.interfaces",
    "FeatureExtractor": "tts.evaluation.features",
    "Features": "tts.evaluation.features",
    "ImageScorer": "tts.interfaces",
    "Judges": "tts.strategies.strategy",
    "Proposals": "tts.interfaces",
    "ScaleEvent": "tts.interfaces",
    "Scorer": "tts.interfaces",
    "SearchResult": "tts.search",
    "SearchSettings": "tts.config",
    "SelectionContext": "tts.interfaces",
    "Selector": "tts.interfaces",
    "Strategy": "tts.strategies.strategy",
}

__all__ = [
    "Backbone",
    "BackboneInfo",
    "BackboneOptions",
    "BackboneRequest",
    "BackboneSpec",
    "BackboneState",
    "CollectDefaults",
    "FeatureExtractor",
    "FeatureRequest",
    "FeatureSpec",
    "Features",
    "Guidance",
    "ImageScorer",
    "ImageScorerRequest",
    "ImageScorerSpec",
    "Judges",
    "LossSpec",
    "Proposals",
    "SamplingDefaults",
    "ScaleEvent",
    "Scorer",
    "ScorerRequest",
    "ScorerSpec",
    "SearchResult",
    "SearchSettings",
    "SelectionContext",
    "Selector",
    "SelectorRequest",
    "SelectorSpec",
    "Strategy",
    "StrategyRequest",
    "StrategySpec",
    "__version__",
    "hookimpl",
]


def __dir__() -> list[str]:
    """All names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tts' has no attribute {name!r}")
