"""Settings from a file, below the options of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def settings_of(context: typer.Context, file: Path | None) -> dict[str, Any]:
    """The fields of ``SampleConfig`` that a file of settings has and the command line does not give."""
    from tts.settings_file import read_settings

    found = {} if file is None else read_settings(file)
    return {name: value for name, value in found.items() if not _was_given(context, name)}


def _was_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
