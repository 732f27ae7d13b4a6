"""Help, versions, errors and exit codes of the command line."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tts import __version__
from tts_cli.main import COMMANDS, GROUPS

Install = Callable[[str, str], None]
Text = Callable[..., str]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]

ACME = """
import os
import signal
import typer
from enum import Enum
from tts.errors import RunError, UsageError

class Shape(str, Enum):
    round = "round"
    square = "square"

@tts.hookimpl
def tts_register_commands(app):
    sub = typer.Typer(no_args_is_help=True)
    app.add_typer(sub, name="sub")

    @sub.command()
    def inner(): ...

    @sub.command()
    def outer(): ...

    @app.command()
    def draw(name: str, shape: Shape = typer.Option(...), count: int = typer.Option(3, min=1)):
        print(name, shape.value, count)

    @app.command()
    def fail(how: str):
        if how == "usage":
            raise UsageError("got -1\\nmust be positive")
        if how == "run":
            raise RunError("disk is full; free some space")
        if how == "bug":
            raise ValueError("a bug")
        if how == "exit":
            raise typer.Exit(7)
        if how == "abort":
            raise typer.Abort
        if how == "interrupt":
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        return 3
"""


@pytest.fixture
def acme(install: Install, tts: Tts) -> Tts:
    install("acme", ACME)
    return tts


def one_line(result: subprocess.CompletedProcess[str], code: int) -> str:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_help_shows_every_command(tts: Tts) -> None:
    result = tts("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    assert list(summaries(result.stdout)) == [*COMMANDS, *GROUPS]


def summaries(page: str) -> dict[str, str]:
    """Commands and what a help page says of them, with the lines put together."""
    found: dict[str, str] = {}
    for line in page.partition("Commands:\n")[2].splitlines():
        if line.strip() and not line.startswith("   "):
            name, _, text = line.strip().partition(" ")
            found[name] = text.strip()
        elif line.strip():
            found[name] += " " + line.strip()
    return found


@pytest.mark.parametrize("group", [(), ("data",), ("plugin",)])
def test_summaries_are_whole_on_a_narrow_terminal(
    succeed: Text, monkeypatch: pytest.MonkeyPatch, group: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = succeed(*group, "--help")
    assert max(map(len, page.splitlines())) <= 80
    for name, summary in summaries(page).items():
        own = succeed(*group, name, "--help").split("\n\n")[1]
        assert summary == " ".join(own.split()), name


WITHIN = [
    f"{name} {inner.callback.__name__}"
    for name, group in GROUPS.items()
    for inner in group.registered_commands
]


def test_a_command_that_takes_weights_takes_their_part() -> None:
    given = {name: inspect.signature(command).parameters for name, command in COMMANDS.items()}
    takers = [name for name, parameters in given.items() if "weights" in parameters]
    assert {"sample", "collect", "train-scorer"} <= set(takers)
    assert [name for name in takers if "part" not in given[name]] == []


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS, *WITHIN])
def test_a_command_has_a_sentence_and_two_examples(succeed: Text, command: str) -> None:
    _, _, text = succeed(*command.split(), "--help").partition("\n\n")
    sentence, examples, *_ = text.split("\n\n")
    assert sentence.endswith(".")
    assert examples.lstrip().startswith("Examples:")
    assert examples.count(f"tts {command}") == 2


def test_no_arguments_show_the_help_on_stderr(tts: Tts) -> None:
    result = tts()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == tts("--help").stdout


def test_version(tts: Tts) -> None:
    assert tts("--version").stdout == f"scalewise-tts {__version__}\n"


def test_python_m_works(tts_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tts_cli", "lits"]
    result = subprocess.run(command, env=tts_environment, capture_output=True, text=True, check=False)
    line = one_line(result, 2)
    assert line == "error: no such command 'lits'; did you mean 'list'? see python -m tts_cli --help"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list"], ["plugins"], ["list", "--help"], ["data", "--help"]]
)
def test_light_commands_import_nothing_heavy(tts_environment: dict[str, str], arguments: list[str]) -> None:
    code = (
        "import sys, atexit; from tts_cli.main import main;"
        "heavy = ('torch', 'numpy', 'huggingface_hub', 'rich');"
        "atexit.register(lambda: print([n for n in heavy if n in sys.modules], file=sys.stderr)); main()"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, env=tts_environment, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--fog"], "error: no such option: --fog; see tts --help"),
        (["draw"], "error: missing argument 'name'; see tts draw --help"),
        (["draw", "x", "--shape", "oval"], "'oval' is not one of"),
        (["draw", "x"], "error: missing option '--shape'. Choose from: round, square; see tts draw --help"),
        (["draw", "x", "--count", "many"], "error: invalid value for '--count': "),
        (["draw", "x", "--shape", "round", "--count", "0"], "error: invalid value for '--count': "),
        (["draw", "x", "--cuont", "1"], "--count); see tts draw --help"),
        (["list", "x"], "error: got unexpected extra argument(s) (x); see tts list --help"),
        (["lists"], "error: no such command 'lists'; did you mean 'list'? see tts --help"),
        (["sub", "iner"], "error: no such command 'iner'; did you mean 'inner'? see tts sub --help"),
        (["xyzzy"], "error: no such command 'xyzzy'; see tts --help"),
    ],
)
def test_usage_errors_are_one_line(acme: Tts, arguments: list[str], expected: str) -> None:
    line = one_line(acme(*arguments), 2)
    assert line.startswith("error: ")
    assert expected in line
    assert line.endswith("--help")


def test_a_group_without_a_command_shows_its_help(acme: Tts) -> None:
    result = acme("sub")
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: tts sub" in result.stderr
    assert "error" not in result.stderr


@pytest.mark.parametrize(
    ("how", "code", "expected"),
    [
        ("usage", 2, "error: got -1 must be positive"),
        ("run", 1, "error: disk is full; free some space"),
        ("interrupt", 130, "error: interrupted"),
        ("abort", 1, "error: aborted"),
    ],
)
def test_mendable_errors_are_one_line(acme: Tts, how: str, code: int, expected: str) -> None:
    assert one_line(acme("fail", how), code) == expected


def test_a_bug_keeps_its_traceback(acme: Tts) -> None:
    result = acme("fail", "bug")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("ValueError: a bug\n")


@pytest.mark.parametrize(("how", "code"), [("exit", 7), ("nothing", 0)])
def test_exit_codes_are_those_of_typer_exit_alone(acme: Tts, how: str, code: int) -> None:
    result = acme("fail", how)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


def test_plugin_commands_run_and_show_their_defaults(acme: Tts) -> None:
    result = acme("draw", "x", "--shape", "round")
    assert (result.stdout, result.stderr) == ("x round 3\n", "")
    assert "default: 3" in acme("draw", "--help").stdout
    assert "draw" in acme("--help").stdout


def test_a_broken_plugin_costs_one_line_on_stderr(install: Install, tts: Tts) -> None:
    install("broken", "1 / 0")
    install("acme", ACME)
    warning = "warning: plugin broken 1.0, entry main: ZeroDivisionError: division by zero\n"
    result = tts("draw", "x", "--shape", "round")
    assert (result.returncode, result.stdout, result.stderr) == (0, "x round 3\n", warning)
    assert tts("--help").stderr == warning


def test_strict_mode_refuses_a_broken_plugin(install: Install, tts: Tts) -> None:
    install("broken", "1 / 0")
    line = one_line(tts("list", TTS_STRICT="1"), 2)
    assert line.startswith("error: TTS_STRICT")
    assert "broken 1.0" in line


def test_a_plugin_cannot_replace_a_built_in_command(install: Install, tts: Tts) -> None:
    install("thief", "@tts.hookimpl\ndef tts_register_commands(app):\n    app.command('list')(lambda: 1 / 0)")
    result = tts("list")
    assert result.returncode == 0
    assert "command 'list' is already taken" in result.stderr


def test_a_closed_pipe_is_quiet(tts_environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tts_cli", "list"]
    with os.fdopen(writer, "w") as stdout:
        result = subprocess.run(
            command, env=tts_environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (1, "")


def test_shell_completion_knows_plugin_commands_and_gives_no_warnings(install: Install, tts: Tts) -> None:
    install("acme", ACME)
    install("broken", "1 / 0")
    result = tts(_TTS_COMPLETE="complete_bash", COMP_WORDS="tts ", COMP_CWORD="1")
    assert set(result.stdout.split()) == {*COMMANDS, *GROUPS, "draw", "fail", "sub"}
    assert result.stderr == ""


def test_no_module_imports_click() -> None:
    sources = Path(sys.modules["tts_cli.main"].__file__ or "").parent.rglob("*.py")
    pattern = re.compile(r"^\s*(import|from) click\b", re.MULTILINE)
    assert not [path for path in sources if pattern.search(path.read_text())]
