"""``tts plugins``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tts.discovery import PluginEntry
from tts.manager import get_plugins
from tts_cli.output import print_json, print_table


def show_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the plugins, what they provide, and why one is broken.

    \b
    Examples:
      tts plugins
      TTS_PLUGINS= tts plugins --json
    """
    entries = get_plugins().entries
    if as_json:
        print_json([{**asdict(entry), "ok": entry.ok} for entry in entries])
        return
    rows = [(entry.distribution, entry.version, _status(entry), _details(entry)) for entry in entries]
    print_table(("DISTRIBUTION", "VERSION", "STATUS", "PROVIDES"), rows)


def _status(entry: PluginEntry) -> str:
    return "ok" if entry.ok else "broken"


def _details(entry: PluginEntry) -> str:
    if entry.reason is not None:
        return entry.reason
    parts = [f"{kind}: {', '.join(names)}" for kind, names in entry.provides.items() if names]
    if "tts_after_scale" in entry.hooks:
        parts.append("observer")
    return "; ".join(parts) or "nothing"
