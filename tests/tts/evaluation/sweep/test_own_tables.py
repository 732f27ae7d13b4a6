"""Tables of selectors, strategies, further axes, and of all points."""

from __future__ import annotations

from typing import Any

from tts.evaluation.sweep.own_tables import own_tables
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import Table

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def tables(sweep: Any) -> dict[str, Table]:
    return {table.name: table for table in own_tables(Sheet(read_results(sweep.write())))}


def column(table: Table, title: str) -> list[str]:
    return [row[table.header.index(title)] for row in table.rows]


def test_every_point_stands_once_in_the_table_of_all(full_sweep: Any) -> None:
    table = tables(full_sweep)["points"]
    labels = [point["label"] for point in full_sweep.points.values()]
    assert column(table, "point") == labels
    results = read_results(full_sweep.folder)
    written = [float(text.split(" ± ")[0]) for text in column(table, "FD ↓")]
    assert all(
        abs(text - (point.mean("fid") or 0)) < 0.006
        for text, point in zip(written, results.points, strict=True)
    )


def test_selectors_have_a_table_a_measure(full_sweep: Any) -> None:
    found = tables(full_sweep)
    assert found["selectors-fid"].header == ("M", "greedy: FD ↓", "softmax: FD ↓", "topk, k = 8: FD ↓")
    assert {"selectors-accuracy", "selectors-recall"} <= set(found)


def test_strategies_have_quality_and_cost(full_sweep: Any) -> None:
    table = tables(full_sweep)["strategies"]
    methods = column(table, "method")
    assert methods[0] == "plain"
    assert methods.count("plain") == 1
    assert methods[-3:] == ["best of N = 2", "best of N = 4", "best of N = 8"]
    passes = dict(zip(methods, column(table, "transformer passes an image"), strict=True))
    assert (passes["plain"], passes["LSRS M = 64"], passes["best of N = 8"]) == ("4", "4", "32")
    scored = dict(zip(methods, column(table, "maps scored an image"), strict=True))
    assert (scored["LSRS M = 4"], scored["best of N = 4"]) == ("12", "0")


def test_a_judge_that_makes_the_features_is_said_to_favour_best_of_n(full_sweep: Any) -> None:
    assert "favours best of N" in tables(full_sweep)["strategies"].caption
    full_sweep.features = "inception"
    assert "favours" not in tables(full_sweep)["strategies"].caption


def test_best_of_n_alone_still_has_the_plain_model(sweep: Any) -> None:
    sweep.add()
    sweep.add(candidates="2", strategy="best-of-n", image_scorer="digits")
    assert column(tables(sweep)["strategies"], "method") == ["plain", "best of N = 2"]


def test_other_strategies_stand_below(sweep: Any) -> None:
    sweep.add()
    sweep.add(candidates="8", **{**GREEDY, "strategy": "beam:2", "selector": None})
    table = tables(sweep)["strategies"]
    plain, beam = column(table, "method")
    assert plain == "plain"
    assert "strategy=beam:2" in beam


def test_guidance_is_listed_for_each_way_to_choose(full_sweep: Any) -> None:
    table = tables(full_sweep)["cfg"]
    assert column(table, "method") == ["plain"] * 3 + ["M = 8"] * 3
    assert column(table, "cfg") == ["0", "1.5", "3"] * 2


def test_schedules_are_an_axis_of_texts(sweep: Any) -> None:
    sweep.base |= {"backbone": "flexvar-digits"}
    for schedule in ("1,2,3,4", "1,2,4"):
        sweep.add(schedule=schedule)
        last = schedule.count(",") + 1
        sweep.add(candidates="8", **{**GREEDY, "schedule": schedule, "end_scale": last})
    table = tables(sweep)["schedule"]
    assert column(table, "schedule") == ["1,2,3,4", "1,2,4"] * 2


def test_a_sweep_of_one_point_has_only_that(sweep: Any) -> None:
    sweep.add()
    assert list(tables(sweep)) == ["points"]
