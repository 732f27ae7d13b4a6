"""Grids as text."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import UsageError
from tts.evaluation.sweep.grid import AXES, Axis, Grid, parse_axis, parse_grid, parse_grids, parse_sets
from tts.sample_config import SampleConfig


def kind_of(name: str) -> st.SearchStrategy[Any]:
    """Values of an axis; texts hold anything but what separates values."""
    if AXES[name] is int:
        return st.integers()
    if AXES[name] is float:
        return st.floats(allow_nan=False)
    alphabet = st.characters(exclude_characters=";", exclude_categories=("C",))
    return st.text(alphabet, min_size=1).filter(lambda text: text == text.strip())


@st.composite
def grids(draw: Any) -> Grid:
    names = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=4, unique=True))
    values = [draw(st.lists(kind_of(name), min_size=1, max_size=4, unique=True)) for name in names]
    return Grid(tuple(Axis(name, tuple(found)) for name, found in zip(names, values, strict=True)))


@given(grids())
def test_what_a_grid_says_of_itself_reads_as_the_same_grid(grid: Grid) -> None:
    assert parse_grids([grid.text]) == (grid,)


@given(grids())
def test_a_grid_is_the_product_of_its_axes(grid: Grid) -> None:
    points = list(grid)
    assert len(points) == len(grid)
    assert len({tuple(point.items()) for point in points}) == len(grid)
    for axis in grid.axes:
        assert {point[axis.name] for point in points} == set(axis.values)


@given(st.text())
def test_any_text_is_a_grid_or_a_mistake_that_is_said(text: str) -> None:
    found: tuple[Grid, ...] = ()
    with suppress(UsageError):
        found = parse_grids([text])
    assert all(axis.values for grid in found for axis in grid.axes)


def test_axes_are_fields_of_a_configuration() -> None:
    assert set(AXES) <= set(SampleConfig.__dataclass_fields__)


def test_further_axes_belong_to_a_single_grid() -> None:
    one = parse_grids(["candidates=1,2"], ["start-scale=1,2", "selector=greedy"])
    assert one == parse_grids(["candidates=1,2 start_scale=1,2 selector=greedy"])
    assert one == parse_grids([], ["candidates=1,2", "start_scale=1,2", "selector=greedy"])
    assert len(one[0]) == 4


def test_the_last_axis_changes_fastest() -> None:
    points = list(parse_grid(["candidates=1,8", "cfg=0,1.5"]))
    assert points[:2] == [{"candidates": "1", "cfg": 0.0}, {"candidates": "1", "cfg": 1.5}]


def test_values_with_commas_are_separated_by_semicolons() -> None:
    assert parse_axis("schedule=1,2,3,4;1,2,4").values == ("1,2,3,4", "1,2,4")
    assert parse_axis("schedule=1,2,3,4").values == ("1,2,3,4",)
    assert parse_axis("candidates=1,2,2,2;8").values == ("1,2,2,2", "8")
    assert parse_axis("candidates=1,2,2,2;").values == ("1,2,2,2",)
    assert parse_axis("candidates=1, 2").values == ("1", "2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("start_scal=1", "unknown axis 'start_scal'; did you mean 'start_scale'?"),
        ("batch_size=1", "unknown axis 'batch_size'"),
        ("candidates", "'candidates' is no axis of a grid; write it as AXIS=V,V"),
        ("cfg=one", "cfg takes numbers, got 'one'"),
        ("start_scale=1.5", "start_scale takes whole numbers, got '1.5'"),
        ("candidates=1,,2", "axis candidates has an empty value in '1,,2'"),
        ("candidates=", "axis candidates has an empty value"),
        ("cfg=1,1.0", "axis cfg has the value 1.0 twice"),
        ("cfg=1 cfg=2", "axis cfg stands twice in one grid"),
        ("", "a grid needs an axis"),
        ("scorer='a b", "has a quote without its end"),
        (
            "candidates=" + ",".join(map(str, range(1, 200))) + " cfg=" + ",".join(map(str, range(99))),
            "19701",
        ),
    ],
)
def test_a_slip_is_refused_in_one_line(refused: Any, text: str, words: str) -> None:
    with refused(words):
        parse_grids([text])


def test_an_axis_beside_several_grids_is_refused(refused: Any) -> None:
    with refused("'cfg=1' could belong to any of 2 grids; put each grid in quotes"):
        parse_grids(["candidates=1", "candidates=2"], ["cfg=1"])


def test_seed_sets_are_a_count_or_numbers() -> None:
    assert parse_sets("3") == (0, 1, 2)
    assert parse_sets("10-12") == (10, 11, 12)
    assert parse_sets("0,7") == (0, 7)


@pytest.mark.parametrize("text", ["0", "x", "2-1", "-1", "1,1", "", "99999999"])
def test_other_seed_sets_are_refused(refused: Any, text: str) -> None:
    with refused("seeds"):
        parse_sets(text)


def test_grids_are_read_without_torch() -> None:
    code = "import sys, tts.evaluation.sweep.grid as grid; grid.parse_grids(['cfg=1']);"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
