"""The installed package in runs of ``tts sample``; skipped where it is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest
from safetensors.torch import load_file

INSTALLED = any(entry.name == "density" for entry in metadata.entry_points(group="scalewise_tts"))

pytestmark = pytest.mark.skipif(not INSTALLED, reason="install the package first")

ITEMS = ("--labels", "3,7", "--seeds", "0-1", "--candidates", "6", "--device", "cpu", "--save-tokens")


@pytest.fixture
def tts(tmp_path):
    def run(*args):
        environment = {
            **os.environ,
            "COLUMNS": "200",
            "TTS_PROGRESS": "off",
            "TTS_PLUGINS": "tts-select-density",
        }
        command = [sys.executable, "-m", "tts_cli", *args]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


CASES = [
    ("var-digits", "density:k=2"),
    ("flexvar-digits", "density:k=2,mode=adaptive,space=position,bandwidth=silverman,alpha=1.2"),
]


@pytest.mark.parametrize(("backbone", "selector"), CASES)
def test_it_chooses_in_a_run_whatever_the_batch(tts, tmp_path, backbone, selector):
    made = []
    for batch in ("1", "4"):
        options = ("--selector", selector, "--batch-size", batch, "--out", f"out-{batch}")
        done = tts("sample", "--backbone", backbone, *ITEMS, *options)
        assert (done.returncode, done.stderr.splitlines()) == (0, []), done
        made.append(load_file(tmp_path / f"out-{batch}" / "tokens.safetensors"))
    assert made[0]["tokens"].equal(made[1]["tokens"])
    assert bool((made[0]["winner_index"] > 0).any())


def test_it_adds_to_scores_and_is_recorded(tts, tmp_path):
    options = ("--selector", "density:weight=0.5,k=1,space=tokens", "--scorer", "likelihood", "--out", "out")
    done = tts("sample", "--backbone", "var-digits", *ITEMS, *options)
    assert (done.returncode, done.stderr.splitlines()) == (0, []), done
    record = (tmp_path / "out" / "run.json").read_text()
    assert "density:weight=0.5,k=1,space=tokens" in record
    assert any("tts-select-density" in line for line in json.loads(record)["environment"]["plugins"])


@pytest.mark.parametrize("argument", ["k=0", "size=3"])
def test_a_bad_argument_is_one_line(tts, argument):
    done = tts(
        "sample", "--backbone", "var-digits", *ITEMS, "--selector", f"density:{argument}", "--out", "x"
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "selector density" in line
