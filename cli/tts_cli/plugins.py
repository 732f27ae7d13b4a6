"""``tts plugins``."""

from __future__ import annotations

from dataclasses import asdict

from tts.discovery import PluginEntry, without_entry_point
from tts.hookspecs import ENTRY_POINT_GROUP
from tts.manager import get_plugins
from tts_cli import options
from tts_cli.output import print_json, print_table
from tts_cli.progress import say


def show_plugins(
    as_json: options.Json = False,
) -> None:
    """Show the plugins, what they provide, and why one is broken.

    \b
    Examples:
      tts plugins
      TTS_PLUGINS= tts plugins --json
    """
    entries = get_plugins().entries
    for name in without_entry_point():
        say(
            f"note: {name} has the keyword scalewise-tts but no entry point in the group {ENTRY_POINT_GROUP},"
            " so it is not loaded; add one to its pyproject.toml and install it again"
        )
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
