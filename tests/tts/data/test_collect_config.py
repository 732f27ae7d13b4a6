"""What may be asked of ``tts collect``."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from tts.data.collect_config import EXECUTION, CollectConfig
from tts.data.collect_run import run_collect
from tts.engine.opening import Mode


@pytest.fixture
def config(tmp_path):
    return CollectConfig(per_class=3, out=str(tmp_path / "set"), device="cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_class": 0}, "per-class 0 must be at least 1"),
        ({"batch_size": -1}, "batch-size -1 must be at least 1"),
        ({"real": "digits", "crop": "left"}, "unknown crop 'left'; use center or random"),
        ({"cfg": -1.0}, "cfg -1.0"),
        ({"top_p": 2.0}, "top-p 2.0"),
        ({"real": "/nowhere/images"}, "image folder /nowhere/images does not exist"),
        ({"workers": -1}, "workers -1 must be at least 0"),
        ({"max_unreadable": 2.0}, "max-unreadable 2.0 must be a share from 0 to 1"),
        ({"max_unreadable": float("nan")}, "max-unreadable nan"),
        ({"shard": "3/2"}, "shard '3/2' must be i/n with i from 1 to n; for example 2/8"),
        ({"shard_items": 0}, "shard-items 0 must be at least 1; the default is 512"),
        ({"overwrite": True, "extend": True}, "--overwrite starts afresh and --extend adds items"),
        ({"overwrite": True, "shard": "1/2"}, "--overwrite does not go with --shard"),
    ],
)
def test_settings_out_of_range(config, changes, words, refused):
    with refused(words):
        run_collect(replace(config, **changes))
    assert not Path(config.out).exists()


def test_the_mode_is_how_a_folder_is_treated():
    assert CollectConfig().mode == Mode()
    assert CollectConfig(extend=True).mode == Mode(extend=True)
    assert CollectConfig(overwrite=True).mode == Mode(overwrite=True)


def test_what_says_how_a_run_is_carried_out_is_known():
    assert set(EXECUTION) < {field.name for field in fields(CollectConfig)}
