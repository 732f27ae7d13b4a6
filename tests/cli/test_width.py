"""Tables of all commands on a terminal of 80 columns: no line is wider, and nothing is cut."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tts_cli.output import print_table

Tts = Callable[..., "subprocess.CompletedProcess[str]"]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module", params=[40, 80, 120])
def limit(request: pytest.FixtureRequest) -> int:
    width = request.param
    assert isinstance(width, int)
    return width


TABLES = {
    "figures": [
        ["RUN", *(f"FIGURE-{n}" for n in range(12))],
        *(
            [name, *(f"{n}1.234 [{n}0.111, {n}2.999]" for n in range(12))]
            for name in ("a", "runs/" + "b" * 90)
        ),
    ],
    "prose": [
        ["NAME", "OWNER", "SUMMARY"],
        ["short", "me", "what a thing of some words is good for, " * 6],
        ["a-long-name:with=arguments,of=several,kinds=each,of=their,own=value", "me", "nothing"],
    ],
    "two names": [["point", "against", "sets", "gain"], ["p" * 70, "q" * 70, "1000000", "0.123456"]],
    "one column": [["NAME"], ["n" * 200]],
    "no rows": [["A", "B"]],
}


@pytest.mark.parametrize("kind", TABLES)
def test_no_line_is_wider_and_nothing_is_lost(
    kind: str, limit: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(limit))
    header, *rows = TABLES[kind]
    print_table(header, rows, "what the columns are, in many words " * 5)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= limit
    words = set(shown.split())
    for cell in (cell for row in rows for cell in row[1:]):
        assert set(NUMBER.findall(cell)) <= set(NUMBER.findall(shown)), cell  # no number is cut
        assert all(word in words for word in cell.split() if len(word) < 12), cell
    for name in (row[0] for row in rows):
        assert shown.count(name[0]) >= name.count(name[0]), name


def test_a_table_that_fits_is_one_block(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("A", "B"), [("a" * 38, "b" * 40)])
    assert capsys.readouterr().out.splitlines() == [f"A{' ' * 39}B", f"{'a' * 38}  {'b' * 40}"]


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "plugins",
        "eval plain chosen --bootstrap 20 --parts --extrapolate",
        pytest.param("bench --candidates 1,2 --batch 2 --rounds 6 --all", marks=pytest.mark.slow),
        "bench --candidates 1,2 --batch 2 --rounds 2",
        pytest.param(
            "sweep --grid candidates=1,2 --images 20 --seeds 3 --batch-size 20 --against plain --out sweep",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_commands_fit_80_columns(runs: Path, tts: Tts, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(runs)
    done = tts(*command.split(), COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., str]) -> Path:
    """A folder with two runs."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more in (("plain", ("--candidates", "1")), ("chosen", ("--candidates", "2"))):
        items = ("--labels", "0-9", "--seeds", "0-5")
        json.loads(succeed("sample", *items, *more, "--out", folder / name, "--json"))
    return folder
