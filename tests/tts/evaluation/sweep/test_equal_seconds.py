"""Best-of-N beside LSRS at equal seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tts.evaluation.sweep.equal_seconds import equal_seconds
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import NOTHING, Table
from tts.evaluation.sweep.timed import Timing, write_timing

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def tables(sweep: Any) -> list[Table]:
    return list(equal_seconds(Sheet(read_results(sweep.write()))))


@pytest.fixture
def both(sweep: Any) -> Any:
    """LSRS with M of 2, 4 and 8, best-of-N with N of 2 and 4, timed in three rounds."""
    times = {sweep.add(): 1.0}
    for m, time in ((2, 1.2), (4, 2.0), (8, 4.5)):
        times[sweep.add(candidates=str(m), **GREEDY)] = time
    for n, time in ((4, 4.2), (2, 2.0)):
        times[sweep.add(candidates=str(n), strategy="best-of-n", image_scorer="digits")] = time
    seconds = {id_: (time, 3 * time, 2 * time) for id_, time in times.items()}
    write_timing(sweep.write(), Timing(3, 250, 1, 50, {}, {}, seconds, (1.0, 3.0, 2.1), "point-0"))
    return sweep


def test_each_m_meets_the_smallest_n_that_takes_as_long(both: Any) -> None:
    (table,) = tables(both)
    assert table.header == (
        "LSRS M",
        "time",
        "FD ↓",
        "accuracy (%) ↑",
        "best of N",
        "time",
        "FD ↓",
        "accuracy (%) ↑",
    )
    found = [(row[0], row[1], row[4], row[5]) for row in table.rows]
    assert found == [("2", "1.20", "2", "2.00"), ("4", "2.00", "2", "2.00"), ("8", "4.50", NOTHING, NOTHING)]
    assert table.rows[2][6:] == (NOTHING, NOTHING)


def test_figures_are_those_of_the_points(both: Any) -> None:
    (table,) = tables(both)
    points = {point.label: point for point in read_results(both.folder).points}
    ours = points["candidates=2 scorer=learned selector=greedy start_scale=2 end_scale=4"]
    theirs = points["candidates=2 strategy=best-of-n image_scorer=digits"]
    for column, point in ((2, ours), (6, theirs)):
        mean, spread = map(float, table.rows[0][column].split(" ± "))
        assert mean == pytest.approx(point.mean("fid"), abs=0.00501)  # two decimals
        assert spread == pytest.approx(point.spread("fid"), abs=0.00501)


def test_the_better_side_of_a_row_is_marked(both: Any) -> None:
    (table,) = tables(both)
    for row in (0, 1):
        mine, theirs = (float(table.rows[row][column].split(" ")[0]) for column in (2, 6))
        assert ((row, 2) in table.best) == (mine < theirs)
        assert ((row, 6) in table.best) == (theirs < mine)
    assert not any(row == 2 for row, _ in table.best)


def test_the_caption_tells_what_favours_best_of_n(both: Any) -> None:
    (table,) = tables(both)
    for words in (
        "in favour of best-of-N",
        "the judge is the network whose features are compared, which favours best of N",
        "3 interleaved rounds of 250 images (the plain model against itself: 1.00 to 1.05)",
        "plain: FD 2.4",
        "bold is the better side of a row",
    ):
        assert words in table.caption
    assert table.caption.endswith(".")
    both.features = "inception"
    (table,) = tables(both)
    assert "the judge is" not in table.caption


def test_without_timing_the_seconds_of_the_sweep_are_taken(full_sweep: Any) -> None:
    (table,) = tables(full_sweep)
    assert [row[0] for row in table.rows] == ["2", "4", "8", "16", "32", "64"]
    assert all(float(row[5]) >= float(row[1]) for row in table.rows if row[5] != NOTHING)
    assert "those of the measuring processes" in table.caption


def test_judges_have_a_table_each(both: Any) -> None:
    for n in ("2", "4"):
        both.add(candidates=n, strategy="best-of-n", image_scorer="other")
    first, second = tables(both)
    assert [first.name, second.name] == ["equal-seconds-1", "equal-seconds-2"]
    assert first.title.endswith("best of N, digits")
    assert {row[4] for row in second.rows} == {NOTHING}  # it was not timed


@pytest.mark.parametrize("missing", ["plain", "lsrs", "best-of-n"])
def test_without_one_of_the_sides_there_is_no_table(sweep: Any, missing: str) -> None:
    if missing != "plain":
        sweep.add()
    if missing != "lsrs":
        sweep.add(candidates="2", **GREEDY)
    if missing != "best-of-n":
        sweep.add(candidates="2", strategy="best-of-n", image_scorer="digits")
    assert tables(sweep) == []
