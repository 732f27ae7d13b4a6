"""Results as JSON and as a tidy table."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts.errors import CheckpointError
from tts.evaluation.cost import Cost
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures
from tts.evaluation.sweep.lab import Measured
from tts.evaluation.sweep.names import Name
from tts.evaluation.sweep.point import SETTING_FIELDS, Setting
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.record import SetRecord, SweepRecord
from tts.evaluation.sweep.results import COSTS, FIGURES, axes, gather, write_results
from tts.evaluation.sweep.store import Named, Store
from tts.io import load_png

PLAIN = Setting("lsrs", None, None, None, "1", None, None, None, None, 1.5, 0, 0.0, "1,2,3,4", "var")
GREEDY = replace(PLAIN, scorer="learned", selector="greedy", candidates="8", start_scale=2, end_scale=4)
POINTS = [Named(Name("plain", "plain"), PLAIN), Named(Name("greedy-m8", 'greedy, "M" 8'), GREEDY)]
CPU = torch.device("cpu")


def record(**changes: Any) -> SweepRecord:
    made = SweepRecord(
        command="tts sweep",
        base={"backbone": "var-digits", "weights": []},
        grids=("candidates=1,8",),
        images=40,
        seed_sets=(0, 1),
        features={"name": "digits"},
        features_title="FD",
        reference={"text": "heldout", "images": 364},
        metrics={},
        backbone={"backbone": "var-digits", "classes": 10},
        judges={},
        shared={},
        points=("plain", "greedy-m8"),
    )
    return replace(made, **changes)


def measured(fid: float, level: int = 0, **figures: Any) -> Measured:
    cost = Cost(40, 160, 0, 40, 0, fid / 10, None)
    strip = np.full((10, 4, 4, 3), level, np.uint8)
    found = Figures(40, fid, 1.0, 2.0, 2.0, 5.0 - fid, **figures)
    return Measured(found, cost, Features(torch.zeros(40, 2)), strip)


def put(store: Store, point: str, number: int, one: Measured) -> None:
    store.write_set(point, number, one, SetRecord(one.figures, one.cost, {"device": "cpu"}, 1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A sweep of two points, one with two seed sets and one with one."""
    made = Store(tmp_path)
    made.open(record(), POINTS)
    put(made, "plain", 1, measured(3.0, accuracy=0.5))
    put(made, "plain", 0, measured(2.0, accuracy=0.7, intervals={"fid": (1.0, 3.0)}))
    put(made, "greedy-m8", 0, measured(1.0))
    return made


def test_the_table_has_a_row_a_point_and_seed_set(store: Store) -> None:
    write_results(store, record(), CPU)
    with (store.folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["seed_set"]) for row in rows] == [
        ("plain", "0"),
        ("plain", "1"),
        ("greedy-m8", "0"),
    ]
    assert list(rows[0]) == ["id", "label", *SETTING_FIELDS, "seed_set", *FIGURES, *COSTS, "processes"]
    assert all(None not in row and None not in row.values() for row in rows)
    assert [float(row["fid"]) for row in rows] == [2.0, 3.0, 1.0]
    assert [float(row["seconds"]) for row in rows] == [0.2, 0.3, 0.1]
    assert rows[0]["scorer"] == rows[2]["accuracy"] == rows[0]["peak_bytes"] == ""
    assert (rows[2]["label"], rows[2]["schedule"]) == ('greedy, "M" 8', "1,2,3,4")


def test_the_document_has_every_set_with_mean_and_spread(store: Store) -> None:
    write_results(store, record(), CPU)
    content = json.loads((store.folder / "results.json").read_text())
    assert content["format"] == "scalewise-tts-results-1"
    assert content["sweep"] == json.loads((store.folder / "sweep.json").read_text())
    assert content["axes"] == {"candidates": ["1", "8"]}
    plain, greedy = content["points"]
    assert (plain["id"], plain["setting"]) == ("plain", asdict(PLAIN))
    assert list(plain["sets"]) == ["0", "1"]
    assert plain["sets"]["0"]["figures"]["fid"] == 2.0
    assert plain["sets"]["0"]["figures"]["intervals"] == {"fid": [1.0, 3.0]}
    assert plain["mean"]["fid"] == 2.5
    assert plain["spread"]["fid"] == statistics.stdev([2.0, 3.0])
    assert plain["mean"]["seconds"] == pytest.approx(0.25)
    assert (greedy["mean"]["fid"], greedy["spread"]["fid"]) == (1.0, None)
    assert greedy["mean"]["accuracy"] is greedy["mean"]["sfid"] is None


