"""What a sweep is asked for."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from tts.evaluation.sweep.config import BASE, SweepConfig, frame
from tts.evaluation.sweep.grid import AXES
from tts.sample_config import LATER, SETTINGS, SampleConfig

CONFIG = SweepConfig(SampleConfig(), "out", ("candidates=1,2",))


def test_whatever_decides_about_images_belongs_to_the_base() -> None:
    files = {"formats", "save_tokens", "trace", "from_tokens", "from_scale"}
    assert set(SETTINGS) - set(BASE) == files
    assert set(AXES) <= set(BASE)


def test_points_share_what_is_neither_an_axis_nor_a_hashed_file() -> None:
    asked = {*SETTINGS} & {*BASE} - {*AXES, "backbone", "weights", "candidates_of"}
    assert frame(SampleConfig(part="ema", sampler="fast")).keys() == asked
    assert frame(SampleConfig()).keys() == asked - {*LATER}  # as sweeps of earlier versions have it
    assert frame(SampleConfig(candidates="64", batch_size=3)) == frame(SampleConfig())
    assert frame(SampleConfig(dtype="bfloat16")) != frame(SampleConfig())


@pytest.mark.parametrize(
    ("features", "reference", "expected"),
    [
        ("auto", "heldout", "digits"),
        ("auto", "all", "digits"),
        ("auto", "reference.npz", "inception"),
        ("inception:a.pth", "all", "inception:a.pth"),
    ],
)
def test_features_suit_the_reference(features: str, reference: str, expected: str) -> None:
    assert replace(CONFIG, features=features, reference=reference).features_text == expected


def test_the_command_names_what_is_not_as_by_default() -> None:
    base = SampleConfig(weights=("a b.pth", "c.pth"), cfg=2.0, sample_all_scales=True, device="cpu")
    config = replace(CONFIG, base=base, grids=("cfg=1,2", "schedule=1,2;1,3"), images=5, keep_images=True)
    words = shlex.split(config.command(config.parse()[0]))
    weights = ["--weights", "a b.pth", "--weights", "c.pth"]
    rest = ["--sample-all-scales", "--cfg", "2.0", "--device", "cpu"]
    assert sorted(words[2:9]) == sorted([*weights, *rest[:3]])
    assert words[9:11] == rest[3:]
    grids = ["--grid", "cfg=1.0,2.0", "--grid", "'schedule=1,2;1,3'"]
    assert words[11:] == [*grids, "--images", "5", "--keep-images", "--out", "out"]
    again = replace(CONFIG, grids=("cfg=1.0,2.0", "'schedule=1,2;1,3'"))
    assert again.parse()[0] == config.parse()[0]
