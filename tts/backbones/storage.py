"""Where weights lie: the download cache, files the user names, converted folders, the package."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tts.backbones.presets import SPECS, VAR_PUBLISHED
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.backbones.weights import (
    DERIVED,
    State,
    build_tokenizer,
    build_transformer,
    infer_var_config,
    infer_vqvae_config,
    read_state,
)
from tts.errors import CheckpointError, PluginError, UsageError
from tts.interfaces import BackboneInfo
from tts.io import read_metadata, save_tensors, sha256_file
from tts.registry import NAME
from tts.specs import BackboneRequest, BackboneSpec, SamplingDefaults

TRANSFORMER_FILE = "transformer.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
FOLDER_FORMAT = "scalewise-tts-backbone-1"
FOLDER_FACTORIES = {"var": "tts.backbones.var_adapter:build_folder"}
EMBEDDED = Path(__file__).parent.parent / "embedded"

Loaded = tuple[BackboneInfo, VarTransformer, Vqvae, tuple[Path, ...]]


@dataclass(frozen=True)
class FolderConfig:
    """What the metadata of a converted folder says of its model."""

    name: str
    family: str
    transformer: VarConfig
    tokenizer: VqvaeConfig
    sampling: SamplingDefaults


def embedded_folder(name: str) -> tuple[Path, Path]:
    """Transformer and tokenizer file of a model that ships inside the package."""
    return EMBEDDED / name / TRANSFORMER_FILE, EMBEDDED / f"digits-{TOKENIZER_FILE}"


def hash_files(files: tuple[Path, ...]) -> str:
    """SHA-256 over the SHA-256 of each file, in order."""
    return hashlib.sha256("".join(sha256_file(file) for file in files).encode()).hexdigest()


def make_info(
    name: str, transformer: VarConfig, tokenizer: VqvaeConfig, sampling: SamplingDefaults
) -> BackboneInfo:
    """The facts of a VAR from its two configurations, which must agree."""
    for field in ("codebook_size", "channels"):
        ours, theirs = getattr(transformer, field), getattr(tokenizer, field)
        if ours != theirs:
            words = field.replace("_", " ")
            raise CheckpointError(
                f"{words} is {ours} in the transformer and {theirs} in the tokenizer; give files of one model"
            )
    return BackboneInfo(
        name=name,
        family="var",
        schedule=transformer.schedule,
        codebook_size=transformer.codebook_size,
        channels=transformer.channels,
        grid=transformer.schedule[-1],
        classes=transformer.classes,
        image_size=tokenizer.image_size,
        guidance="var",
        sampling=sampling,
        stochastic=(True,) * len(transformer.schedule),
    )


def load_published(request: BackboneRequest) -> Loaded:
    """Transformer and tokenizer of a preset: the user's files first, then the download cache."""
    spec = request.spec
    states: dict[str, State] = {}
    files: dict[str, Path] = {}
    for path in request.weights:
        state = read_state(path)
        role = "transformer" if "class_emb.weight" in state else "tokenizer"
        if role in states:
            raise CheckpointError(f"{str(path)!r} is a second {role}; give one transformer and one tokenizer")
        states[role], files[role] = state, path
    for role in ("transformer", "tokenizer"):
        if role not in states:
            files[role] = _cached(spec, role)
            states[role] = read_state(files[role])
    config = infer_var_config(states["transformer"])
    _check_depth(spec, config)
    tokenizer_config = infer_vqvae_config(states["tokenizer"], config.schedule)
    info = make_info(spec.name, config, tokenizer_config, spec.sampling)
    transformer = build_transformer(states["transformer"], config)
    tokenizer = build_tokenizer(states["tokenizer"], tokenizer_config)
    return info, transformer, tokenizer, (files["transformer"], files["tokenizer"])


def _check_depth(spec: BackboneSpec, config: VarConfig) -> None:
    wanted = re.search(r"-d(\d+)$", spec.name)
    if wanted and int(wanted.group(1)) != config.depth:
        fitting = f"var-d{config.depth}"
        known = fitting in (preset.name for preset in SPECS)
        mend = f"pass --backbone {fitting}" if known else "convert them with 'tts convert'"
        raise CheckpointError(
            f"the weights have depth {config.depth}, {spec.name} has {wanted.group(1)};"
            f" {mend} or give other weights"
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
    sections = {"transformer": VarConfig, "tokenizer": VqvaeConfig, "sampling": SamplingDefaults}
    try:
        content = json.loads(metadata["config"])
        built = {key: kind(**_tuples(content[key])) for key, kind in sections.items()}
        return FolderConfig(name=content["name"], family=content["family"], **built)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{str(file)!r} has a damaged description ({error}); convert it again"
        ) from None


def _tuples(fields: dict[str, object]) -> dict[str, object]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def folder_spec(folder: Path) -> BackboneSpec:
    """The spec of a converted folder, so that ``--backbone DIR`` works like a preset."""
    config = read_folder_config(folder / TRANSFORMER_FILE)
    if config.family not in FOLDER_FACTORIES:
        raise PluginError(
            f"{str(folder)!r} holds a model of family {config.family!r}, which is not known here"
        )
    return BackboneSpec(
        name=config.name,
        family=config.family,
        factory=FOLDER_FACTORIES[config.family],
        summary=f"converted weights in {folder}",
        schedule=config.transformer.schedule,
        classes=config.transformer.classes,
        codebook_size=config.transformer.codebook_size,
        channels=config.transformer.channels,
        image_size=config.tokenizer.image_size,
        sampling=config.sampling,
    )


def load_folder(transformer_file: Path, tokenizer_file: Path) -> Loaded:
    """Transformer and tokenizer as ``write_folder`` stored them."""
    config = read_folder_config(transformer_file)
    info = make_info(config.name, config.transformer, config.tokenizer, config.sampling)
    transformer = build_transformer(read_state(transformer_file), config.transformer)
    tokenizer = build_tokenizer(read_state(tokenizer_file), config.tokenizer)
    return info, transformer, tokenizer, (transformer_file, tokenizer_file)


def write_transformer(path: Path, state: State, config: FolderConfig) -> None:
    """Store a transformer's state with its whole configuration in the metadata."""
    save_tensors(path, _storable(state), {"format": FOLDER_FORMAT, "config": json.dumps(asdict(config))})


def write_tokenizer(path: Path, state: State) -> None:
    """Store a tokenizer's state."""
    save_tensors(path, _storable(state), {"format": FOLDER_FORMAT})


def _storable(state: State) -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in state.items() if not key.endswith(DERIVED)}


def convert(
    transformer: Path, tokenizer: Path, out: Path, name: str | None, schedule: tuple[int, ...] | None
) -> FolderConfig:
    """Turn published files into a safetensors folder; both are loaded strictly before anything is written."""
    if name is not None and not NAME.fullmatch(name):
        raise UsageError(f"name {name!r} must be lower-case letters, digits and single dashes, like var-mine")
    transformer_state, tokenizer_state = read_state(transformer), read_state(tokenizer)
    var = infer_var_config(transformer_state, schedule)
    vqvae = infer_vqvae_config(tokenizer_state, var.schedule)
    config = FolderConfig(name or f"var-d{var.depth}", "var", var, vqvae, VAR_PUBLISHED)
    make_info(config.name, var, vqvae, config.sampling)
    build_transformer(transformer_state, var)
    build_tokenizer(tokenizer_state, vqvae)
    write_tokenizer(out / TOKENIZER_FILE, tokenizer_state)
    write_transformer(out / TRANSFORMER_FILE, transformer_state, config)
    return config
