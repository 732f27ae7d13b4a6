"""Times of a sweep's points as they are read, and what tables make of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.sweep.overview import timings
from tts.evaluation.sweep.own_tables import own_tables
from tts.evaluation.sweep.paper_tables import paper_tables
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import Table
from tts.evaluation.sweep.timed import Timing, read_timing, write_timing
from tts.io import read_json, write_json

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}
SHARED = "those of the measuring processes, which shared the machine"


@pytest.fixture
def timed(sweep: Any) -> Any:
    """A plain point and two others; every round is a slower machine's, which changes no ratio of it."""
    sweep.add()
    for m in ("2", "4"):
        sweep.add(candidates=m, **GREEDY)
    write(sweep, {"point-0": (1.0, 2.0, 4.0), "point-1": (1.5, 3.0, 6.0), "point-2": (2.0, 5.0, 8.0)})
    return sweep


def write(sweep: Any, seconds: Mapping[str, Sequence[float]], again_of: str = "point-0") -> None:
    rounds = {id_: tuple(values) for id_, values in seconds.items()}
    base = rounds[again_of]
    again = tuple(value * (0.98 if k % 2 else 1.04) for k, value in enumerate(base))
    write_timing(sweep.write(), Timing(len(base), 500, 1, 50, {}, {}, rounds, again, again_of))


def tables(sweep: Any) -> dict[str, Table]:
    sheet = Sheet(read_results(sweep.write()))
    return {table.name: table for table in (*paper_tables(sheet), *own_tables(sheet))}


def test_seconds_are_those_of_the_rounds(timed: Any) -> None:
    plain, _, last = read_results(timed.folder).points
    assert plain.values("seconds_per_1000") == (2.0, 4.0, 8.0)
    assert (plain.mean("seconds_per_1000"), last.mean("seconds_per_1000")) == (4.0, 10.0)
    assert plain.spread("seconds_per_1000") == pytest.approx(statistics.stdev((2, 4, 8)))
    assert len(plain.values("seconds")) == 3
    assert plain.mean("seconds") == pytest.approx(2.1)


def test_relative_time_is_the_median_of_ratios_within_rounds(timed: Any) -> None:
    plain, first, last = read_results(timed.folder).points
    assert [point.time_by(plain) for point in (plain, first, last)] == [1.0, 1.5, 2.0]
    assert [row[-1] for row in tables(timed)["main"].rows] == ["1.00", "1.50", "2.00"]


@pytest.mark.parametrize("name", ["main", "cost", "points"])
def test_captions_tell_of_the_rounds_and_of_the_noise(timed: Any, name: str) -> None:
    caption = tables(timed)[name].caption
    rounds = "imed in 3 interleaved rounds of 500 images (the plain model against itself: 0.98 to 1.04)"
    assert rounds in caption
    assert "medians ± sample standard deviation over rounds" in caption
    assert SHARED not in caption


@pytest.mark.parametrize("name", ["main", "cost", "points"])
def test_without_timing_captions_tell_whose_seconds_they_are(sweep: Any, name: str) -> None:
    sweep.add()
    sweep.add(candidates="2", **GREEDY)
    found = tables(sweep)[name]
    assert SHARED in found.caption
    assert "rounds" not in found.caption


def test_a_point_that_was_not_timed_is_named_and_not_compared(timed: Any) -> None:
    timed.add(candidates="8", **GREEDY)
    table = tables(timed)["main"]
    assert [row[-1] for row in table.rows] == ["1.00", "1.50", "2.00", "–"]
    label = timed.points["point-3"]["label"]
    assert f"seconds of {label} are {SHARED}" in table.caption


def test_another_point_that_was_timed_twice_is_named(timed: Any) -> None:
    write(timed, {"point-1": (1.0,), "point-2": (2.0,)}, again_of="point-1")
    label = timed.points["point-1"]["label"]
    caption = tables(timed)["cost"].caption
    assert f"timed in one round of 500 images ({label} against itself: 1.04 to 1.04)" in caption


def test_times_have_a_table_of_their_own(timed: Any) -> None:
    table = timings(read_results(timed.folder))
    assert table.header == ("POINT", "TIME", "S/1000")
    assert [row[1] for row in table.rows] == ["1.00", "1.50", "2.00"]
    assert table.rows[0][2].startswith("4.0")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another"},
        {"rounds": 2},
        {"images": 0},
        {"again_of": "gone"},
        {"again": [1.0, -1.0, 1.0]},
        {"seconds": []},
        {"seconds": {"point-0": [1.0]}},
    ],
)
def test_damaged_files_are_refused(timed: Any, refused: Any, change: dict[str, Any]) -> None:
    path = timed.folder / "timing.json"
    write_json(path, {**read_json(path), **change})
    with refused(str(path), "run --time again", kind=CheckpointError):
        read_timing(timed.folder)
