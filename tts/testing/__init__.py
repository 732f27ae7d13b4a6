"""Conformance checks and exact fakes for authors of plugins.

Each check is one line in a test: it returns ``None`` where a part keeps its contract, and raises
``ConformanceError`` with the rule, what was found and where the contract stands where it does not. Importing
this package does not import torch; its names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.testing.backbones import check_backbone
    from tts.testing.contract import ConformanceError
    from tts.testing.fakes import FakeImageScorer, FakeScorer
    from tts.testing.features import check_features
    from tts.testing.image_scorers import check_image_scorer
    from tts.testing.losses import check_loss
    from tts.testing.proposals import proposals_of
    from tts.testing.scorers import check_scorer
    from tts.testing.selectors import check_selector
    from tts.testing.strategies import check_strategy
    from tts.testing.toy import ToyBackbone, ToyState

_MODULES = {
    "ConformanceError": "contract",
    "FakeImageScorer": "fakes",
    "FakeScorer": "fakes",
    "ToyBackbone": "toy",
    "ToyState": "toy",
    "check_backbone": "backbones",
    "check_features": "features",
    "check_image_scorer": "image_scorers",
    "check_loss": "losses",
    "check_scorer": "scorers",
    "check_selector": "selectors",
    "check_strategy": "strategies",
    "proposals_of": "proposals",
}

__all__ = [
    "ConformanceError",
    "FakeImageScorer",
    "FakeScorer",
    "ToyBackbone",
    "ToyState",
    "check_backbone",
    "check_features",
    "check_image_scorer",
    "check_loss",
    "check_scorer",
    "check_selector",
    "check_strategy",
    "proposals_of",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _MODULES:
        return getattr(import_module(f"tts.testing.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'tts.testing' has no attribute {name!r}")
