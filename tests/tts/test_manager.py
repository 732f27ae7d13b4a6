"""Discovery: what loads, what breaks, and that one broken plugin costs nobody else anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_group

import tts
from tts.discovery import PluginEntry
from tts.errors import PluginError, RunError
from tts.manager import HOOKS, Plugins, get_plugins

Install = Callable[..., Path]

GOOD = """
@tts.hookimpl
def tts_register_scorers():
    return [tts.ScorerSpec("good", "good_plugin:build", "a scorer")]
"""


def scorers(*names: str) -> str:
    specs = ", ".join(f"tts.ScorerSpec({name!r}, 'm:f', 'a scorer')" for name in names)
    return f"@tts.hookimpl\ndef tts_register_scorers():\n    return [{specs}]\n"


def entry_of(plugins: Plugins, distribution: str) -> PluginEntry:
    (entry,) = (entry for entry in plugins.entries if entry.distribution == distribution)
    return entry


def reason_of(plugins: Plugins, distribution: str) -> str:
    entry = entry_of(plugins, distribution)
    assert not entry.ok
    assert entry.reason is not None
    assert entry.provides == {}
    assert "\n" not in entry.reason
    return entry.reason


def test_built_ins_come_through_the_hooks(install: Install) -> None:
    plugins = get_plugins()
    built_in = plugins.entries[0]
    assert built_in.owner == "scalewise-tts:builtins"
    assert built_in.provides["scorer"] == ("learned", "likelihood", "preview")
    assert plugins.selectors.names() == ["greedy", "random", "softmax", "topk"]
    assert plugins.strategies.names() == ["beam", "best-of-n", "lsrs", "particles"]
    assert plugins.losses.names() == ["pairwise", "pointwise"]
    assert "var-d30" in plugins.backbones.names()
    assert plugins.observers() == []


def test_a_plugin_provides_specs(install: Install) -> None:
    install("good-plugin", GOOD)
    plugins = get_plugins()
    assert plugins.scorers.get("good").factory == "good_plugin:build"
    assert plugins.scorers.owner("good") == "good-plugin:main"
    entry = entry_of(plugins, "good-plugin")
    assert (entry.ok, entry.version, entry.entry) == (True, "1.0", "main")
    assert entry.provides == {"scorer": ("good",)}
    assert entry.hooks == ("tts_register_scorers",)


def test_plugins_are_discovered_once(install: Install) -> None:
    install("good-plugin", GOOD)
    plugins = get_plugins()
    assert get_plugins() is plugins
    assert "good" in plugins.scorers.names()


def test_a_hook_may_be_a_generator(install: Install) -> None:
    source = GOOD.replace("return [", "yield (").replace('scorer")]', 'scorer"))')
    install("good-plugin", source)
    assert "good" in get_plugins().scorers.names()


BROKEN = {
    "import fails": ("1 / 0", "entry main: ZeroDivisionError"),
    "import exits": ("raise SystemExit(3)", "entry main: SystemExit: 3"),
    "import interrupts": (
        "class Stop(KeyboardInterrupt): pass\nraise Stop('enough')",
        "entry main: Stop: enough",
    ),
    "import raises the base": ("raise BaseException('odd')", "entry main: BaseException: odd"),
    "hook raises the base": (
        "@tts.hookimpl\ndef tts_register_scorers():\n    raise BaseException('odd')",
        "tts_register_scorers: BaseException: odd",
    ),
    "import raises what cannot be shown": (
        "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
        "entry main: Mute",
    ),
    "endless": (
        "import itertools\n@tts.hookimpl\ndef tts_register_scorers():\n"
        "    return (tts.ScorerSpec(f's{n}', 'm:f', '') for n in itertools.count())",
        "tts_register_scorers: returns more than 10000 specs",
    ),
    "syntax": ("def (", "entry main: SyntaxError"),
    "hook fails": (
        "@tts.hookimpl\ndef tts_register_scorers():\n    raise ValueError('first\\nsecond')",
        "tts_register_scorers: ValueError: first second",
    ),
    "hook fails midway": (
        "@tts.hookimpl\ndef tts_register_scorers():\n"
        "    yield tts.ScorerSpec('bad', 'm:f', '')\n    raise ValueError('late')",
        "tts_register_scorers: ValueError: late",
    ),
    "wrong signature": (
        "@tts.hookimpl\ndef tts_register_scorers(colour):\n    return []",
        "'tts_register_scorers'",
    ),
    "misspelt hook": (
        "@tts.hookimpl\ndef tts_register_scorer():\n    return []",
        "; did you mean 'tts_register_scorers'?",
    ),
    "misspelt hook without a marker": (
        "def tts_register_scorer():\n    return []",
        "tts_register_scorer; did you mean 'tts_register_scorers'?",
    ),
    "misspelt beside a good one": (
        scorers("bad") + "@tts.hookimpl\ndef tts_after_scales(event): ...",
        "'tts_after_scales'",
    ),
    "no marker": ("def tts_register_scorers():\n    return []", "tts_register_scorers is not marked"),
    "no hook": ("x = 1", "implements no hook"),
    "wrapper": (
        "@tts.hookimpl(wrapper=True)\ndef tts_register_scorers():\n    return (yield)",
        "tts_register_scorers cannot be a hook wrapper",
    ),
    "returns nothing": (
        "@tts.hookimpl\ndef tts_register_scorers():\n    pass",
        "tts_register_scorers: must return an iterable of ScorerSpec, got NoneType",
    ),
    "returns one spec": (
        "@tts.hookimpl\ndef tts_register_scorers():\n    return tts.ScorerSpec('bad', 'm:f', '')",
        "tts_register_scorers: must return an iterable of ScorerSpec, got ScorerSpec",
    ),
    "returns another class": (
        "@tts.hookimpl\ndef tts_register_scorers():\n    return [tts.LossSpec('bad', 'm:f', '')]",
        "tts_register_scorers: must return ScorerSpec objects, got LossSpec",
    ),
    "invalid name": (scorers("bad", "Bad_Name"), "tts_register_scorers: scorer name 'Bad_Name'"),
    "duplicate in itself": (scorers("bad", "bad"), "scorer 'bad' of bad-plugin:main"),
    "a built-in's name": (scorers("bad", "learned"), "already taken by scalewise-tts:builtins"),
}


@pytest.mark.parametrize(("source", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_left_out_as_a_whole(install: Install, source: str, expected: str) -> None:
    install("bad-plugin", source)
    install("good-plugin", GOOD)
    plugins = get_plugins()
    reason = reason_of(plugins, "bad-plugin")
    assert reason.startswith("bad-plugin 1.0, ")
    assert expected in reason
    assert plugins.scorers.names() == ["good", "learned", "likelihood", "preview"]
    assert plugins.scorers.owner("learned") == "scalewise-tts:builtins"
    with pytest.raises(PluginError, match=r"failed to load: bad-plugin 1\.0"):
        plugins.scorers.get("bad")


def test_a_failure_takes_back_what_earlier_hooks_registered(install: Install) -> None:
    source = """
    @tts.hookimpl
    def tts_register_scorers():
        return [tts.ScorerSpec("first", "m:f", "")]

    @tts.hookimpl
    def tts_register_losses():
        raise OSError

    @tts.hookimpl
    def tts_after_scale(event):
        pass
    """
    install("bad-plugin", source)
    plugins = get_plugins()
    assert reason_of(plugins, "bad-plugin") == "bad-plugin 1.0, tts_register_losses: OSError"
    assert "first" not in plugins.scorers.names()
    assert plugins.observers() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [("nowhere", "ModuleNotFoundError"), ("bad_plugin:thing", "must name a module, got int")],
)
def test_an_entry_point_names_a_module(install: Install, value: str, expected: str) -> None:
    install("bad-plugin", "thing = 1", entry_points=f"[scalewise_tts]\nmain = {value}\n")
    assert expected in reason_of(get_plugins(), "bad-plugin")


def test_damaged_metadata_breaks_one_plugin_only(install: Install) -> None:
    install("good-plugin", GOOD)
    install("bad-plugin", GOOD, entry_points="[scalewise_tts]\nno equals sign\n")
    (install("lost-plugin", scorers("lost")) / "METADATA").unlink()
    plugins = get_plugins()
    assert "bad-plugin 1.0, entry entry_points.txt: TypeError" in reason_of(plugins, "bad-plugin")
    assert "METADATA" in reason_of(plugins, "unknown")
    assert plugins.scorers.owner("good") == "good-plugin:main"


def test_metadata_that_raises_when_it_is_missing_breaks_one_plugin_only(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As importlib_metadata does, and so setuptools once it is imported: 8.0 and later give no ``None``."""
    install("good-plugin", GOOD)
    (install("lost-plugin", scorers("lost")) / "METADATA").unlink()

    def version(distribution: Distribution) -> str:
        found: str | None = distribution.metadata["Version"]
        if found is None:
            raise TypeError("'NoneType' object is not subscriptable")
        return found

    monkeypatch.setattr(Distribution, "version", property(version))
    plugins = get_plugins()
    assert "no readable METADATA; install it again" in reason_of(plugins, "unknown")
    assert plugins.scorers.owner("good") == "good-plugin:main"


