"""Results as JSON and as a tidy table."""

from __future__ import annotations

import csv
import statistics
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from tts.evaluation.sweep.point import SETTING_FIELDS
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.results import COSTS, FIGURES, axes, gather, write_results
from tts.io import read_json

CPU = torch.device("cpu")


def test_the_table_has_a_row_a_point_and_seed_set(asked: Any) -> None:
    write_results(asked.store, asked.record(), CPU)
    with (asked.store.folder / "results.csv").open(newline="") as file:
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


def test_the_document_has_every_set_with_mean_and_spread(asked: Any) -> None:
    write_results(asked.store, asked.record(), CPU)
    content = read_json(asked.store.folder / "results.json")
    assert content["format"] == "scalewise-tts-results-1"
    assert content["sweep"] == read_json(asked.store.folder / "sweep.json")
    assert content["axes"] == {"candidates": ["1", "8"]}
    plain, greedy = content["points"]
    assert (plain["id"], plain["setting"]) == ("plain", asdict(asked.plain))
    assert list(plain["sets"]) == ["0", "1"]
    assert plain["sets"]["0"]["figures"]["fid"] == 2.0
    assert plain["sets"]["0"]["figures"]["intervals"] == {"fid": [1.0, 3.0]}
    assert plain["mean"]["fid"] == 2.5
    assert plain["spread"]["fid"] == statistics.stdev([2.0, 3.0])
    assert plain["mean"]["seconds"] == pytest.approx(0.25)
    assert (greedy["mean"]["fid"], greedy["spread"]["fid"]) == (1.0, None)
    assert greedy["mean"]["accuracy"] is greedy["mean"]["sfid"] is None


def test_the_document_reads_back(asked: Any) -> None:
    write_results(asked.store, asked.record(), CPU)
    results = read_results(asked.store.folder)
    assert [point.setting for point in results.points] == [asked.plain, asked.greedy]
    assert results.points[0].mean("fid") == 2.5
    assert (results.title, results.images, results.reference) == ("FD", 40, "heldout")


def test_points_without_a_seed_set_wait(asked: Any) -> None:
    more = asked.record(points=("waiting", "plain"))
    asked.open(more, ("waiting", replace(asked.plain, cfg=3.0)))
    assert [result.point.id for result in gather(asked.store, more)] == ["plain"]


def test_axes_list_what_varies_in_order(asked: Any) -> None:
    settings = [
        replace(asked.greedy, candidates=m, selector=s, cfg=cfg)
        for m, s, cfg in (("16", "softmax", 3.0), ("1,2,4,8", "greedy", 1.0), ("2", "softmax", 10.0))
    ]
    assert axes([*settings, asked.plain]) == {
        "candidates": ["1", "2", "16", "1,2,4,8"],
        "selector": ["softmax", "greedy"],
        "cfg": [1.0, 1.5, 3.0, 10.0],
    }
