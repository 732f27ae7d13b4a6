"""Settings: their ranges, and what a scorer file says of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from tts.scorers.settings import TrainSettings, described, option

SETTINGS = TrainSettings("pairwise", (0, 1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"batch": 0}, "batch 0 must be at least 1"),
        ({"epoch_pairs": 0}, "epoch-pairs 0 must be at least 1"),
        ({"accumulate": 0}, "accumulate 0 must be at least 1"),
        ({"patience": 0}, "patience 0 must be at least 1"),
        ({"accumulate": 9, "batch": 8}, "accumulate 9 cuts a batch of 8 pairs"),
        ({"learning_rate": 0.0}, "lr 0.0 must be a number above 0"),
        ({"learning_rate": float("nan")}, "lr nan"),
        ({"learning_rate": float("inf")}, "lr inf"),
        ({"seed": -1}, "seed -1 must be at least 0"),
        ({"ema": 1.0}, "ema 1.0 must be from 0 (off) to below 1"),
        ({"ema": float("nan")}, "ema nan"),
        ({"condition": "area"}, "unknown condition 'area'; use scale or side"),
        ({"precision": "half"}, "unknown precision 'half'; use float32, bfloat16 or float16"),
        ({"keep": "first"}, "unknown keep 'first'; use best or last"),
    ],
)
def test_settings_out_of_range(changes, words, refused):
    with refused(words):
        replace(SETTINGS, **changes)


def test_a_scorer_file_says_what_it_always_said_and_what_departs_from_it():
    assert list(described(SETTINGS)) == [
        "loss",
        "scales",
        "condition",
        "epochs",
        "batch",
        "learning_rate",
        "epoch_pairs",
        "held_out",
        "held_out_pairs",
        "ema",
        "seed",
    ]
    other = replace(SETTINGS, accumulate=2, precision="bfloat16", keep="last", patience=3)
    assert described(other) == asdict(other)
    json.dumps(described(other))


def test_the_command_lines_words():
    assert [option(name) for name in ("learning_rate", "epoch_pairs", "ema")] == ["lr", "epoch-pairs", "ema"]