def requiring(info: Path, *requirements: str) -> None:
    """Add ``Requires-Dist`` lines to a distribution."""
    lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
    (info / "METADATA").write_text((info / "METADATA").read_text() + lines)


@pytest.mark.parametrize(
    ("requirement", "wanted"),
    [
        ("scalewise-tts>=99", ">=99"),
        ("Scalewise_TTS (>=99)", ">=99"),
        ("scalewise.tts[demo]<0.0.1,!=5", "!=5,<0.0.1"),
        ("scalewise-tts==99.*; python_version >= '3.0'", "==99.*"),
    ],
)
def test_a_plugin_of_another_version_is_broken(install: Install, requirement: str, wanted: str) -> None:
    requiring(install("bad-plugin", "1 / 0"), "numpy>=1", requirement)
    requiring(install("good-plugin", GOOD), f"scalewise-tts>=0,<=99,=={tts.__version__}")
    plugins = get_plugins()
    assert reason_of(plugins, "bad-plugin") == (
        f"bad-plugin 1.0, entry main: requires scalewise-tts{wanted}, this is scalewise-tts"
        f" {tts.__version__}; install versions that go together"
    )
    assert plugins.scorers.owner("good") == "good-plugin:main"


@pytest.mark.parametrize(
    "requirement",
    [
        "scalewise-tts",
        "scalewise-tts-extras>=99",
        "scalewise-tts>=99; extra == 'new'",
        "scalewise-tts>=99; python_version < '3.0'",
        "scalewise-tts @ https://example.org/scalewise.zip",
        "scalewise-tts >= ninety",
        "other>=99",
    ],
)
def test_other_requirements_do_not_count(install: Install, requirement: str) -> None:
    requiring(install("good-plugin", GOOD), requirement)
    assert entry_of(get_plugins(), "good-plugin").ok