def test_the_document_reads_back(store: Store) -> None:
    write_results(store, record(), CPU)
    results = read_results(store.folder)
    assert [point.setting for point in results.points] == [PLAIN, GREEDY]
    assert results.points[0].mean("fid") == 2.5
    assert (results.title, results.images, results.reference) == ("FD", 40, "heldout")


def test_points_without_a_seed_set_wait(store: Store) -> None:
    more = record(points=("waiting", "plain"))
    store.open(more, [Named(Name("waiting", "waiting"), replace(PLAIN, cfg=3.0))])
    assert [result.point.id for result in gather(store, more)] == ["plain"]


def test_axes_list_what_varies_in_order() -> None:
    settings = [
        replace(GREEDY, candidates=m, selector=s, cfg=cfg)
        for m, s, cfg in (("16", "softmax", 3.0), ("1,2,4,8", "greedy", 1.0), ("2", "softmax", 10.0))
    ]
    assert axes([*settings, PLAIN]) == {
        "candidates": ["1", "2", "16", "1,2,4,8"],
        "selector": ["softmax", "greedy"],
        "cfg": [1.0, 1.5, 3.0, 10.0],
    }


def test_the_picture_is_of_the_lowest_seed_set(store: Store) -> None:
    strip = store.folder / "points" / "plain" / "images.png"
    put(store, "plain", 5, measured(1.0, level=50))
    assert load_png(strip).max() == 0
    put(store, "greedy-m8", 3, measured(1.0, level=30))
    assert load_png(strip.parents[1] / "greedy-m8" / "images.png").shape == (4, 40, 3)


def test_a_folder_grows_by_points_and_sets_of_the_same_kind(store: Store) -> None:
    store.open(record(seed_sets=(7,), points=("plain",), grids=("cfg=1.5",)), POINTS[:1])
    found = store.record()
    assert found is not None
    assert found.seed_sets == (0, 1, 7)
    assert found.points == ("plain", "greedy-m8")
    assert found.grids == ("candidates=1,8", "cfg=1.5")


def test_other_kinds_of_figures_are_refused_by_name(store: Store, refused: Any) -> None:
    before = (store.folder / "sweep.json").read_bytes()
    with refused("holds a sweep with other settings (images, features); choose another --out"):
        store.open(record(images=50, features={"name": "inception"}), POINTS)
    assert (store.folder / "sweep.json").read_bytes() == before


def test_two_settings_never_share_a_folder(store: Store, refused: Any) -> None:
    with refused("holds another setting"):
        store.open(record(), [Named(Name("plain", "plain"), GREEDY)])


@pytest.mark.parametrize("name", ["plan.json", "run.json"])
def test_the_folder_of_another_command_is_refused(tmp_path: Path, refused: Any, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with refused("holds a run of another command; choose another --out"):
        Store(tmp_path).check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "scalewise-tts-sweep-1"}', '{"format": "new"}'])
def test_a_damaged_record_is_refused(store: Store, refused: Any, text: str) -> None:
    (store.folder / "sweep.json").write_text(text)
    with refused("sweep.json", kind=CheckpointError):
        store.record()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figures": {}}'])
def test_a_damaged_seed_set_is_removed_with_its_reason(store: Store, text: str) -> None:
    path = store.set_path("plain", 0)
    path.write_text(text)
    assert "set-0.json" in str(store.remove_damaged("plain", 0))
    assert not path.exists()
    assert store.remove_damaged("plain", 1) is None
    assert store.numbers("plain") == [1]
