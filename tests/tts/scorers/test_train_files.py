"""The summary of a finished training."""

from __future__ import annotations

import pytest

from tts.errors import CheckpointError
from tts.io import write_json
from tts.scorers.train_files import TrainSummary, read_summary

RECORD = {
    "scales": [1, 2],
    "history": [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}],
    "kept_epoch": 2,
    "held_out": {"loss": [0.5, 0.4], "accuracy": [0.7, 0.8]},
    "seconds": 12.5,
}


def write(folder, record):
    write_json((folder / "metrics.json"), record)


def test_it_is_read_from_the_files(tmp_path):
    write(tmp_path, RECORD)
    (tmp_path / "scores.png").touch()
    assert read_summary(tmp_path, finished_before=True) == TrainSummary(
        scorer=tmp_path / "scorer.safetensors",
        scales=(1, 2),
        loss=(0.5, 0.4),
        accuracy=(0.7, 0.8),
        pictures=(tmp_path / "scores.png",),
        seconds=12.5,
        epoch=2,
        epochs=3,
        finished_before=True,
    )


def test_records_of_earlier_versions_kept_the_last_epoch(tmp_path):
    write(tmp_path, {key: value for key, value in RECORD.items() if key != "kept_epoch"})
    assert read_summary(tmp_path).epoch == 3


@pytest.mark.parametrize("record", [[], {}, {**RECORD, "held_out": None}, {**RECORD, "seconds": "long"}])
def test_a_record_of_something_else_is_refused(tmp_path, record, refused):
    write(tmp_path, record)
    with refused("metrics.json is not a valid record of a training", "--overwrite", kind=CheckpointError):
        read_summary(tmp_path)


def test_a_missing_record_is_refused(tmp_path, refused):
    with refused("metrics.json", kind=CheckpointError):
        read_summary(tmp_path)