@pytest.mark.parametrize("source", [source for source, _ in BROKEN.values()], ids=BROKEN.keys())
def test_a_reason_names_distribution_version_and_place(install: Install, source: str) -> None:
    install("bad-plugin", source)
    owner, place, *_ = reason_of(get_plugins(), "bad-plugin").replace(": ", ", ").split(", ")
    assert owner == "bad-plugin 1.0"
    assert place == "entry main" or place in HOOKS


def test_a_name_of_two_plugins_is_an_error_at_use(install: Install) -> None:
    install("acme", scorers("shared", "acme-own"))
    install("beta", scorers("shared", "beta-own"))
    plugins = get_plugins()
    assert entry_of(plugins, "acme").ok
    assert "acme:main" in reason_of(plugins, "beta")
    assert plugins.scorers.get("acme-own")
    assert "beta-own" not in plugins.scorers.names()
    with pytest.raises(PluginError, match="'shared' is claimed by acme:main and beta:main"):
        plugins.scorers.get("shared")


def test_one_entry_name_in_two_distributions(install: Install) -> None:
    install("acme", scorers("one"))
    install("beta", scorers("two"))
    assert {"one", "two"} < set(get_plugins().scorers.names())


def test_two_entries_of_a_distribution_fail_apart(install: Install) -> None:
    install("other", "1 / 0", entry_points="[console_scripts]\n")
    install("acme", scorers("one"), entry_points="[scalewise_tts]\na = acme\nb = other\n")
    plugins = get_plugins()
    assert [entry.ok for entry in plugins.entries if entry.distribution == "acme"] == [True, False]
    assert "one" in plugins.scorers.names()


def test_one_module_in_two_distributions(install: Install) -> None:
    install("acme", scorers("one"), module="same")
    install("beta", scorers("one"), module="same")
    plugins = get_plugins()
    assert "already loaded as acme:main" in reason_of(plugins, "beta")
    assert plugins.scorers.owner("one") == "acme:main"


