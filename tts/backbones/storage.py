"""Where weights lie: the download cache, files the user names, converted folders, the package."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

from tts.backbones.blocks import TransformerSizes
from tts.backbones.families import FAMILIES, Loaded, check_family, check_parts, get_family
from tts.backbones.networks import TOKENIZER, TRANSFORMER, Kind
from tts.backbones.parts import Weights, find_weights, read_weights
from tts.backbones.presets import IMAGENET, SPECS
from tts.backbones.weights import DERIVED, State
from tts.config import check_schedule
from tts.contents import check_tensors, stated_digest
from tts.errors import CheckpointError, PluginError, UsageError
from tts.io import read_metadata, save_tensors
from tts.records import parse_record
from tts.specs import BackboneOptions, BackboneRequest, BackboneSpec, SamplingDefaults

T = TypeVar("T")

TRANSFORMER_FILE = "transformer.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
FOLDER_FORMAT = "scalewise-tts-backbone-1"
PAIR = "tokenizer_sha256"
"""Which tokenizer's file a transformer was converted with, in the metadata of its file."""

FOLDER_FACTORY = "tts.backbones.build:build_folder"
EMBEDDED = Path(__file__).parent.parent / "embedded"


@dataclass(frozen=True)
class FolderConfig:
    """What the metadata of a converted folder says; the parts are the family's configurations."""

    name: str
    family: str
    transformer: Any
    tokenizer: Any
    sampling: SamplingDefaults


@dataclass(frozen=True)
class _Content:
    name: str
    family: str
    transformer: msgspec.Raw
    tokenizer: msgspec.Raw
    sampling: SamplingDefaults


def embedded_folder(name: str) -> tuple[Path, Path]:
    """Transformer and tokenizer file of a model that ships inside the package; some share a tokenizer."""
    own = EMBEDDED / name / TOKENIZER_FILE
    shared = EMBEDDED / f"digits-{TOKENIZER_FILE}"
    return EMBEDDED / name / TRANSFORMER_FILE, own if own.is_file() else shared


def load_published(request: BackboneRequest) -> Loaded:
    """Transformer and tokenizer of a preset: the user's files first, then the download cache."""
    spec, family = request.spec, get_family(request.spec.family)
    given = [file for path in request.weights for file in _given_files(path, spec)]
    transformer, tokenizer = (_find(kind, given, request) for kind in (TRANSFORMER, TOKENIZER))
    unused = [path for path in given if path not in (transformer.path, tokenizer.path)]
    if unused:
        raise CheckpointError(
            f"{str(unused[0])!r} holds neither a transformer nor a tokenizer; leave it out of --weights"
        )
    check_family(transformer.state, family)
    schedule = request.options.schedule or spec.schedule
    config = family.infer_transformer(transformer.state, None, schedule)
    _check_depth(spec, config.depth)
    tokenizer_config = family.infer_tokenizer(tokenizer.state, config)
    info = family.make_info(spec.name, config, tokenizer_config, spec.sampling, request.options)
    nets = (
        family.build_transformer(transformer.state, config),
        family.build_tokenizer(tokenizer.state, tokenizer_config),
    )
    return info, *nets, (transformer, tokenizer)


def _find(kind: Kind, given: list[Path], request: BackboneRequest) -> Weights:
    """A kind's weights among the user's files, of which one may serve both; else the cached ones."""
    found = {path: find_weights(path, kind, request.options.part) for path in dict.fromkeys(given)}
    having = [weights for weights in found.values() if weights]
    if len(having) > 1:
        raise CheckpointError(
            f"{str(having[1].path)!r} is a second {kind.title}; give one transformer and one tokenizer"
        )
    return having[0] if having else read_weights(_cached(request.spec, kind.title), kind)


def _given_files(path: Path, spec: BackboneSpec) -> list[Path]:
    """The user's file; a folder of ``tts convert`` or of the publisher stands for the preset's two."""
    if (path / TRANSFORMER_FILE).is_file():
        check_pair(path)
        return [path / TRANSFORMER_FILE, path / TOKENIZER_FILE]
    published = [path / name for name in spec.files.values() if (path / name).is_file()]
    return published or [path]


def check_published(spec: BackboneSpec, file: Path, role: str) -> None:
    """Refuse a file whose tensors' names or shapes are not those of a preset's part."""
    family = get_family(spec.family)
    if role == "transformer":
        state = read_weights(file, TRANSFORMER).state
        check_family(state, family)
        config = family.infer_transformer(state, None, spec.schedule)
        _check_depth(spec, config.depth)
        family.build_transformer(state, config)
    else:
        state = read_weights(file, TOKENIZER).state
        sizes = TransformerSizes(
            schedule=spec.schedule, depth=1, width=64, heads=1, codebook_size=spec.codebook_size
        )
        found = family.infer_tokenizer(state, sizes)
        check_parts(sizes, found)
        family.build_tokenizer(state, found)


def _check_depth(spec: BackboneSpec, depth: int) -> None:
    wanted = re.search(r"-d(\d+)$", spec.name)
    if wanted and int(wanted.group(1)) != depth:
        fitting = f"{spec.family}-d{depth}"
        known = fitting in (preset.name for preset in SPECS)
        mend = f"pass --backbone {fitting}" if known else "convert them with 'tts convert'"
        raise CheckpointError(
            f"the weights have depth {depth}, {spec.name} has {wanted.group(1)}; {mend} or give other weights"
        )


