"""From the names on the command line to built parts: backbone, scorer, selector, device, dtype."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tts.backbones.sources import ENDINGS, INDEX
from tts.config import DTYPE_NAMES, Choices, choose_options, dtype_name
from tts.engine.launch import Launch
from tts.errors import PluginError, UsageError, described, reason
from tts.interfaces import Backbone, BackboneInfo, ImageScorer, Scorer, Selector
from tts.manager import get_plugins
from tts.owners import claim
from tts.registry import Registry
from tts.specs import (
    BackboneRequest,
    BackboneSpec,
    FeatureRequest,
    ImageScorerRequest,
    ScorerRequest,
    SelectorRequest,
    load_attribute,
)
from tts.workspace import converted_model

if TYPE_CHECKING:
    from tts.evaluation.features import FeatureExtractor

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_NAMES}

METHODS = {
    "backbone": ("info", "begin", "encode", "decode", "views", "weights_hash"),
    "scorer": ("name", "score"),
    "selector": ("name", "needs_scores", "select"),
    "strategy": ("__call__",),
    "features": ("name", "title", "dimensions", "image_size", "knows_labels", "extract", "describe"),
    "image scorer": ("name", "score"),
}
"""What a built part of each kind must have."""


def torch_device(text: str) -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` in any case; it must be there.

    Under ``torchrun``, ``auto`` and ``cuda`` are the GPU of this process's local rank.
    """
    text = text.strip().lower()
    if text in ("auto", "cuda") and torch.cuda.is_available():
        launch = Launch.from_environment()
        local = launch.local_rank % torch.cuda.device_count()
        return torch.device(f"cuda:{local}" if launch.together else "cuda")
    if text == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {text!r}; use auto, cpu, cuda, cuda:N or mps")
    missing = (
        (kind == "cuda" and not torch.cuda.is_available())
        or (kind == "mps" and not torch.backends.mps.is_available())
        or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count())
    )
    if missing:
        raise UsageError(f"device {text!r} is not available on this machine; pass --device auto or cpu")
    return torch.device(text)


def torch_dtype(text: str) -> torch.dtype:
    """The dtype for ``float32``, ``bfloat16`` or ``float16``, or what else they are called."""
    return DTYPES[dtype_name(text)]


def find_backbone(text: str, weights: Sequence[Path | str] = ()) -> tuple[BackboneSpec, tuple[Path, ...]]:
    """The spec of a name, an alias or a folder of ``tts convert``, and the files that come with it.

    A name wins over a folder of that name, such as one of results; ``./NAME`` is the folder. A model of that
    name in the work folder counts, unless ``weights`` are given.
    """
    known = any(text in (spec.name, *spec.aliases) for spec, _ in get_plugins().backbones)
    model = None if weights else converted_model(text)
    folder = Path(text) if model is None else model
    if model is not None or (folder.is_dir() and not known):
        from tts.backbones.storage import folder_spec

        return folder_spec(folder), (folder,)
    if "/" in text or text.startswith("."):
        raise UsageError(
            f"no backbone folder {text!r}; make one with 'tts convert' or give a name of 'tts list'"
        )
    return get_plugins().backbones.get(text), ()


def build_backbone(
    text: str,
    weights: tuple[Path, ...],
    device: torch.device,
    dtype: torch.dtype,
    choices: Choices = Choices(),
) -> tuple[BackboneSpec, Backbone]:
    """Build a backbone by name, alias or folder; ``weights`` are files that replace its own."""
    spec, own = find_backbone(text, weights)
    if own and weights:
        raise UsageError(f"--weights does not go with the converted folder {text!r}; leave it out")
    request = BackboneRequest(spec, device, dtype, weights or own, choose_options(spec, choices))
    if own:
        return spec, load_attribute(spec.factory)(request)
    registry = get_plugins().backbones
    backbone: Backbone = build_part(registry, spec.name, request)
    claim(backbone.info, get_plugins().origin(registry, spec.name))
    return spec, backbone


