"""Results on stdout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tts.engine.work import Outcome
from tts_cli import output
from tts_cli.output import echo, print_json, print_table, state
from tts_cli.progress import say


def test_a_table_has_aligned_columns_and_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("RUN", "N"), [("a", "1"), ("longer", "20"), ("", "")])
    assert capsys.readouterr().out == "RUN     N\na       1\nlonger  20\n\n"


EVIL = {
    "escape": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "line": ("a\nerror: b\r", r"a\nerror: b\r"),
    "c1": ("a\x9b31m\x85", r"a\x9b31m\x85"),
    "bidi": ("a\u202egnp.exe\u2069", r"a\u202egnp.exe\u2069"),
    "hidden": ("a\u200b\ufeffb", r"a\u200b\ufeffb"),
    "separators": ("a\u2028b", r"a\u2028b"),
    "not UTF-8": ("a\udcff", r"a\udcff"),
    "harmless": ("Zürich 画像 ±", "Zürich 画像 ±"),
}


@pytest.mark.parametrize("name", EVIL)
def test_control_characters_have_no_power(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, shown = EVIL[name]
    say(f"warning: {text}")
    echo(text)
    echo(text, err=True)
    print_table((text, "N"), [(text, "1")])
    done = capsys.readouterr()
    assert done.err == f"warning: {shown}\n{shown}\n"
    assert done.out == f"{shown}\n{shown}  N\n{shown}  1\n"


def test_commands_print_through_one_place() -> None:
    """What commands print for people is escaped, so none of them prints by itself."""
    folder = Path(output.__file__).parent
    printing = {
        path.name
        for path in folder.glob("*.py")
        if re.search(r"(?<![\w.])print\(|sys\.std(out|err)\.write", path.read_text())
    }
    assert printing == {"output.py", "progress.py"}  # progress.py prints JSON, which escapes by itself


def test_an_error_with_a_name_of_control_characters_is_one_harmless_line(run: Any, tmp_path: Path) -> None:
    for name in ("\x1b[31mred", "a\nerror: b", "a\u202eb"):
        for arguments in (("data", "info", tmp_path / name), ("sample", "--backbone", name), (name,)):
            done = run(*arguments)
            assert done.code == 2
            assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", done.stderr)
            assert len(done.stderr.splitlines()) == 1


def test_json_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "x", "none": None, "list": [1, 2.5]}
    print_json(value)
    assert json.loads(capsys.readouterr().out) == value


@pytest.mark.parametrize(
    ("outcome", "verb", "words"),
    [
        (Outcome(6, False, True, 2, 2), "", "6 images"),
        (Outcome(2, False, True, 2, 2), " collected", "6 images collected"),  # the rest by others or before
        (Outcome(0, True, True, 2, 2), "", "6 images already"),
        (Outcome(0, True, True, 2, 2), " collected", "6 images already collected"),
        (Outcome(3, False, False, 1, 2), "", "1 of 2 shards, the rest is left to other processes,"),
        (
            Outcome(3, False, False, 1, 2),
            " collected",
            "1 of 2 shards collected, the rest is left to other processes,",
        ),
    ],
)
def test_how_far_a_run_is_in_words(outcome: Outcome, verb: str, words: str) -> None:
    assert state(outcome, 6, verb) == words
