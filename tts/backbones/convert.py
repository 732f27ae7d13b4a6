"""From published files to a safetensors folder that says everything of its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tts.backbones.families import Family, check_family, get_family, recognise
from tts.backbones.file_kinds import head_of, is_safetensors
from tts.backbones.networks import TOKENIZER, TRANSFORMER
from tts.backbones.parts import read_weights
from tts.backbones.sources import INDEX
from tts.backbones.storage import (
    FOLDER_FORMAT,
    TOKENIZER_FILE,
    TRANSFORMER_FILE,
    FolderConfig,
    check_pair,
    read_folder_config,
    write_tokenizer,
    write_transformer,
)
from tts.backbones.weights import State
from tts.config import parse_schedule
from tts.errors import UsageError
from tts.io import atomic_path, new_folder, read_metadata
from tts.locks import sole_writer
from tts.registry import NAME
from tts.specs import BackboneOptions, Schedule
from tts.workspace import place_of

TRAINED_SIDE = "trained_side"


def convert(
    transformer: Path,
    tokenizer: Path,
    out: Path | None,
    family_name: str | None,
    name: str | None,
    schedule: str | None,
    trained_side: int | None = None,
    part: str | None = None,
    say: Callable[[str], None] = lambda message: None,
    overwrite: bool = True,
) -> FolderConfig:
    """Turn published files into a safetensors folder; both are loaded strictly before anything is written.

    Without ``family_name`` the transformer says which family it is of; ``schedule`` may be a name of it.
    ``trained_side`` is the largest side trained on, for families with a free schedule. A folder that was
    converted before keeps what is not given anew. ``part`` names the weights to take of files that hold
    several, and ``say`` hears what was taken. Both files appear whole, or none does; a kill between the two
    leaves a folder that is refused when it is read. Without ``out`` the model goes into the work folder,
    where its name finds it.
    """
    if name is not None and not NAME.fullmatch(name):
        raise UsageError(f"name {name!r} must be lower-case letters, digits and single dashes, like var-mine")
    if transformer == tokenizer and (transformer / TRANSFORMER_FILE).is_file():
        check_pair(transformer)
    found = read_weights(_one(transformer, TRANSFORMER_FILE), TRANSFORMER, part)
    code = read_weights(_one(tokenizer, TOKENIZER_FILE), TOKENIZER, part)
    states = found.state, code.state
    family = get_family(family_name) if family_name else recognise(states[0])
    check_family(states[0], family)
    sides = None if schedule is None else parse_schedule(schedule, family.schedules)
    config = _infer_folder(states, family, name, sides, _converted_before(found.source))
    config = _with_trained_side(config, family, trained_side)
    family.make_info(config.name, config.transformer, config.tokenizer, config.sampling, BackboneOptions())
    family.build_transformer(states[0], config.transformer)
    family.build_tokenizer(states[1], config.tokenizer)
    for weights in (found, code):
        weights.check_finite()
        for remark in weights.remarks or ((f"took {weights.taken}",) if weights.part or weights.left else ()):
            say(remark)
    with new_folder(_free(out or place_of(config.name).model, overwrite)) as folder:
        _write(folder, states, config)
    return config


def _free(out: Path, overwrite: bool) -> Path:
    if (out / TRANSFORMER_FILE).exists() and not overwrite:
        raise UsageError(f"{out} already holds a converted model; choose another --out or pass --overwrite")
    return out


def _one(path: Path, name: str) -> Path:
    """The path, or the file of a part in a folder that was converted before."""
    return path / name if (path / name).is_file() else path


def _write(out: Path, states: tuple[State, State], config: FolderConfig) -> None:
    """Write both files under other names first, so that a failure leaves what was there."""
    targets = out / TOKENIZER_FILE, out / TRANSFORMER_FILE
    with (
        sole_writer(targets[0]),
        sole_writer(targets[1]),
        atomic_path(targets[0]) as tokenizer,
        atomic_path(targets[1]) as transformer,
    ):
        write_tokenizer(tokenizer, states[1])
        write_transformer(transformer, states[0], config, tokenizer)


def _converted_before(transformer: Path) -> FolderConfig | None:
    """What a file of ``tts convert`` says of itself; ``None`` for other files."""
    if transformer.name.endswith(INDEX) or not is_safetensors(head_of(transformer)):
        return None
    if read_metadata(transformer).get("format") != FOLDER_FORMAT:
        return None
    return read_folder_config(transformer)


def _infer_folder(
    states: tuple[State, State],
    family: Family,
    name: str | None,
    schedule: Schedule | None,
    before: FolderConfig | None,
) -> FolderConfig:
    fallback = before.transformer.schedule if before else family.fallback
    transformer = family.infer_transformer(states[0], schedule, fallback)
    tokenizer = family.infer_tokenizer(states[1], transformer)
    title = name or (before.name if before else f"{family.name}-d{transformer.depth}")
    side = getattr(before.transformer, TRAINED_SIDE, None) if before else None
    if side is not None:
        transformer = replace(transformer, **{TRAINED_SIDE: side})
    sampling = before.sampling if before else family.sampling
    return FolderConfig(title, family.name, transformer, tokenizer, sampling)


def _with_trained_side(config: FolderConfig, family: Family, side: int | None) -> FolderConfig:
    """The configuration with another largest trained side, where the family has one."""
    if side is None:
        return config
    limit = family.max_side(config.transformer)
    if limit is None:
        raise UsageError(f"a {family.title} has a fixed schedule, so no trained side; leave it out")
    if not 1 <= side <= limit:
        raise UsageError(f"trained-side {side} must be from 1 to the position table's side {limit}")
    return replace(config, transformer=replace(config.transformer, **{TRAINED_SIDE: side}))
