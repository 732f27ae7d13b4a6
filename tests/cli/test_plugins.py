"""``tts plugins``."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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


CLUMSY = """
import torch
print("hello from the import")

class Part:
    name, needs_scores = "clumsy", False

    def score(self, proposals):
        print("hello from score")
        if WHERE == "score":
            raise ValueError("no\\nluck")
        if WHERE == "exit":
            raise SystemExit(0)
        if WHERE == "end":
            raise StopIteration
        if WHERE == "mute":
            raise type("Mute", (BaseException,), {"__str__": lambda self: 1 / 0})
        if WHERE == "nested":
            torch.ones(2) @ torch.ones(3)
        return proposals.maps.flatten(2).mean(dim=2)

    def select(self, context):
        if WHERE == "select":
            from tts.errors import UsageError
            raise UsageError("scale 2 is not for this selector; pass --start-scale 3")
        return context.scores.argmax(dim=1)

    def __call__(self, *args, **kwargs):
        return {}["strategy"]

def build(request):
    print("hello from the factory")
    if WHERE == "factory":
        raise KeyError("factory")
    return Part()

@tts.hookimpl
def tts_register_scorers():
    print("hello from the hook")
    return [tts.ScorerSpec("clumsy", "clumsy:build", "")]

@tts.hookimpl
def tts_register_selectors():
    return [tts.SelectorSpec("clumsy", "clumsy:build", "")]

@tts.hookimpl
def tts_register_strategies():
    return [tts.StrategySpec("clumsy", "clumsy:build", "")]
"""
FAILURES = {
    "score": (
        ("--scorer", "clumsy"),
        r"failed in (Part\.)?score \(clumsy.py, line \d+\): ValueError: no luck;",
    ),
    "exit": (("--scorer", "clumsy"), r"failed in (Part\.)?score \(clumsy.py, line \d+\): SystemExit: 0;"),
    "end": (("--scorer", "clumsy"), r"failed in (Part\.)?score \(.*\): RuntimeError: .* StopIteration;"),
    "mute": (("--scorer", "clumsy"), r"failed in (Part\.)?score \(clumsy.py, line \d+\): Mute;"),
    "nested": (("--scorer", "clumsy"), r"failed in (Part\.)?score \(clumsy.py, line \d+\): RuntimeError: "),
    "select": (("--selector", "clumsy"), r": scale 2 is not for this selector; pass --start-scale 3"),
    "strategy": (("--strategy", "clumsy"), r"failed in (Part\.)?__call__ \(.*\): KeyError: 'strategy';"),
    "factory": (("--scorer", "clumsy"), r"failed in build \(clumsy.py, line \d+\): KeyError: 'factory';"),
}


QUICK = ("score", "select", "exit")
"""Failures that every run tries; the others start a process each, too."""


@pytest.mark.parametrize(
    "where", [pytest.param(key, marks=[pytest.mark.slow] * (key not in QUICK)) for key in FAILURES]
)
def test_an_error_in_a_plugins_code_names_the_plugin(
    install: Install, tts: Tts, tmp_path: Path, where: str
) -> None:
    install("clumsy", f"WHERE = {where!r}\n{CLUMSY}")
    options, expected = FAILURES[where]
    items = ("--labels", "3", "--seeds", "0", "--candidates", "2")
    result = tts("sample", *items, *options, "--out", str(tmp_path / "out"))
    assert result.returncode == (2 if where == "select" else 1)
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("hello from ")]
    assert re.match(rf"error: clumsy 1\.0 ?{expected}", line), line


@pytest.mark.parametrize("command", ["plugins", "list"])
def test_what_a_plugin_prints_does_not_spoil_json(install: Install, tts: Tts, command: str) -> None:
    install("clumsy", f"WHERE = ''\n{CLUMSY}")
    result = tts(command, "--json")
    assert json.loads(result.stdout)
    assert result.stderr.splitlines() == ["hello from the import", "hello from the hook"]
    assert "hello" not in tts(command).stdout


def test_what_a_plugins_part_prints_does_not_spoil_json_either(
    install: Install, tts: Tts, tmp_path: Path
) -> None:
    install("clumsy", f"WHERE = ''\n{CLUMSY}")
    options = ("--labels", "3", "--seeds", "0", "--candidates", "2", "--scorer", "clumsy")
    result = tts("sample", *options, "--out", str(tmp_path / "out"), "--json")
    assert json.loads(result.stdout)["images"] == 1
    assert "hello from score" in result.stderr


def test_a_distribution_with_the_keyword_alone_is_pointed_out(
    install: Install, tts: Tts, tmp_path: Path
) -> None:
    info = tmp_path / "site" / "tts_idle-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tts-idle\nVersion: 2.0\nKeywords: a,scalewise-tts\n"
    )
    result = tts("plugins")
    assert result.stderr.startswith(
        "note: tts-idle 2.0 has the keyword scalewise-tts but no entry point in the group scalewise_tts,"
    )
    assert tts("list").stderr == ""
