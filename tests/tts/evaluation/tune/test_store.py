"""The folder of a tune."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError, UsageError
from tts.evaluation.tune.records import Ledger
from tts.evaluation.tune.store import TuneRecord, TuneStore, full_record
from tts.io import write_json

ASKED = TuneRecord(
    command="tts tune",
    base={"backbone": "var-digits"},
    options={"budget": "90s", "seed": 0},
    backbone={"name": "var-digits", "weights_sha256": "a"},
    scorer={"name": "learned", "sha256": "b", "file": "here"},
    features={"name": "digits"},
    features_title="FD",
    reference={"text": "heldout", "images": 364, "sha256": "c"},
)


@pytest.fixture
def ledger(bench: Any, tuned: Callable[..., Any]) -> Ledger:
    """The ledger of a finished tune."""
    found: Ledger = tuned(bench(lambda arm: 1.0), 60).ledger
    return found


def written(folder: Path, ledger: Ledger) -> TuneStore:
    store = TuneStore(folder)
    store.write(full_record(ASKED, 90.0, ledger, {"search": 2, "confirmation": 2}, {"device": "cpu"}))
    return store


def test_a_new_folder_holds_nothing(tmp_path: Path) -> None:
    assert TuneStore(tmp_path).open(ASKED, overwrite=False) == Ledger()


def test_what_is_written_is_read_again(tmp_path: Path, ledger: Ledger) -> None:
    again = written(tmp_path, ledger).open(ASKED, overwrite=False)
    assert again == ledger


def test_names_of_files_make_no_other_tune(tmp_path: Path, ledger: Ledger) -> None:
    moved = replace(
        ASKED,
        command="tts tune --out elsewhere",
        scorer={**ASKED.scorer, "file": "there"},
        reference={**ASKED.reference, "text": "./heldout"},
    )
    assert written(tmp_path, ledger).open(moved, overwrite=False).rungs


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("options", {"budget": "90s", "seed": 1}, "seed"),
        ("options", {"budget": "90s", "seed": 0, "more": 1}, "more"),
        ("backbone", {"name": "var-digits", "weights_sha256": "z"}, "backbone"),
        ("scorer", {"name": "likelihood"}, "scorer"),
        ("features", {"name": "inception"}, "features"),
        ("reference", {"text": "heldout", "images": 3, "sha256": "c"}, "reference"),
    ],
)
def test_another_tune_is_refused_by_name(
    tmp_path: Path, ledger: Ledger, field: str, value: dict[str, Any], name: str
) -> None:
    store = written(tmp_path, ledger)
    with pytest.raises(UsageError, match=rf"other settings \({name}\)"):
        store.open(replace(ASKED, **{field: value}), overwrite=False)
    assert store.open(replace(ASKED, **{field: value}), overwrite=True) == Ledger()


def test_a_tune_that_decided_nothing_does_not_bind(tmp_path: Path) -> None:
    store = written(tmp_path, Ledger())
    assert store.open(replace(ASKED, options={"budget": "5m"}), overwrite=False) == Ledger()


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": "other"}', '{"format": "scalewise-tts-tune-1"}'])
def test_damaged_records_are_refused(tmp_path: Path, text: str) -> None:
    write_json(tmp_path / "tune.json", json.loads(text))
    with pytest.raises(CheckpointError, match="not a valid record of 'tts tune'"):
        TuneStore(tmp_path).open(ASKED, overwrite=False)


@pytest.mark.parametrize("name", ["plan.json", "run.json", "sweep.json"])
def test_the_folder_of_another_command_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match="another command"):
        TuneStore(tmp_path).open(ASKED, overwrite=True)
