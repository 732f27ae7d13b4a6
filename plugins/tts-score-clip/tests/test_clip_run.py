"""The installed package in runs of ``tts sample``; skipped where it is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest
from safetensors.torch import load_file

INSTALLED = any(entry.name == "clip" for entry in metadata.entry_points(group="scalewise_tts"))

pytestmark = pytest.mark.skipif(not INSTALLED, reason="install the package first")

ITEMS = ("--labels", "3,7", "--seeds", "0-1", "--candidates", "3", "--device", "cpu", "--save-tokens")


@pytest.fixture
def tts(tmp_path):
    def run(*args):
        environment = {
            **os.environ,
            "COLUMNS": "200",
            "TTS_PROGRESS": "off",
            "TTS_PLUGINS": "tts-score-clip",
        }
        command = [sys.executable, "-m", "tts_cli", *map(str, args)]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("way", ["whole images", "each scale"])
def test_it_judges_in_a_run(tts, tmp_path, clip, way):
    argument = f"clip:{clip[0]},classes=digits,prompt=the number {{}}"
    options = {
        "whole images": ("--strategy", "best-of-n", "--image-scorer", argument),
        "each scale": ("--scorer", f"preview:{argument}"),
    }[way]
    made = []
    for batch in (1, 4):
        done = tts(
            "sample", "--backbone", "var-digits", *ITEMS, *options, "--batch-size", batch, "--out", batch
        )
        assert (done.returncode, done.stderr.splitlines()) == (0, []), done
        made.append(load_file(tmp_path / str(batch) / "tokens.safetensors"))
    assert made[0]["tokens"].equal(made[1]["tokens"])
    assert bool((made[0]["winner_index"] > 0).any())
    record = (tmp_path / "4" / "run.json").read_text()
    assert '"sha256"' in record
    assert "the number {}" in record
    assert any("tts-score-clip" in line for line in json.loads(record)["environment"]["plugins"])


@pytest.mark.parametrize("argument", ["C:\\clip", "./none,classes=digits"])
def test_a_bad_argument_is_one_line(tts, argument):
    options = ("--scorer", f"preview:clip:{argument}", "--out", "x")
    done = tts("sample", "--backbone", "var-digits", *ITEMS, *options)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: scorer clip")
