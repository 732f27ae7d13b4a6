"""The rules of successive halving."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tts.errors import RunError
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.tune.design import first_arms
from tts.evaluation.tune.halving import (
    KEPT,
    MOST_IMAGES,
    RUNGS,
    Limit,
    first_shape,
    floor_images,
    least_search,
    next_images,
    ranked,
    survivors,
    thinned,
    whole_classes,
)
from tts.evaluation.tune.objective import OBJECTIVES
from tts.evaluation.tune.records import Rung
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm, Space
from tts.evaluation.tune.speeds import Speeds

FID = OBJECTIVES["fid"]
Make = Callable[..., Row]


@pytest.fixture
def row() -> Make:
    """A row of an arm with a figure and seconds."""

    def make(arm: Arm, fid: float, seconds: float = 1.0) -> Row:
        figures = Figures(100, fid, 0.0, 0.0, 0.0, 0.0)
        return Row(arm, figures, Cost(100, 0, 0, 0, 0, seconds, None), seconds)

    return make


def selecting(*candidates: int) -> list[Arm]:
    return [Arm(1.5, m, 2, "greedy") for m in candidates]


def speeds_at(space: Space) -> Speeds:
    return Speeds(space, guided=0.002, unguided=0.001, scoring=0.0001)


def test_brackets_are_ranked_apart(row: Make) -> None:
    arms = [Arm(0.0), Arm(1.0), *selecting(4, 8, 16)]
    rows = [row(arm, fid) for arm, fid in zip(arms, (2.0, 1.0, 0.5, 0.1, 0.3), strict=True)]
    rung = Rung(100, 0, tuple(arms), rows)
    assert ranked(rung, FID, Limit(), plain=True) == [Arm(1.0), Arm(0.0)]
    assert ranked(rung, FID, Limit(), plain=False) == selecting(8, 16, 4)


def test_arms_without_time_come_last_and_equal_figures_keep_their_order(row: Make) -> None:
    arms = selecting(4, 8, 16, 32)
    rung = Rung(100, 0, tuple(arms), [row(arms[0], 1.0), row(arms[1], 1.0)])
    assert ranked(rung, FID, Limit(), plain=False) == arms


@pytest.mark.parametrize(("count", "kept"), [(81, 27), (27, 9), (28, 10), (9, 3), (4, 3), (3, 3), (1, 1)])
def test_the_best_third_stays(count: int, kept: int) -> None:
    order = [Arm(float(i)) for i in range(count)]
    assert survivors(order) == order[:kept]


def test_the_first_rung_fits_its_share_of_the_time(space: Space) -> None:
    speeds = speeds_at(space)
    arms, plain = first_arms(space, space.cfgs[-1], 1000, 0), speeds.all(space.plain)
    last = None
    for seconds in (40.0, 60.0, 300.0, 2000.0):
        shape = first_shape(seconds, 100, arms, plain, speeds)
        assert shape is not None
        assert shape.count == 3**shape.rungs
        assert shape.images >= 100
        taken = shape.images * (plain + speeds.all(arms[: shape.count]))
        assert taken <= seconds / shape.rungs
        assert last is None or shape.count >= last.count
        last = shape
    assert last is not None
    assert last.rungs == RUNGS[0]


def test_a_time_below_the_least_has_no_layout(space: Space) -> None:
    speeds = speeds_at(space)
    arms, plain = first_arms(space, space.cfgs[-1], 1000, 0), speeds.all(space.plain)
    least = least_search(100, arms, plain, speeds)
    assert first_shape(0.99 * least, 100, arms, plain, speeds) is None
    shape = first_shape(1.01 * least, 100, arms, plain, speeds)
    assert shape is not None
    assert (shape.rungs, shape.images) == (RUNGS[-1], 101)


def test_images_triple_as_far_as_time_allows_and_the_last_rung_takes_the_rest(space: Space) -> None:
    speeds, arms = speeds_at(space), selecting(4, 8)
    each = speeds.all(arms)
    assert next_images(100, 1000 * each, arms, speeds, last=False) == 300
    assert next_images(100, 150.5 * each, arms, speeds, last=False) == 150
    assert next_images(100, 1000.5 * each, arms, speeds, last=True) == 1000
    assert next_images(100, 1e9, arms, speeds, last=True) == MOST_IMAGES


def test_thinning_drops_the_worst_selecting_arms_only(space: Space) -> None:
    speeds, arms = speeds_at(space), [Arm(0.0), Arm(1.0), *selecting(4, 8, 16, 32, 64)]
    assert thinned(100, 1e6, arms, speeds) == arms
    assert thinned(100, 0.0, arms, speeds) == arms[: 2 + KEPT]
    enough = 101 * speeds.all(arms[:-1])
    assert thinned(100, enough, arms, speeds) == arms[:-1]


def test_a_limit_forbids_slow_arms_before_and_after_they_are_measured(space: Space, row: Make) -> None:
    limit = Limit(2.0)
    speeds = speeds_at(space)
    assert limit.allows(speeds, Arm(1.5, 4, 3, "greedy"))
    assert not limit.allows(speeds, Arm(1.5, 128, 1, "greedy"))
    assert Limit().allows(speeds, Arm(1.5, 128, 1, "greedy"))
    fast, slow = selecting(4, 8)
    rows = [row(Arm(0.0), 3.0, 0.6), row(Arm(1.0), 2.0, 1.0), row(Arm(3.0), 2.0, 1.1)]
    rung = Rung(
        100, 0, (*(r.arm for r in rows), fast, slow), [*rows, row(fast, 1.0, 1.9), row(slow, 0.5, 2.1)]
    )
    assert ranked(rung, FID, limit, plain=False) == [fast]
    assert ranked(rung, FID, Limit(), plain=False) == [slow, fast]
    with pytest.raises(RunError, match=r"no setting keeps to --max-overhead 1\.5"):
        ranked(rung, FID, Limit(1.5), plain=False)


@pytest.mark.parametrize(
    ("images", "classes", "whole"), [(105, 10, 100), (100, 10, 100), (7, 10, 7), (10, 10, 10)]
)
def test_classes_are_balanced_where_there_are_images_for_each(images: int, classes: int, whole: int) -> None:
    assert whole_classes(images, classes) == whole


@pytest.mark.parametrize(
    ("dimensions", "classes", "least"), [(64, 10, 100), (2048, 1000, 2000), (64, 1000, 1000)]
)
def test_the_least_images_cover_features_and_classes(dimensions: int, classes: int, least: int) -> None:
    assert floor_images(dimensions, classes) == least
