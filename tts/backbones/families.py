"""What a family of models brings, so that storage, conversion and building name none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tts.backbones.parts import Weights
from tts.backbones.weights import State
from tts.errors import CheckpointError, UsageError
from tts.interfaces import Backbone, BackboneInfo
from tts.specs import BackboneOptions, Guidance, SamplingDefaults, Schedule, load_attribute

Loaded = tuple[BackboneInfo, Any, Any, tuple[Weights, ...]]
"""Facts, transformer, tokenizer, and where their weights came from."""


@dataclass(frozen=True)
class Family:
    """The parts of one family. A transformer's configuration is a ``TransformerSizes``.

    ``recognises`` says whether a transformer's state is of this family. ``infer_transformer`` reads a
    transformer's configuration from (state, schedule or None, schedule where nothing else says it), and
    ``infer_tokenizer`` a tokenizer's from (state, the transformer's). ``make_info`` makes the facts from
    (name, both configurations, sampling defaults, options) and ``backbone`` the adapter from what was
    ``Loaded``, the device and the dtype. ``max_side`` is the largest last side of a free schedule (then the
    configuration has a ``trained_side``, too), ``None`` where it is fixed; ``fallback`` is the schedule of
    converted weights that do not say theirs.
    """

    name: str
    title: str
    sampling: SamplingDefaults
    guidance: tuple[Guidance, ...]
    fallback: Schedule | None
    schedules: dict[str, Schedule]
    transformer_config: type
    tokenizer_config: type
    recognises: Callable[[State], bool]
    infer_transformer: Callable[[State, Schedule | None, Schedule | None], Any]
    infer_tokenizer: Callable[[State, Any], Any]
    build_transformer: Callable[[State, Any], torch.nn.Module]
    build_tokenizer: Callable[[State, Any], torch.nn.Module]
    image_size: Callable[[Any, Any], int]
    max_side: Callable[[Any], int | None]
    make_info: Callable[[str, Any, Any, SamplingDefaults, BackboneOptions], BackboneInfo]
    backbone: Callable[..., Backbone]


_FAMILIES = {
    "var": "tts.backbones.var_adapter:FAMILY",
    "flexvar": "tts.backbones.flexvar_adapter:FAMILY",
}
FAMILIES = tuple(_FAMILIES)


def get_family(name: str) -> Family:
    """The family of that name."""
    if name not in _FAMILIES:
        raise UsageError(f"unknown family {name!r}; use {' or '.join(FAMILIES)}")
    family: Family = load_attribute(_FAMILIES[name])
    return family


def recognise(state: State) -> Family:
    """The family that recognises a transformer's state; the first one where none does."""
    families = [get_family(name) for name in FAMILIES]
    return next((family for family in families if family.recognises(state)), families[0])


def check_family(state: State, family: Family) -> None:
    """Refuse a transformer that another family recognises as its own."""
    others = (get_family(name) for name in FAMILIES if name != family.name)
    found = next((other for other in others if other.recognises(state)), None)
    if found and not family.recognises(state):
        raise CheckpointError(
            f"the transformer is a {found.title}, not a {family.title};"
            f" pass a {found.name} backbone, or --family {found.name} to 'tts convert'"
        )


def check_parts(transformer: Any, tokenizer: Any) -> None:
    """Refuse a transformer and a tokenizer of different codebooks."""
    for field in ("codebook_size", "channels"):
        ours, theirs = getattr(transformer, field), getattr(tokenizer, field)
        if ours != theirs:
            words = field.replace("_", " ")
            raise CheckpointError(
                f"{words} is {ours} in the transformer and {theirs} in the tokenizer; give files of one model"
            )