def _cached(spec: BackboneSpec, role: str) -> Path:
    from tts.backbones.fetch import cache_folder, cached_file

    path = cached_file(spec, role)
    if path is None:
        raise CheckpointError(
            f"no {role} weights for {spec.name}; run 'tts fetch {spec.name}'"
            f" or pass --weights TRANSFORMER --weights TOKENIZER (looked in {cache_folder()});"
            " var-digits comes with its own"
        )
    return path


def read_folder_config(file: Path) -> FolderConfig:
    """The configuration in a converted transformer file's metadata."""
    metadata = read_metadata(file)
    if metadata.get("format") != FOLDER_FORMAT:
        raise CheckpointError(
            f"{str(file)!r} was not written by 'tts convert'; convert the published files first"
        )

    def part(text: str | msgspec.Raw, kind: type[T]) -> T:
        data = text if isinstance(text, str) else bytes(text)
        return parse_record(data, kind, repr(str(file)), "converted model", "convert it again")

    content = part(metadata.get("config", ""), _Content)
    if content.family not in FAMILIES:
        raise PluginError(
            f"{str(file)!r} holds a model of family {content.family!r}, which is not known here"
        )
    kinds = get_family(content.family)
    transformer: Any = part(content.transformer, kinds.transformer_config)
    try:
        check_schedule(transformer.schedule)
    except UsageError as error:
        raise CheckpointError(
            f"{str(file)!r} has a damaged description ({error}); convert it again"
        ) from None
    tokenizer: Any = part(content.tokenizer, kinds.tokenizer_config)
    return FolderConfig(content.name, content.family, transformer, tokenizer, content.sampling)


def folder_spec(folder: Path) -> BackboneSpec:
    """The spec of a converted folder, so that ``--backbone DIR`` works like a preset."""
    config = read_folder_config(folder / TRANSFORMER_FILE)
    family = get_family(config.family)
    limit = family.max_side(config.transformer)
    return BackboneSpec(
        name=config.name,
        family=config.family,
        factory=FOLDER_FACTORY,
        summary=f"converted weights in {folder}",
        schedule=config.transformer.schedule,
        classes=config.transformer.classes,
        codebook_size=config.transformer.codebook_size,
        channels=config.transformer.channels,
        image_size=family.image_size(config.transformer, config.tokenizer),
        sampling=config.sampling,
        guidance=family.guidance,
        max_side=limit,
        class_names=IMAGENET if config.transformer.classes == 1000 else None,
        schedules={name: s for name, s in family.schedules.items() if limit is None or s[-1] <= limit},
    )


def load_folder(
    transformer_file: Path, tokenizer_file: Path, options: BackboneOptions = BackboneOptions()
) -> Loaded:
    """Transformer and tokenizer as ``write_transformer`` and ``write_tokenizer`` stored them."""
    config = read_folder_config(transformer_file)
    for file in (transformer_file, tokenizer_file):
        check_tensors(file, own=True)
    if tokenizer_file.parent == transformer_file.parent:  # embedded ones may share a tokenizer
        check_pair(transformer_file.parent)
    family = get_family(config.family)
    info = family.make_info(config.name, config.transformer, config.tokenizer, config.sampling, options)
    weights = read_weights(transformer_file, TRANSFORMER), read_weights(tokenizer_file, TOKENIZER)
    transformer = family.build_transformer(weights[0].state, config.transformer)
    tokenizer = family.build_tokenizer(weights[1].state, config.tokenizer)
    return info, transformer, tokenizer, weights


def check_pair(folder: Path) -> None:
    """Refuse a folder of ``tts convert`` whose files come from two conversions, as after a kill."""
    stated = read_metadata(folder / TRANSFORMER_FILE).get(PAIR)
    if stated is not None and stated != stated_digest(folder / TOKENIZER_FILE):
        raise CheckpointError(
            f"{folder} holds a transformer and a tokenizer of two conversions, as after one that was killed;"
            " convert again with --overwrite"
        )


def write_transformer(path: Path, state: State, config: FolderConfig, tokenizer: Path | None = None) -> None:
    """Store a transformer's state with its whole configuration in the metadata, and the tokenizer it had."""
    facts = {"format": FOLDER_FORMAT, "config": json.dumps(asdict(config))}
    if tokenizer is not None:
        facts[PAIR] = stated_digest(tokenizer) or ""
    save_tensors(path, _storable(state), facts)


def write_tokenizer(path: Path, state: State) -> None:
    """Store a tokenizer's state."""
    save_tensors(path, _storable(state), {"format": FOLDER_FORMAT})


def _storable(state: State) -> dict[str, torch.Tensor]:
    """The tensors that are loaded, each with memory of its own: tied ones share theirs, which no file can."""
    stored: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for key, value in state.items():
        if not key.endswith(DERIVED):
            whole = value.detach().contiguous()
            stored[key] = whole.clone() if whole.untyped_storage().data_ptr() in taken else whole
            taken.add(stored[key].untyped_storage().data_ptr())
    return stored
