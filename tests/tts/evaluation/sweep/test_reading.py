"""Results of a sweep as they are read."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.sweep.reading import base_config, read_results
from tts.io import read_json, write_json


def test_figures_and_costs_of_every_seed_set_are_read(sweep: Any) -> None:
    id_ = sweep.add(0, 2)
    entry = sweep.points[id_]["sets"]
    point = read_results(sweep.write()).points[0]
    fids = tuple(entry[number]["figures"]["fid"] for number in ("0", "2"))
    assert point.id == id_
    assert point.plain
    assert point.values("fid") == fids
    assert point.mean("fid") == pytest.approx(statistics.fmean(fids))
    assert point.spread("fid") == pytest.approx(statistics.stdev(fids))


def test_one_seed_set_has_no_spread(sweep: Any) -> None:
    sweep.add(0)
    point = read_results(sweep.write()).points[0]
    assert point.mean("fid") is not None
    assert point.spread("fid") is None


def test_a_figure_that_one_seed_set_lacks_is_unknown(sweep: Any) -> None:
    id_ = sweep.add()
    sweep.points[id_]["sets"]["1"]["figures"]["accuracy"] = None
    point = read_results(sweep.write()).points[0]
    assert point.values("accuracy") == ()
    assert point.mean("accuracy") is None
    assert point.values("recall")


def test_the_parts_of_the_distance_add_up(sweep: Any) -> None:
    sweep.add()
    point = read_results(sweep.write()).points[0]
    parts = zip(point.values("mean_diff2"), point.values("trace_term"), strict=True)
    assert [a + b for a, b in parts] == pytest.approx(point.values("fid"))


def test_costs_are_given_for_an_image(sweep: Any) -> None:
    id_ = sweep.add(0, candidates="4", strategy="best-of-n", image_scorer="digits")
    cost = sweep.points[id_]["sets"]["0"]["cost"]
    point = read_results(sweep.write()).points[0]
    assert point.values("transformer_passes_per_image") == (16,)
    assert point.values("image_scorer_calls_per_image") == (4,)
    assert point.values("seconds_per_1000") == pytest.approx((cost["seconds"],))
    assert point.values("peak_mib") == (cost["peak_bytes"] / 2**20,)


def test_unknown_memory_is_left_out(sweep: Any) -> None:
    id_ = sweep.add(0)
    sweep.points[id_]["sets"]["0"]["cost"]["peak_bytes"] = None
    assert read_results(sweep.write()).points[0].values("peak_mib") == ()


def test_a_list_of_candidates_has_no_m(sweep: Any) -> None:
    sweep.add(candidates="1,8,8,4", scorer="learned", selector="greedy")
    point = read_results(sweep.write()).points[0]
    assert point.candidates is None
    assert not point.plain


def test_the_base_is_a_configuration_again(sweep: Any) -> None:
    sweep.base |= {"backbone": "var-digits-l", "formats": ("npz",), "of another version": 1}
    sweep.add()
    base = read_results(sweep.write()).base
    assert (base.backbone, base.formats) == ("var-digits-l", ("npz",))
    assert base == replace(base_config({}), backbone="var-digits-l", formats=("npz",), image_scorer="digits")


@pytest.mark.parametrize("key", ["format", "points", "sweep"])
def test_files_of_another_kind_are_refused(sweep: Any, refused: Any, key: str) -> None:
    sweep.add()
    path = sweep.write() / "results.json"
    write_json(path, {k: v for k, v in read_json(path).items() if k != key})
    with refused(str(path), "is not a valid file of results", key, kind=CheckpointError):
        read_results(sweep.folder)


def test_a_folder_without_results_is_refused(sweep: Any, refused: Any) -> None:
    with refused("results.json", "no such file", kind=CheckpointError):
        read_results(sweep.folder)
