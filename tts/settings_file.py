"""Settings of ``tts sample`` in a file: what ``tts tune`` finds, or what a person writes.

Files and folders that the settings name are relative to the folder of the settings file, so that it can be
moved together with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tts.errors import CheckpointError, UsageError
from tts.io import write_json
from tts.manager import get_plugins
from tts.records import encode, parse_record, read_record
from tts.sample_config import SETTINGS, SampleConfig

FORMAT = "scalewise-tts-settings-1"
FILES = (".safetensors", ".pth", ".pt")
"""Texts that end so are files, whether they are there or not."""

EXAMPLE = f'a file of settings is {{"format": "{FORMAT}", "settings": {{"candidates": "32"}}}}'


@dataclass(frozen=True)
class _File:
    settings: dict[str, Any]


def write_settings(path: Path, settings: Mapping[str, Any], notes: Mapping[str, Any] = {}) -> None:
    """Write fields of ``SampleConfig`` by name, with ``notes`` of how they were found beside them."""
    where = {
        key: _moved(key, value, lambda text: _from(path.parent, text)) for key, value in settings.items()
    }
    content = {"format": FORMAT, "settings": _checked(path, where), **notes}
    write_json(path, content, seal=False)


def read_settings(path: Path) -> dict[str, Any]:
    """Fields of ``SampleConfig`` by name; ``CheckpointError`` for what they cannot be."""
    found = read_record(path, _File, "file of settings", EXAMPLE, FORMAT).settings
    return {
        key: _moved(key, value, lambda text: _below(path.parent, text))
        for key, value in _checked(path, found).items()
    }


def _checked(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the types of their fields; refuses others, and what is no setting."""
    for key in settings:
        if key not in SETTINGS:
            raise CheckpointError(f"{path}: {_unknown(key)}")
    typed = parse_record(encode(settings), SampleConfig, str(path), "file of settings", EXAMPLE)
    return {key: getattr(typed, key) for key in settings}


def _unknown(key: str) -> str:
    if key in {field.name for field in fields(SampleConfig)}:
        return f"{key!r} does not decide how images come out; give it on the command line"
    close = " or ".join(repr(name) for name in get_close_matches(key, SETTINGS))
    hint = f"did you mean {close}?" if close else f"known: {', '.join(SETTINGS)}"
    return f"unknown setting {key!r}; {hint}"


def _moved(key: str, value: Any, move: Callable[[str], str]) -> Any:
    """A setting whose files are named from elsewhere; names of registered parts stay."""
    if key in ("weights", "from_tokens"):
        parts = value if isinstance(value, list | tuple) else (value,)
        moved = tuple(move(part) if isinstance(part, str) else part for part in parts)
        return moved if isinstance(value, list | tuple) else moved[0]
    if key not in ("backbone", "scorer", "image_scorer") or not isinstance(value, str):
        return value
    head, colon, tail = value.rpartition(":")
    return value if not head and tail in _names(key) else head + colon + move(tail)


def _names(key: str) -> set[str]:
    """What is a name in a field, even where a file is called the same."""
    plugins = get_plugins()
    if key == "backbone":
        return {name for spec, _ in plugins.backbones for name in (spec.name, *spec.aliases)}
    registry = plugins.scorers if key == "scorer" else plugins.image_scorers
    return {*registry.names(), "auto", "none"}


def _below(folder: Path, text: str) -> str:
    """A file of a settings file, seen from here; other texts stay."""
    path = folder / text
    if not text.endswith(FILES) and not (text and path.exists()):
        return text
    short = os.path.normpath(path)  # without '..', unless a link makes that another file
    return short if os.path.realpath(short) == os.path.realpath(path) else str(path)


def _from(folder: Path, text: str) -> str:
    """A file, seen from the folder of a settings file; other texts stay."""
    if not text.endswith(FILES) and not (text and Path(text).exists()):
        return text
    file = Path(text)
    try:
        return Path(os.path.relpath(file.parent.resolve() / file.name, folder.resolve())).as_posix()
    except ValueError as error:  # on another drive
        raise UsageError(f"{text} and {folder} have no common folder ({error}); move one of them") from error
