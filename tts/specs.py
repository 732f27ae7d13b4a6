"""Light descriptions of what plugins provide, and the requests that build it.

Nothing here imports torch. A spec's ``factory`` is a lazy ``"module:attribute"`` string; it is imported only
when a run asks for the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts import limits

if TYPE_CHECKING:
    import torch

    from tts.interfaces import Backbone

Schedule = tuple[int, ...]
"""The side of each scale, coarse to fine."""


def load_attribute(target: str) -> Any:
    """Import what a ``"module:attribute"`` string names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@dataclass(frozen=True)
class Guidance:
    """A form of classifier-free guidance: its name, the strength ``off`` that leaves it out, its formula.

    Conventions differ: where the formula adds ``t (cond - uncond)`` to the conditional logits, 0 is off;
    where it adds it to the unconditional ones, 1 is.
    """

    name: str
    off: float
    formula: str


VAR_GUIDANCE = Guidance("var", 0.0, "cond + t (cond - uncond), t = cfg k / (K - 1), k from 0")
FLEXVAR_GUIDANCE = Guidance(
    "flexvar", 0.0, "cond + t (cond - uncond), t = cfg k / min(K - 1, 9), cfg above the trained side"
)
LLAMAGEN_GUIDANCE = Guidance("llamagen", 1.0, "uncond + cfg (cond - uncond), the same at every scale")


@dataclass(frozen=True)
class SamplingDefaults:
    """Sampling settings that a backbone uses unless the user says otherwise.

    ``cfg`` is the guidance strength in the convention of the backbone's first form
    (``BackboneSpec.guidance``); ``top_k`` and ``top_p`` are off at 0.
    """

    cfg: float
    top_k: limits.Count
    top_p: limits.Share


@dataclass(frozen=True)
class CollectDefaults:
    """Settings for collecting the generated side of a scorer's data; ``None`` means as in sampling."""

    cfg: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    per_class: int | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is, without building it.

    ``factory`` names a callable ``(BackboneRequest) -> Backbone``. ``schedule`` holds the side of each scale,
    coarse to fine. Where it can be chosen at sampling time, ``max_side`` is the largest last side and
    ``schedules`` are the ones that have a name. ``guidance`` holds the guidance forms, the default first.
    ``files`` are the publisher's file names (for ``tts fetch``), ``repo`` their repository. ``class_names``
    are those of the first and the last class, as the folders of its training images are named.
    ``real_images`` is what ``tts collect --real`` takes of images that are always at hand.
    """

    name: str
    family: str
    factory: str
    summary: str
    schedule: Schedule
    classes: int
    codebook_size: int
    channels: int
    image_size: int
    sampling: SamplingDefaults
    collect: CollectDefaults = CollectDefaults()
    guidance: tuple[Guidance, ...] = (VAR_GUIDANCE,)
    max_side: int | None = None
    schedules: dict[str, Schedule] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    repo: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    default_scorer: str | None = None
    class_names: tuple[str, str] | None = None
    real_images: str | None = None


@dataclass(frozen=True)
class BackboneOptions:
    """What the user may choose of how a backbone computes; unset means as the spec says.

    ``schedule`` and ``guidance`` are among those that the spec allows. ``sample_all_scales`` draws at random
    also at scales where the publishers decode greedily. ``part`` names the weights to take of files that hold
    several.
    """

    schedule: Schedule | None = None
    guidance: Guidance | None = None
    sample_all_scales: bool = False
    part: str | None = None


@dataclass(frozen=True)
class BackboneRequest:
    """What a backbone factory needs to build a backbone.

    ``weights`` are local files given by the user (empty: the spec's own). ``dtype`` is the compute dtype of
    the transformer and of the image decoder.
    """

    spec: BackboneSpec
    device: torch.device
    dtype: torch.dtype
    weights: tuple[Path, ...] = ()
    options: BackboneOptions = BackboneOptions()


@dataclass(frozen=True)
class ScorerSpec:
    """A scorer by name; ``factory`` names a callable ``(ScorerRequest) -> Scorer``."""

    name: str
    factory: str
    summary: str
    argument: str | None = None


@dataclass(frozen=True)
class ScorerRequest:
    """What a scorer factory needs; ``argument`` is the text after the colon in ``--scorer name:argument``.

    ``part`` names the weights to take of a file that holds several.
    """

    backbone: Backbone
    device: torch.device
    argument: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class SelectorSpec:
    """A selector by name; ``factory`` names a callable ``(SelectorRequest) -> Selector``.

    ``unused`` names the settings that the selector has no use for (``top_k_select``, ``temperature``): they
    are refused.
    """

    name: str
    factory: str
    summary: str
    argument: str | None = None
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class SelectorRequest:
    """Settings that every selector receives; a selector uses those that concern it.

    ``argument`` is the text after the colon in ``--selector name:argument``.
    """

    top_k: int = 8
    temperature: float = 1.0
    argument: str | None = None


@dataclass(frozen=True)
class FeatureSpec:
    """A feature extractor by name; ``factory`` names a callable ``(FeatureRequest) -> FeatureExtractor``."""

    name: str
    factory: str
    summary: str
    argument: str | None = None


@dataclass(frozen=True)
class FeatureRequest:
    """What an extractor's factory needs; ``argument`` is the text after the colon in ``--features``."""

    device: torch.device
    argument: str | None = None


@dataclass(frozen=True)
class ImageScorerSpec:
    """A judge of whole images; ``factory`` names a callable ``(ImageScorerRequest) -> ImageScorer``."""

    name: str
    factory: str
    summary: str
    argument: str | None = None


@dataclass(frozen=True)
class ImageScorerRequest:
    """What an image scorer's factory needs.

    ``classes`` and ``image_size`` are the backbone's; ``argument`` is the text after the colon in
    ``--image-scorer name:argument``.
    """

    classes: int
    image_size: int
    device: torch.device
    argument: str | None = None


SCALES, IMAGES = "scales", "images"
"""What ``--candidates`` counts: candidate maps, one number a scale, or whole images."""


@dataclass(frozen=True)
class StrategySpec:
    """A strategy by name; ``factory`` names a callable ``(StrategyRequest) -> Strategy``.

    ``counts`` says what ``--candidates`` counts: maps of the ``scales``, which the scorer judges, or whole
    ``images``, which the image scorer judges. ``unused`` names further fields of ``tts.SampleConfig`` that
    the strategy has no use for (``selector``, ``temperature``): they are refused.
    """

    name: str
    factory: str
    summary: str
    argument: str | None = None
    counts: str = SCALES
    unused: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """All fields that the strategy has no use for."""
        others = ("image_scorer",) if self.counts == SCALES else OF_SCALES
        return (*others, *self.unused)


OF_SCALES = (
    "scorer",
    "selector",
    "top_k_select",
    "temperature",
    "start_scale",
    "end_scale",
    "candidates_of",
    "trace",
)
"""Fields of a configuration that say something of the choice at a scale."""


@dataclass(frozen=True)
class StrategyRequest:
    """What a strategy's factory needs; ``argument`` is the text after the colon in ``--strategy``."""

    argument: str | None = None


@dataclass(frozen=True)
class LossSpec:
    """A scorer loss by name; ``target`` names a callable ``(real (N,), generated (N,)) -> scalar``."""

    name: str
    target: str
    summary: str
