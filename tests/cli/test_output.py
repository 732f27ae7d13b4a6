"""Results on stdout."""

from __future__ import annotations

import json

import pytest

from tts.engine.work import Outcome
from tts_cli.output import print_json, print_table, state


def test_a_table_has_aligned_columns_and_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("RUN", "N"), [("a", "1"), ("longer", "20"), ("", "")])
    assert capsys.readouterr().out == "RUN     N\na       1\nlonger  20\n\n"


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
