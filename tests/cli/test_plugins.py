"""``tts plugins``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from tts import __version__

Install = Callable[[str, str], None]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]

ACME = """
@tts.hookimpl
def tts_register_scorers():
    return [tts.ScorerSpec("one", "m:f", ""), tts.ScorerSpec("two", "m:f", "")]

@tts.hookimpl
def tts_register_commands(app):
    @app.command()
    def paint(): ...

@tts.hookimpl
def tts_after_scale(event): ...
"""
MISSPELT = "@tts.hookimpl\ndef tts_register_scorer(): ..."


def test_json_tells_everything(install: Install, tts: Tts) -> None:
    install("acme", ACME)
    install("broken", MISSPELT)
    built_in, acme, broken = json.loads(tts("plugins", "--json").stdout)
    assert (built_in["distribution"], built_in["version"]) == ("scalewise-tts", __version__)
    assert built_in["ok"] is True
    assert acme == {
        "distribution": "acme",
        "version": "1.0",
        "entry": "main",
        "ok": True,
        "reason": None,
        "provides": {"scorer": ["one", "two"], "command": ["paint"]},
        "hooks": ["tts_register_scorers", "tts_register_commands", "tts_after_scale"],
    }
    assert broken["ok"] is False
    assert "tts_register_scorer'" in broken["reason"]
    assert broken["provides"] == {}


def test_a_table_has_one_line_a_plugin(install: Install, tts: Tts) -> None:
    install("acme", ACME)
    install("broken", MISSPELT)
    install("quiet", "@tts.hookimpl\ndef tts_register_losses():\n    return []")
    result = tts("plugins")
    assert result.returncode == 0
    header, built_in, acme, broken, quiet = result.stdout.splitlines()
    assert header.split() == ["DISTRIBUTION", "VERSION", "STATUS", "PROVIDES"]
    assert built_in.split()[:3] == ["scalewise-tts", __version__, "ok"]
    assert acme.split(maxsplit=3)[1:] == ["1.0", "ok", "scorer: one, two; command: paint; observer"]
    assert broken.split()[:3] == ["broken", "1.0", "broken"]
    assert "tts_register_scorer'" in broken
    assert quiet.split()[2:] == ["ok", "nothing"]


def test_an_empty_allow_list_leaves_the_built_ins(install: Install, tts: Tts) -> None:
    install("acme", ACME)
    (built_in,) = json.loads(tts("plugins", "--json", TTS_PLUGINS="").stdout)
    assert built_in["distribution"] == "scalewise-tts"


def test_a_name_of_two_plugins_shows_both_owners(install: Install, tts: Tts) -> None:
    install("acme", ACME)
    install("beta", ACME)
    _, acme, beta = json.loads(tts("plugins", "--json").stdout)
    assert acme["ok"] is True
    assert "acme:main" in beta["reason"]
    assert "beta:main" in beta["reason"]