def test_a_distribution_on_the_path_twice_loads_once(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good-plugin", GOOD)
    install("Good.Plugin", GOOD, folder="again", module="good_plugin")
    monkeypatch.syspath_prepend(tmp_path / "again")
    assert entry_of(get_plugins(), "good-plugin").ok


@pytest.mark.parametrize(
    ("value", "expected"),
    [("acme", {"acme"}), (" Beta_Plugin , acme,", {"acme", "beta-plugin"}), ("", set()), (" ", set())],
)
def test_the_allow_list_chooses_distributions(
    install: Install, monkeypatch: pytest.MonkeyPatch, value: str, expected: set[str]
) -> None:
    install("acme", scorers("one"))
    install("beta-plugin", scorers("two"))
    monkeypatch.setenv("TTS_PLUGINS", value)
    assert {entry.distribution for entry in get_plugins().entries[1:]} == expected


def test_a_name_in_the_allow_list_must_be_installed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_PLUGINS", "acme")
    assert "not installed" in reason_of(get_plugins(), "acme")


def test_strict_mode_refuses_broken_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", "1 / 0")
    monkeypatch.setenv("TTS_STRICT", "1")
    with pytest.raises(PluginError, match=r"acme 1\.0, entry main: ZeroDivisionError"):
        get_plugins()
    monkeypatch.setenv("TTS_STRICT", "0")
    assert not entry_of(get_plugins(), "acme").ok


def test_strict_mode_accepts_good_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good-plugin", GOOD)
    monkeypatch.setenv("TTS_STRICT", "1")
    assert get_plugins().scorers.get("good")


def test_observers_see_the_event_and_failures_name_the_plugin(install: Install) -> None:
    install("acme", "seen = []\n@tts.hookimpl\ndef tts_after_scale(event):\n    seen.append(event)")
    install("beta", "@tts.hookimpl\ndef tts_after_scale():\n    raise ValueError('oh')")
    good, bad = get_plugins().observers()
    event: Any = object()
    good(event)
    assert sys.modules["acme"].seen == [event]
    with pytest.raises(RunError) as caught:
        bad(event)
    assert str(caught.value) == "beta 1.0, tts_after_scale: ValueError: oh"
    assert isinstance(caught.value.__cause__, ValueError)


def commands(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return scorers("own") + f"import typer\n@tts.hookimpl\ndef tts_register_commands(app):\n{lines}"


HELLO = "@app.command()\ndef say_hello(count: int = 1): ..."


def test_commands_and_groups_join_the_application(install: Install) -> None:
    install(
        "acme",
        commands(HELLO + "\nsub = typer.Typer()\nsub.command()(say_hello)\napp.add_typer(sub, name='x')"),
    )
    app = typer.Typer()
    plugins = get_plugins()
    plugins.register_commands(app)
    assert set(get_group(app).commands) == {"say-hello", "x"}
    assert entry_of(plugins, "acme").provides == {"scorer": ("own",), "command": ("say-hello", "x")}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (HELLO + "\nraise ValueError('late')", "ValueError: late"),
        ("@app.command()\ndef sample(): ...", "command 'sample' is already taken by the toolkit"),
        ("@app.command('existing')\ndef f(): ...", "command 'existing' is already taken by the toolkit"),
        (HELLO + "\n" + HELLO, "two commands have the same name"),
        ("@app.command()\ndef f(x: int | str): ...", "Error"),
        ("@app.callback()\ndef f(): ...", "cannot replace the root callback"),
    ],
)
def test_a_failed_command_breaks_the_plugin_as_a_whole(install: Install, body: str, expected: str) -> None:
    install("bad-plugin", commands(body))
    install(
        "good-plugin",
        "@tts.hookimpl\ndef tts_register_commands(app):\n    @app.command()\n    def fine(): ...",
    )
    app = typer.Typer()
    app.command("existing")(lambda: None)
    plugins = get_plugins()
    plugins.register_commands(app, taken=["sample"])
    reason = reason_of(plugins, "bad-plugin")
    assert reason.startswith("bad-plugin 1.0, tts_register_commands: ")
    assert expected in reason
    assert set(get_group(app).commands) == {"existing", "fine"}
    assert "own" not in plugins.scorers.names()


def test_a_command_of_two_plugins_stays_with_the_first(install: Install) -> None:
    install("acme", "@tts.hookimpl\ndef tts_register_commands(app):\n    @app.command()\n    def same(): ...")
    install("beta", "@tts.hookimpl\ndef tts_register_commands(app):\n    @app.command()\n    def same(): ...")
    plugins = get_plugins()
    plugins.register_commands(typer.Typer())
    assert "already taken by acme 1.0" in reason_of(plugins, "beta")
    assert entry_of(plugins, "acme").provides == {"command": ("same",)}


def test_strict_mode_refuses_broken_commands(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", commands("1 / 0"))
    monkeypatch.setenv("TTS_STRICT", "1")
    with pytest.raises(PluginError, match="tts_register_commands: ZeroDivisionError"):
        get_plugins().register_commands(typer.Typer())


def test_every_hook_is_known() -> None:
    assert HOOKS == (
        "tts_register_backbones",
        "tts_register_scorers",
        "tts_register_selectors",
        "tts_register_strategies",
        "tts_register_losses",
        "tts_register_features",
        "tts_register_image_scorers",
        "tts_register_commands",
        "tts_after_scale",
    )


def test_discovery_imports_no_torch() -> None:
    code = (
        "import sys, tts; from tts.manager import get_plugins; get_plugins();"
        "print([name for name in ('torch', 'huggingface_hub', 'typer') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
