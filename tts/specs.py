"""Light descriptions of what plugins provide, and the requests that build it.

Nothing here imports torch. A spec's ``factory`` is a lazy ``"module:attribute"`` string; it is imported only
when a run asks for the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from tts.interfaces import Backbone


def load_attribute(target: str) -> Any:
    """Import what a ``"module:attribute"`` string names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@dataclass(frozen=True)
class SamplingDefaults:
    """Sampling settings that a backbone uses unless the user says otherwise.

    ``cfg`` is the guidance strength in the backbone's own convention (see ``BackboneSpec.guidance``);
    ``top_k`` and ``top_p`` are off at 0.
    """

    cfg: float
    top_k: int
    top_p: float


@dataclass(frozen=True)
class CollectDefaults:
    """Settings for collecting the generated side of a scorer's data; ``None`` means as in sampling."""

    cfg: float | None = None
    top_k: int | None = None
    top_p: float | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is, without building it.

    ``factory`` names a callable ``(BackboneRequest) -> Backbone``. ``schedule`` holds the side of each scale,
    coarse to fine. ``files`` are the publisher's file names (for ``tts fetch``), ``repo`` their repository.
    """

    name: str
    family: str
    factory: str
    summary: str
    schedule: tuple[int, ...]
    classes: int
    codebook_size: int
    channels: int
    image_size: int
    sampling: SamplingDefaults
    collect: CollectDefaults = CollectDefaults()
    guidance: str = "var"
    aliases: tuple[str, ...] = ()
    repo: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    default_scorer: str | None = None


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


@dataclass(frozen=True)
class ScorerSpec:
    """A scorer by name; ``factory`` names a callable ``(ScorerRequest) -> Scorer``."""

    name: str
    factory: str
    summary: str
    argument: str | None = None


@dataclass(frozen=True)
class ScorerRequest:
    """What a scorer factory needs; ``argument`` is the text after the colon in ``--scorer name:argument``."""

    backbone: Backbone
    device: torch.device
    argument: str | None = None


@dataclass(frozen=True)
class SelectorSpec:
    """A selector by name; ``factory`` names a callable ``(SelectorRequest) -> Selector``."""

    name: str
    factory: str
    summary: str
    argument: str | None = None


@dataclass(frozen=True)
class SelectorRequest:
    """Settings that every selector receives; a selector uses those that concern it.

    ``argument`` is the text after the colon in ``--selector name:argument``.
    """

    top_k: int = 8
    temperature: float = 1.0
    argument: str | None = None


@dataclass(frozen=True)
class LossSpec:
    """A scorer loss by name; ``target`` names a callable ``(real (N,), generated (N,)) -> scalar``."""

    name: str
    target: str
    summary: str
