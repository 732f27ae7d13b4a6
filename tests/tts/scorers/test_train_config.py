"""From the command's options to the settings of a training."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from tts.scorers.settings import TrainSettings
from tts.scorers.train_config import TrainConfig, check, train_settings

CONFIG = TrainConfig("real", "generated", "out")


def test_defaults_are_those_of_the_settings():
    assert train_settings(CONFIG, 4) == TrainSettings("pairwise", (0, 1, 2, 3))


def test_every_setting_comes_from_its_option():
    changes = {
        "loss": "pointwise",
        "condition": "side",
        "epochs": 5,
        "batch": 6,
        "learning_rate": 0.1,
        "epoch_pairs": 7,
        "held_out": 0.3,
        "ema": 0.5,
        "seed": 8,
        "accumulate": 2,
        "precision": "bfloat16",
        "keep": "last",
        "patience": 3,
    }
    made = asdict(train_settings(replace(CONFIG, scales="2-", **changes), 4))
    assert made == {**changes, "scales": (1, 2, 3), "held_out_pairs": 4096}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"checkpoint_steps": 0}, "checkpoint-steps 0 must be at least 1"),
        ({"keep": "none"}, "unknown keep 'none'"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_loaded(changes, words, refused):
    check(CONFIG)
    with refused(words):
        check(replace(CONFIG, **changes))
