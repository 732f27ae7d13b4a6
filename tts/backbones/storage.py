"""Where weights lie: the download cache, files the user names, converted folders, the package."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tts.backbones.families import FAMILIES, Loaded, check_family, get_family
from tts.backbones.presets import IMAGENET, SPECS
from tts.backbones.weights import DERIVED, State, read_state
from tts.config import check_schedule
from tts.errors import CheckpointError, PluginError, UsageError
from tts.io import read_metadata, save_tensors, sha256_file
from tts.locks import sole_writer
from tts.specs import BackboneOptions, BackboneRequest, BackboneSpec, SamplingDefaults

TRANSFORMER_FILE = "transformer.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
FOLDER_FORMAT = "scalewise-tts-backbone-1"
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


def embedded_folder(name: str) -> tuple[Path, Path]:
    """Transformer and tokenizer file of a model that ships inside the package; some share a tokenizer."""
    own = EMBEDDED / name / TOKENIZER_FILE
    shared = EMBEDDED / f"digits-{TOKENIZER_FILE}"
    return EMBEDDED / name / TRANSFORMER_FILE, own if own.is_file() else shared


def hash_files(files: tuple[Path, ...]) -> str:
    """SHA-256 over the SHA-256 of each file, in order."""
    return hashlib.sha256("".join(sha256_file(file) for file in files).encode()).hexdigest()


def load_published(request: BackboneRequest) -> Loaded:
    """Transformer and tokenizer of a preset: the user's files first, then the download cache."""
    spec, family = request.spec, get_family(request.spec.family)
    states: dict[str, State] = {}
    files: dict[str, Path] = {}
    for path in _given_files(request.weights):
        state = read_state(path)
        role = "transformer" if "class_emb.weight" in state else "tokenizer"
        if role in states:
            raise CheckpointError(f"{str(path)!r} is a second {role}; give one transformer and one tokenizer")
        states[role], files[role] = state, path
    for role in ("transformer", "tokenizer"):
        if role not in states:
            files[role] = _cached(spec, role)
            states[role] = read_state(files[role])
    check_family(states["transformer"], family)
    schedule = request.options.schedule or spec.schedule
    config = family.infer_transformer(states["transformer"], None, schedule)
    _check_depth(spec, config.depth)
    tokenizer_config = family.infer_tokenizer(states["tokenizer"], config)
    info = family.make_info(spec.name, config, tokenizer_config, spec.sampling, request.options)
    transformer = family.build_transformer(states["transformer"], config)
    tokenizer = family.build_tokenizer(states["tokenizer"], tokenizer_config)
    return info, transformer, tokenizer, (files["transformer"], files["tokenizer"])


def _given_files(paths: tuple[Path, ...]) -> list[Path]:
    """The user's files; a folder of ``tts convert`` stands for its two."""
    files: list[Path] = []
    for path in paths:
        folder = (path / TRANSFORMER_FILE).is_file()
        files += (path / TRANSFORMER_FILE, path / TOKENIZER_FILE) if folder else (path,)
    return files


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
    from tts.backbones.fetch import cached_file

    path = cached_file(spec, role)
    if path is None:
        raise CheckpointError(
            f"no {role} weights for {spec.name}; run 'tts fetch {spec.name}'"
            " or pass --weights TRANSFORMER --weights TOKENIZER"
        )
    return path


def read_folder_config(file: Path) -> FolderConfig:
    """The configuration in a converted transformer file's metadata."""
    metadata = read_metadata(file)
    if metadata.get("format") != FOLDER_FORMAT:
        raise CheckpointError(
            f"{str(file)!r} was not written by 'tts convert'; convert the published files first"
        )
    try:
        content = json.loads(metadata["config"])
        name, family = str(content["name"]), str(content["family"])
        if family not in FAMILIES:
            raise PluginError(f"{str(file)!r} holds a model of family {family!r}, which is not known here")
        kinds = get_family(family)
        sections = {
            "transformer": kinds.transformer_config,
            "tokenizer": kinds.tokenizer_config,
            "sampling": SamplingDefaults,
        }
        built = {key: kind(**_tuples(content[key])) for key, kind in sections.items()}
        check_schedule(built["transformer"].schedule)
        return FolderConfig(name, family, **built)
    except PluginError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise CheckpointError(
            f"{str(file)!r} has a damaged description ({error}); convert it again"
        ) from None


def _tuples(fields: dict[str, object]) -> dict[str, object]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


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
    family = get_family(config.family)
    info = family.make_info(config.name, config.transformer, config.tokenizer, config.sampling, options)
    transformer = family.build_transformer(read_state(transformer_file), config.transformer)
    tokenizer = family.build_tokenizer(read_state(tokenizer_file), config.tokenizer)
    return info, transformer, tokenizer, (transformer_file, tokenizer_file)


def write_transformer(path: Path, state: State, config: FolderConfig) -> None:
    """Store a transformer's state with its whole configuration in the metadata."""
    with sole_writer(path):
        save_tensors(path, _storable(state), {"format": FOLDER_FORMAT, "config": json.dumps(asdict(config))})


def write_tokenizer(path: Path, state: State) -> None:
    """Store a tokenizer's state."""
    with sole_writer(path):
        save_tensors(path, _storable(state), {"format": FOLDER_FORMAT})


def _storable(state: State) -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in state.items() if not key.endswith(DERIVED)}
