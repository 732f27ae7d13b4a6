"""The factories that presets and converted folders name: from a request to a built backbone of any family."""

from __future__ import annotations

from dataclasses import replace

from tts.backbones.families import get_family
from tts.backbones.storage import (
    TOKENIZER_FILE,
    TRANSFORMER_FILE,
    embedded_folder,
    load_folder,
    load_published,
)
from tts.errors import UsageError
from tts.interfaces import Backbone
from tts.specs import BackboneRequest


def build_published(request: BackboneRequest) -> Backbone:
    """A published model from local files, or from the download cache of ``tts fetch``."""
    loaded = load_published(request)
    return get_family(request.spec.family).backbone(*loaded, request.device, request.dtype)


def build_folder(request: BackboneRequest) -> Backbone:
    """A converted model from its folder (``--backbone DIR``)."""
    folder = request.weights[0]
    loaded = load_folder(folder / TRANSFORMER_FILE, folder / TOKENIZER_FILE, request.options)
    return get_family(request.spec.family).backbone(*loaded, request.device, request.dtype)


def build_embedded(request: BackboneRequest) -> Backbone:
    """A digits model that ships inside the package."""
    spec = request.spec
    if request.weights:
        raise UsageError(
            f"--weights does not go with {spec.name}, which ships its own; convert yours with 'tts convert'"
        )
    info, *nets, weights = load_folder(*embedded_folder(spec.name), request.options)
    info = replace(info, sampling=spec.sampling)
    shipped = tuple(replace(part, shipped=True) for part in weights)
    return get_family(spec.family).backbone(info, *nets, shipped, request.device, request.dtype)
