"""The command that gives the same result, from recorded settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

RENAMED = {"formats": "format", "learning_rate": "lr", "compile_parts": "compile"}
JOINED = frozenset({"formats"})


def command_line(name: str, config: type, settings: Mapping[str, Any]) -> str:
    """``tts NAME`` with an option for each setting that differs from the default of its ``config`` field.

    Settings that ``config`` does not have are left out.
    """
    words = ["tts", name]
    for field in fields(config):
        if field.name in settings and settings[field.name] != _default(field):
            words.extend(_option(field.name, settings[field.name]))
    return shlex.join(words)


def _default(field: Field[Any]) -> Any:
    """A field's default as JSON gives it back; a value of its own for a field that has none."""
    if field.default is MISSING:
        return MISSING
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _option(name: str, value: Any) -> Iterator[str]:
    option = "--" + RENAMED.get(name, name).replace("_", "-")
    if value is None or value is False:
        return
    if value is True:
        yield option
    elif isinstance(value, list):
        for part in [",".join(map(str, value))] if name in JOINED else value:
            yield from (option, str(part))
    else:
        yield from (option, str(value))