def load_factory(registry: Registry[Any], name: str) -> Any:
    """Import the factory of a registered name, or the function of a loss.

    A plugin's that cannot be imported is named with its owner.
    """
    spec = registry.get(name)
    try:
        with redirect_stdout(sys.stderr):  # whatever a module prints: stdout is for results
            return load_attribute(getattr(spec, "factory", None) or spec.target)
    except BaseException as error:  # a module may raise anything
        origin = get_plugins().origin(registry, name)
        if origin is None or type(error) is KeyboardInterrupt:
            raise
        why = reason(error) if isinstance(error, (ImportError, AttributeError)) else described(error)
        raise PluginError(
            f"{registry.kind} {name!r} ({origin}) cannot be imported ({why}); reinstall or update it"
        ) from error


def build_part(registry: Registry[Any], name: str, request: object) -> Any:
    """Build what a registered name stands for; errors of a plugin's part can then say whose it is.

    An argument is refused where the spec declares none.
    """
    argument = getattr(request, "argument", None)
    if argument is not None and registry.get(name).argument is None:
        raise UsageError(f"{registry.kind} {name!r} takes no argument, got {argument!r}; leave it out")
    factory, origin = load_factory(registry, name), get_plugins().origin(registry, name)
    part = factory(request)
    missing = [method for method in METHODS[registry.kind] if not hasattr(part, method)]
    if origin is not None and missing:
        raise PluginError(
            f"{registry.kind} {name!r} ({origin}) was built as {type(part).__name__}, which has no"
            f" {' and no '.join(missing)}; ask its author for an update"
        )
    return claim(part, origin)


def split_argument(text: str) -> tuple[str, str | None]:
    """Name and argument of ``name:argument``."""
    name, colon, argument = text.partition(":")
    return name, argument if colon else None


def remarks_of(part: object) -> tuple[str, ...]:
    """What a built part wants the user to know of its files."""
    found = getattr(part, "remarks", ())
    return tuple(found) if isinstance(found, tuple) else ()


def build_scorer(
    text: str, spec: BackboneSpec, backbone: Backbone, device: torch.device, part: str | None = None
) -> Scorer | None:
    """Build a scorer by name, ``name:argument`` or checkpoint file.

    ``auto`` is what ``automatic_scorer`` finds.
    """
    if text == "none":
        return None
    if text == "auto":
        from tts.scorers.automatic import automatic_scorer

        text = automatic_scorer(spec, backbone).text
    name, argument = split_argument(text)
    scorers = get_plugins().scorers
    is_file = (text and Path(text).exists()) or text.endswith((*ENDINGS, INDEX))
    if is_file and name not in scorers.names():
        name, argument = "learned", text
    elif name not in scorers.names() and name in get_plugins().image_scorers.names():
        raise PluginError(
            f"{name!r} judges whole images, not maps; pass --scorer preview:{text}, which decodes each"
            f" candidate, or --strategy best-of-n --image-scorer {text}"
        )
    scorer: Scorer = build_part(scorers, name, ScorerRequest(backbone, device, argument, part))
    return scorer


def build_selector(text: str, top_k: int, temperature: float) -> Selector:
    """Build a selector by name or ``name:argument``."""
    name, argument = split_argument(text)
    request = SelectorRequest(top_k, temperature, argument)
    selector: Selector = build_part(get_plugins().selectors, name, request)
    return selector


def build_features(text: str, device: torch.device) -> FeatureExtractor:
    """Build a feature extractor by name or ``name:argument``."""
    name, argument = split_argument(text)
    request = FeatureRequest(device, argument)
    extractor: FeatureExtractor = build_part(get_plugins().features, name, request)
    return extractor


def build_image_scorer(text: str, info: BackboneInfo, device: torch.device) -> ImageScorer:
    """Build a judge of whole images by name or ``name:argument``."""
    name, argument = split_argument(text)
    image_scorers = get_plugins().image_scorers
    if name not in image_scorers.names() and name in get_plugins().scorers.names():
        raise PluginError(f"{name!r} judges maps, not whole images; pass --scorer {text}")
    request = ImageScorerRequest(info.classes, info.image_size, device, argument)
    scorer: ImageScorer = build_part(image_scorers, name, request)
    return scorer
