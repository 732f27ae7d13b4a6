"""Every hook of the toolkit. A plugin implements those that it needs, marked with ``@tts.hookimpl``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from tts.interfaces import ScaleEvent
    from tts.specs import (
        BackboneSpec,
        FeatureSpec,
        ImageScorerSpec,
        LossSpec,
        ScorerSpec,
        SelectorSpec,
        StrategySpec,
    )

ENTRY_POINT_GROUP = "scalewise_tts"

hookspec = pluggy.HookspecMarker("tts")
hookimpl = pluggy.HookimplMarker("tts")


@hookspec
def tts_register_backbones() -> Iterable[BackboneSpec]:
    """Provide backbones. Called once a process, the first time any plugin is needed.

    :returns: the specs; a name or alias that is already taken breaks the plugin that comes second.
    """
    return ()


@hookspec
def tts_register_scorers() -> Iterable[ScorerSpec]:
    """Provide scorers. Called once a process, the first time any plugin is needed.

    :returns: the specs; the factory of the chosen one is called once a run.
    """
    return ()


@hookspec
def tts_register_selectors() -> Iterable[SelectorSpec]:
    """Provide selectors. Called once a process, the first time any plugin is needed.

    :returns: the specs; the factory of the chosen one is called once a run.
    """
    return ()


@hookspec
def tts_register_strategies() -> Iterable[StrategySpec]:
    """Provide strategies: ways to spend more computation on an image. Called once a process, as above.

    :returns: the specs; the factory of the chosen one is called once a run.
    """
    return ()


@hookspec
def tts_register_losses() -> Iterable[LossSpec]:
    """Provide losses for ``tts train-scorer``. Called once a process, the first time any plugin is needed.

    :returns: the specs; the target of the chosen one is called at every training step.
    """
    return ()


@hookspec
def tts_register_features() -> Iterable[FeatureSpec]:
    """Provide feature extractors for ``tts eval``. Called once a process, as above.

    :returns: the specs; the factory of the chosen one is called once an evaluation.
    """
    return ()


@hookspec
def tts_register_image_scorers() -> Iterable[ImageScorerSpec]:
    """Provide judges of whole images for ``--strategy best-of-n``. Called once a process, as above.

    :returns: the specs; the factory of the chosen one is called once a run.
    """
    return ()


@hookspec
def tts_register_commands(app: typer.Typer) -> None:
    """Add commands to the command line. Called once, after the built-in commands are in place.

    :param app: an application whose commands join the root one; use ``@app.command()``.
    """


@hookspec
def tts_after_scale(event: ScaleEvent) -> None:
    """Observe a choice. Called after each scale at which candidates were scored, once a batch.

    :param event: labels, seeds, scale, scores (B, M), choice (B,) and the number of duplicates (B,);
        read-only.
    """
