"""What the toolkit provides itself, through the same hooks as every plugin."""

from __future__ import annotations

from collections.abc import Iterable

from tts.hookspecs import hookimpl
from tts.specs import (
    IMAGES,
    BackboneSpec,
    FeatureSpec,
    ImageScorerSpec,
    LossSpec,
    ScorerSpec,
    SelectorSpec,
    StrategySpec,
)


@hookimpl
def tts_register_backbones() -> Iterable[BackboneSpec]:
    """Provide the published VAR models and the digits models."""
    from tts.backbones.presets import SPECS

    return SPECS


@hookimpl
def tts_register_scorers() -> Iterable[ScorerSpec]:
    """Provide the paper's scorer and a baseline that needs no training."""
    return (
        ScorerSpec(
            name="learned",
            factory="tts.scorers.learned:build",
            summary="the paper's network, from a checkpoint of tts train-scorer",
            argument="FILE",
        ),
        ScorerSpec(
            name="likelihood",
            factory="tts.scorers.likelihood:build",
            summary="log-likelihood of the candidate under the backbone; needs no training",
        ),
        ScorerSpec(
            name="preview",
            factory="tts.scorers.preview:build",
            summary="an image scorer that sees each candidate decoded as it stands",
            argument="IMAGE-SCORER",
        ),
    )


@hookimpl
def tts_register_selectors() -> Iterable[SelectorSpec]:
    """Provide the rules that choose among scored candidates."""
    no_draw = ("top_k_select", "temperature")
    return (
        SelectorSpec(
            "greedy", "tts.selectors:greedy", "the candidate with the highest score", unused=no_draw
        ),
        SelectorSpec("topk", "tts.selectors:topk", "a draw among the k highest, odds exp(score / T)"),
        SelectorSpec(
            "softmax",
            "tts.selectors:softmax",
            "a draw among all, odds exp(score / T)",
            unused=("top_k_select",),
        ),
        SelectorSpec(
            "random",
            "tts.selectors:random",
            "any candidate; the control that ignores scores",
            unused=no_draw,
        ),
    )


@hookimpl
def tts_register_strategies() -> Iterable[StrategySpec]:
    """Provide the ways to search: one path, whole images, several paths."""
    one_draw = ("selector", "top_k_select", "temperature", "candidates_of")
    return (
        StrategySpec(
            name="lsrs",
            factory="tts.strategies.strategy:build_lsrs",
            summary="one path; the best of M maps at each scale (Algorithm 1)",
        ),
        StrategySpec(
            name="best-of-n",
            factory="tts.strategies.best_of_n:build",
            summary="the best of N whole images, by an image scorer",
            counts=IMAGES,
        ),
        StrategySpec(
            name="beam",
            factory="tts.strategies.beam:build",
            summary="W paths an image, of whose M maps each the W best go on at every scale",
            argument="paths=4,prune=1-",
            unused=one_draw,
        ),
        StrategySpec(
            name="particles",
            factory="tts.strategies.particles:build",
            summary="sequential Monte Carlo: m_k paths an image, weighted and resampled by scores",
            argument="strength=1,ess=0.5,potential=increment,final=draw",
            unused=one_draw,
        ),
    )


@hookimpl
def tts_register_losses() -> Iterable[LossSpec]:
    """Provide the paper's two losses."""
    return (
        LossSpec("pairwise", "tts.scorers.losses:pairwise", "real above generated, pair by pair (eq. 4)"),
        LossSpec("pointwise", "tts.scorers.losses:pointwise", "real against generated, one by one (eq. 5)"),
    )


@hookimpl
def tts_register_features() -> Iterable[FeatureSpec]:
    """Provide the features of the ADM evaluation and those of the digits."""
    return (
        FeatureSpec(
            name="inception",
            factory="tts.evaluation.inception:build",
            summary="the FID Inception of 2015-12-05: pool_3, mixed_6 and logits, for images of any size",
            argument="FILE",
        ),
        FeatureSpec(
            name="digits",
            factory="tts.evaluation.digits:build",
            summary="the embedded classifier of handwritten digits, for images of 16x16",
        ),
    )


@hookimpl
def tts_register_image_scorers() -> Iterable[ImageScorerSpec]:
    """Provide the digits classifier as a judge of whole images."""
    return (
        ImageScorerSpec(
            name="digits",
            factory="tts.evaluation.digits:build_image_scorer",
            summary="log-probability of the requested class by the embedded classifier of digits",
        ),
    )
