"""``tts bench`` on the command line."""

from __future__ import annotations

import json

import pytest


def test_a_table_says_what_candidates_cost(succeed, tmp_path):
    out = tmp_path / "bench"
    lines = succeed("bench", "--candidates", "4", "--rounds", "1", "--batch", "2", "--out", out).splitlines()
    assert " ".join(lines[0].split()) == "batch M ms images/s overhead % peak MiB"
    assert lines[3].startswith("Medians of a batch")
    assert "overhead: time beyond that of M = 1" in lines[3]
    assert "fewer than 6 rounds have no intervals" in lines
    assert [line.split()[:2] for line in lines[1:3]] == [["2", "1"], ["2", "4"]]
    assert json.loads((out / "bench.json").read_text())["backbone"]["name"] == "var-digits"


def test_all_columns_can_be_shown(succeed):
    text = succeed("bench", "--candidates", "2", "--rounds", "1", "--batch", "1", "--all")
    assert {"kernels", "TFLOP", "candidates"} <= set(text.splitlines()[0].split())
    assert "kernels, GB, TFLOP: what a batch takes" in text


def test_json_is_one_document(succeed):
    arguments = ("--candidates", "2", "--rounds", "1", "--batch", "1", "--sampler", "fast", "--json")
    assert json.loads(succeed("bench", *arguments))["settings"]["sampler"] == "fast"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--candidates", "0"), "candidates '0' must be whole numbers from 1 to 4096"),
        (("--rounds", "0"), "rounds 0 must be at least 1"),
        (("--batch", "some"), "batch 'some'"),
        (("--sampler", "quick"), "unknown sampler 'quick'"),
        (("--compile",), "--compile does not go with --sampler exact"),
        (("--backbone", "var-d17"), "unknown backbone 'var-d17'"),
        (("--scorer", "none", "--batch", "1"), "needs a scorer"),
        (("--out", "/proc/nowhere"), "/proc/nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(refuse, arguments, said):
    assert said in refuse("bench", *arguments)
