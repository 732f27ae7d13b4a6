"""The page of a tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.report.tuning import tuning_page
from tts.evaluation.tune.confirm import judge
from tts.evaluation.tune.objective import find_objective
from tts.evaluation.tune.records import Ledger, Rung, Shape, Trial
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm
from tts.evaluation.tune.store import TuneRecord, full_record
from tts.io import read_json, write_json

ReadPage = Callable[[Any], Any]
PLAIN, CHOSEN = Arm(1.5), Arm(0.5, 16, 2, "greedy")
ASKED = TuneRecord(
    command="tts tune --budget 5m",
    base={"backbone": "var-digits"},
    options={"objective": "fid", "budget": "5m", "seed": 0},
    backbone={"name": "var-digits", "weights_sha256": "ab" * 32},
    scorer={"name": "learned"},
    features={"name": "digits"},
    features_title="FD",
    reference={"text": "heldout", "images": 898},
)


def row(arm: Arm, fid: float) -> Row:
    cost = Cost(200, 800, 0, 200, 0, 0.5 * arm.candidates, 0)
    return Row(arm, Figures(200, fid, 0.0, 0.0, 0.0, 0.0), cost, 1.0)


def write_tuning(folder: Path, gain: float, finished: bool = True) -> Path:
    """A tuning whose winner is better by ``gain`` in each of five seed sets, but for a little noise."""
    sets = tuple(range(100, 105))
    rows = {s: [row(PLAIN, 1.5 + 0.01 * i), row(CHOSEN, 1.5 - gain + 0.012 * i)] for i, s in enumerate(sets)}
    trial = Trial(200, sets, CHOSEN, (PLAIN,), rows, closed=True)
    rung = Rung(100, 1, (PLAIN, CHOSEN), [row(PLAIN, 1.6), row(CHOSEN, 1.1)], closed=True)
    ledger = Ledger(290.0, [row(PLAIN, 1.7)], Shape(1, 1, 100), [rung], trial)
    finding = judge(trial, find_objective("fid")) if finished else None
    record = full_record(ASKED, 300.0, ledger, {"search": 449, "confirmation": 449}, {"python": "3"}, finding)
    folder.mkdir()
    write_json(folder / "tune.json", record)
    return folder


def test_a_gain_is_recommended_with_its_interval(tmp_path: Path, read_page: ReadPage) -> None:
    page = tuning_page(write_tuning(tmp_path / "tune", 0.3))
    assert page.lead.startswith(f"Gain: {CHOSEN.label}: FD −0.296 [")
    html = read_page(page)
    texts = html.texts
    assert texts[texts.index("Recommended") + 1] == CHOSEN.label
    value, interval = texts[texts.index("FD, winner less plain") + 1 :][:2]
    assert value == "−0.296"
    assert interval.startswith("95% interval −0.30")
    assert texts[texts.index("Time an image") + 1] == "16.0×"
    for text in ("tts tune --budget 5m", "tts sample --settings settings.json", "ab" * 32):
        assert text in html.text


def test_the_confirmation_stands_set_by_set_with_its_mean(tmp_path: Path, read_page: ReadPage) -> None:
    figures, confirmation, search = read_page(tuning_page(write_tuning(tmp_path / "tune", 0.3))).tables
    assert [line[0] for line in figures[1:]] == [PLAIN.label, CHOSEN.label]
    assert confirmation[1] == ["100", "1.500", "1.200", "−0.300"]
    assert confirmation[-1] == ["mean", "1.520", "1.224", "−0.296"]
    assert len(confirmation) == 7
    assert [line[:2] for line in search[1:]] == [[CHOSEN.label, "1.100"], [PLAIN.label, "1.600"]]


def test_without_a_gain_the_plain_model_is_recommended(tmp_path: Path, read_page: ReadPage) -> None:
    page = tuning_page(write_tuning(tmp_path / "tune", 0.0))
    assert page.lead.startswith("Nothing beats the baseline by 5%: ")
    texts = read_page(page).texts
    assert texts[texts.index("Recommended") + 1] == PLAIN.label


def test_an_unfinished_tuning_is_refused_with_the_next_step(tmp_path: Path) -> None:
    folder = write_tuning(tmp_path / "tune", 0.3, finished=False)
    with pytest.raises(CheckpointError, match="unfinished tuning; run its 'tts tune' again to go on"):
        tuning_page(folder)


@pytest.mark.parametrize(
    "change",
    [{"format": "other"}, {"rungs": 5}, {"trial": {}}, {"options": {}}],
)
def test_a_damaged_record_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_tuning(tmp_path / "tune", 0.3) / "tune.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(CheckpointError, match=r"tune\.json"):
        tuning_page(path.parent)
