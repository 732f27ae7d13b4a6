"""Comparing sweeps point by point."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from tts.evaluation.figures import Figures
from tts.evaluation.paired import paired_interval
from tts.evaluation.sweep.against import Comparison, compare, write_comparison
from tts.evaluation.sweep.against_table import comparison_table

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}
SOFTMAX = {**GREEDY, "selector": "softmax", "temperature": 1.0}


def better(figures: Figures) -> Figures:
    return replace(figures, fid=figures.fid - 0.25, accuracy=None)


@pytest.fixture
def make(tmp_path: Path, sweep: Any) -> Any:
    """Another sweep."""
    return lambda name, **base: type(sweep)(tmp_path / name, **base)


def pairs(found: Comparison) -> list[tuple[str, str]]:
    return [(pair.point, pair.other) for pair in found.pairs]


def test_a_sweep_against_itself_differs_in_nothing(full_sweep: Any) -> None:
    found = compare(full_sweep.folder, str(full_sweep.folder))
    assert pairs(found) == [(id_, id_) for id_ in full_sweep.points]
    assert found.apart == {}
    assert (found.only_this, found.only_other) == ((), ())
    for pair in found.pairs:
        assert pair.seed_sets == (0, 1, 2)
        for one in pair.differences.values():
            assert (one.mean, one.spread, one.low, one.high) == (0, 0, None, None)


def test_differences_are_paired_over_common_seed_sets(sweep: Any, make: Any) -> None:
    sweep.add(0, 1, 2, 3, change=lambda figures: replace(figures, fid=figures.fid**2))
    other = make("other")
    other.add(1, 2, 3, 4)
    found = compare(sweep.write(), str(other.write())).pairs[0]
    assert found.seed_sets == (1, 2, 3)
    theirs = [other.points["point-0"]["sets"][n]["figures"]["fid"] for n in "123"]
    values = [fid**2 - fid for fid in theirs]
    expected = paired_interval(values)
    one = found.differences["fid"]
    assert expected is not None
    assert one.mean == pytest.approx(sum(values) / 3)
    assert (one.low, one.high) == pytest.approx((expected.low, expected.high))
    assert one.spread == pytest.approx(stdev(values))
    assert found.differences["seconds_per_1000"].mean == 0


def test_two_common_sets_give_a_difference_without_an_interval(sweep: Any, make: Any) -> None:
    other = make("other")
    sweep.add(0, 1, change=lambda figures: replace(figures, fid=figures.fid**2))
    other.add(0, 1)
    found = compare(sweep.write(), str(other.write()))
    one = found.pairs[0].differences["fid"]
    assert one.spread is not None
    assert one.spread > 0
    assert one.low is one.high is one.confidence is None
    assert "[" not in comparison_table(found).rows[0][3]


def test_one_common_set_gives_a_difference_without_an_interval(sweep: Any, make: Any) -> None:
    other = make("other")
    sweep.add(0, 1)
    other.add(1, change=better)
    one = compare(sweep.write(), str(other.write())).pairs[0].differences
    assert one["fid"].mean == pytest.approx(0.25)
    assert one["fid"].spread is one["fid"].low is None
    assert "accuracy" not in one


@pytest.mark.parametrize(
    ("mine", "theirs", "apart"),
    [
        ([GREEDY], [{**GREEDY, "scorer": "x.pth"}], {"scorer": ("learned", "x.pth")}),
        ([GREEDY], [SOFTMAX], {"selector": ("greedy", "softmax"), "temperature": (None, 1.0)}),
        ([{**GREEDY, "cfg": 1.0}], [{**GREEDY, "cfg": 3.0}], {"cfg": (1.0, 3.0)}),
        ([GREEDY, SOFTMAX], [GREEDY, {**GREEDY, "selector": "random"}], {"temperature": (1.0, None)}),
        ([GREEDY], [GREEDY], {}),
    ],
)
def test_what_sweeps_differ_in_on_purpose_is_left_out(
    sweep: Any, make: Any, mine: list[Any], theirs: list[Any], apart: dict[str, Any]
) -> None:
    other = make("other")
    for side, settings in ((sweep, mine), (other, theirs)):
        for setting in settings:
            side.add(candidates="8", **setting)
    found = compare(sweep.write(), str(other.write()))
    assert found.apart == apart
    assert pairs(found) == [("point-0", "point-0")]


def test_candidates_are_matched_and_the_rest_is_named(sweep: Any, make: Any) -> None:
    other = make("other", backbone="var-digits-l")
    for side, counts in ((sweep, "248"), (other, "842")):
        side.add()
        for m in counts:
            side.add(candidates=m, **GREEDY)
    sweep.add(candidates="16", **GREEDY)
    other.add(7, candidates="32", **GREEDY)
    found = compare(sweep.write(), str(other.write()))
    assert found.apart == {"backbone": ("var-digits", "var-digits-l")}
    assert pairs(found) == [(f"point-{i}", f"point-{j}") for i, j in ((0, 0), (1, 3), (2, 2), (3, 1))]
    assert (found.only_this, found.only_other) == (("point-4",), ("point-4",))


def test_a_point_of_the_sweep_itself_can_be_the_other_side(sweep: Any) -> None:
    plain = sweep.add()
    chosen = [sweep.add(candidates=m, **GREEDY) for m in "24"]
    found = compare(sweep.write(), plain)
    assert pairs(found) == [(id_, plain) for id_ in chosen]
    expected = [sweep.points[chosen[0]]["sets"][n]["figures"]["fid"] for n in "012"]
    base = [sweep.points[plain]["sets"][n]["figures"]["fid"] for n in "012"]
    difference = found.pairs[0].differences["fid"].mean
    assert difference == pytest.approx(sum(a - b for a, b in zip(expected, base, strict=True)) / 3)


def test_sweeps_without_a_common_point_are_refused(sweep: Any, make: Any, refused: Any) -> None:
    other = make("other")
    sweep.add(0)
    other.add(1)
    with refused("no point of", "has a partner with common seed sets"):
        compare(sweep.write(), str(other.write()))


def test_a_point_without_figures_is_refused(sweep: Any, refused: Any) -> None:
    sweep.add()
    with refused("point softmax-m2 has no figures yet"):
        compare(sweep.write(), "softmax-m2")


def test_differences_are_written_for_programs_and_people(sweep: Any) -> None:
    plain = sweep.add()
    sweep.add(candidates="2", **GREEDY)
    found = compare(sweep.write(), plain)
    write_comparison(sweep.folder, found)
    content = json.loads((sweep.folder / f"against-{plain}.json").read_text())
    one = found.pairs[0].differences["fid"]
    assert content["pairs"][0]["differences"]["fid"]["low"] == one.low
    text = (sweep.folder / f"against-{plain}.md").read_text()
    assert text == comparison_table(found).markdown
    assert f"−{abs(one.mean):.2f}" in text
