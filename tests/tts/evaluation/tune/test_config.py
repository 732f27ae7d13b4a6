"""What ``tts tune`` is asked for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tts.errors import UsageError
from tts.evaluation.tune.config import TuneConfig, parse_cfgs
from tts.evaluation.tune.space import Arm
from tts.sample_config import SampleConfig
from tts.settings_file import read_settings, write_settings


def test_cfgs_are_read() -> None:
    assert parse_cfgs("0,0.5, 1e1") == (0.0, 0.5, 10.0)
    for text in ("", "1,", "x", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match=r"like 0,0\.5,1"):
            parse_cfgs(text)


def test_the_command_names_what_is_not_as_by_default() -> None:
    assert TuneConfig(SampleConfig()).command() == "tts tune"
    base = SampleConfig(backbone="var-digits-l", weights=("a b.pth",), dtype="float16")
    words = shlex.split(TuneConfig(base, budget="1h", cfgs="0,1", max_overhead=1.5, seed=2).command())
    assert words[:2] == ["tts", "tune"]
    pairs = dict(zip(words[2::2], words[3::2], strict=True))
    assert pairs == {
        "--backbone": "var-digits-l",
        "--weights": "a b.pth",
        "--dtype": "float16",
        "--budget": "1h",
        "--cfgs": "0,1",
        "--max-overhead": "1.5",
        "--seed": "2",
    }


@pytest.mark.parametrize(
    "arm",
    [
        Arm(0.5),
        Arm(2.0, 8, 2, "greedy"),
        Arm(1.5, 16, 1, "topk", 4, 0.5),
        Arm(0.0, 4, 3, "softmax", None, 2.0),
    ],
)
def test_settings_make_the_arms_images_and_nothing_else(arm: Arm, tmp_path: Path) -> None:
    base = SampleConfig(backbone="flexvar-digits", guidance="llamagen", top_p=0.9, device="cpu", batch_size=7)
    settings = TuneConfig(base).settings(arm)
    assert SampleConfig(**settings).settings() == arm.applied(base).settings()
    assert not {"device", "batch_size", "out", "labels"} & set(settings)
    write_settings(tmp_path / "settings.json", settings)
    assert SampleConfig(**read_settings(tmp_path / "settings.json")) == SampleConfig(**settings)


def test_features_follow_the_reference_unless_they_are_named() -> None:
    base = SampleConfig()
    assert TuneConfig(base).features_text == "digits"
    assert TuneConfig(base, reference="ref.npz").features_text == "inception"
    assert TuneConfig(base, reference="ref.npz", features="digits").features_text == "digits"


def test_options_are_equal_however_they_are_written() -> None:
    base = SampleConfig()
    one, other = TuneConfig(base, budget="90s", cfgs="0,1"), TuneConfig(base, budget="1m30s", cfgs="0.0, 1")
    assert one.options() == other.options()
    assert one.options() != TuneConfig(base, budget="90s", cfgs="0,2").options()


def test_where_it_runs_is_no_option() -> None:
    here, there = SampleConfig(device="cpu", batch_size=3), SampleConfig(device="cuda", chunk=4)
    assert TuneConfig(here, out="a").options() == TuneConfig(there, out="b").options()
