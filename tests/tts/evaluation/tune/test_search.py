"""The search on a bench whose truth is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from tts.errors import RunError, StoppedError, UsageError
from tts.evaluation.tune.design import first_arms, neighbours
from tts.evaluation.tune.desk import Half
from tts.evaluation.tune.records import Ledger
from tts.evaluation.tune.space import Arm, Space
from tts.records import encode, parse_record

Tune = Callable[..., Any]


def weak_model(arm: Arm) -> float:
    """Much guidance and greedy selection among some 32 candidates help, as with var-digits."""
    guidance = 0.06 * (arm.cfg - 3) ** 2
    if arm.plain:
        return 1.8 + guidance
    start = {1: 0.25, 2: 0.0, 3: 0.5}[arm.start_scale or 2]
    heat = 0.1 * (arm.temperature or 0.0)
    return 0.8 + 0.06 * (math.log2(arm.candidates) - 5) ** 2 + 0.04 * (arm.cfg - 3) ** 2 + start + heat


def test_the_search_finds_a_near_best_setting_in_most_worlds(space: Space, bench: Any, tuned: Tune) -> None:
    every = first_arms(space, space.cfgs[-1], 1000, 0)
    best = min(map(weak_model, every))
    top = sorted(map(weak_model, every))[len(every) // 20]
    found = [tuned(bench(weak_model, noise=1.4, world=world), 300, seed=world) for world in range(20)]
    near = [weak_model(made.winner) for made in found]
    assert sum(value <= best + 0.1 for value in near) >= 16
    assert sum(value <= top for value in near) >= 16
    assert all(Arm(3.0) in made.baselines for made in found)


def test_rungs_have_fewer_arms_more_images_and_seed_sets_of_their_own(bench: Any, tuned: Tune) -> None:
    made = tuned(bench(weak_model), 600)
    rungs = made.ledger.rungs
    counts = [sum(not arm.plain for arm in rung.arms) for rung in rungs]
    assert counts[0] == 81
    assert all(before / 3 <= after <= before / 3 + 9 for before, after in itertools.pairwise(counts))
    assert [sum(arm.plain for arm in rung.arms) for rung in rungs] == [7, 3, 3, 3]
    images = [rung.images for rung in rungs]
    assert images == sorted(images)
    assert images[1] >= 2 * images[0]
    for rung in rungs:
        assert len(rung.rows) == len(rung.arms)
        assert {row.cost.images for row in rung.rows} == {rung.images}
    sets = [rung.seed_set for rung in rungs]
    assert len(set(sets)) == len(sets)


def test_selection_is_tried_with_guidance_up_to_a_step_above_the_plain_models_best(
    bench: Any, tuned: Tune
) -> None:
    made = tuned(bench(lambda arm: 1.0 + abs(arm.cfg - 0.5), noise=0.1), 120)
    first = made.ledger.rungs[0].arms
    assert {arm.cfg for arm in first if arm.plain} == {0.0, 0.25, 0.5, 1.0, 1.5, 3.0, 5.0}
    assert {arm.cfg for arm in first if not arm.plain} == {0.0, 0.25, 0.5, 1.0}


def test_later_rungs_try_what_is_beside_the_best_arm(space: Space, bench: Any, tuned: Tune) -> None:
    made = tuned(bench(weak_model), 300)
    rungs = made.ledger.rungs
    for before, after in itertools.pairwise(rungs):
        best = min((row for row in before.rows if not row.arm.plain), key=lambda row: row.figures.fid).arm
        known = {row.arm for rung in rungs[: rungs.index(after)] for row in rung.rows}
        fresh = {arm for arm in after.arms if arm not in known}
        assert fresh == set(neighbours(space, best)) - known


def test_the_search_never_sees_what_confirms(bench: Any, tuned: Tune) -> None:
    calls = tuned(bench(weak_model), 300).bench.calls
    searched = {seed_set for _, seed_set, _, half in calls if half is Half.SEARCH}
    confirmed = {seed_set for _, seed_set, _, half in calls if half is Half.CONFIRM}
    assert searched
    assert confirmed
    assert not searched & confirmed


@pytest.mark.parametrize("budget", [60, 90, 300, 1200])
def test_the_time_is_used_and_kept_to(bench: Any, tuned: Tune, budget: float) -> None:
    made = tuned(bench(weak_model), budget)
    assert 0.85 * budget <= made.bench.time <= 1.1 * budget
    searching = sum(
        images * made.bench.seconds(arm) for arm, _, images, half in made.bench.calls if half is Half.SEARCH
    )
    assert 0.4 * budget <= searching <= 0.7 * budget


def test_a_machine_that_slows_down_keeps_to_the_time_too(bench: Any, tuned: Tune) -> None:
    made = tuned(slowing(bench, 6.0, after=20), 120)
    assert made.bench.time <= 1.25 * 120


def slowing(bench: Any, factor: float, after: float) -> Any:
    """A bench that is slower from some time on."""
    made = bench(weak_model)
    usual = made.seconds
    made.seconds = lambda arm: usual(arm) * (factor if made.time > after else 1.0)
    return made


def test_a_budget_that_is_too_small_is_refused_and_the_one_it_names_does(bench: Any, tuned: Tune) -> None:
    with pytest.raises(UsageError, match="budget 10s is too small") as refused:
        tuned(bench(weak_model), 10)
    wanted = str(refused.value).rpartition("--budget ")[2].removesuffix(" or more")
    minutes, _, seconds = wanted.removesuffix("s").rpartition("m")
    made = tuned(bench(weak_model), 60 * int(minutes or 0) + int(seconds))
    assert len(made.finding.sets) >= 5


def test_a_limit_on_time_is_kept(bench: Any, tuned: Tune) -> None:
    made = tuned(bench(weak_model), 120, overhead=1.5)
    for arm in made.ledger.rungs[0].arms:
        assert arm.plain or made.bench.seconds(arm) <= 1.5 * made.bench.seconds(Arm(1.5))
    assert made.bench.seconds(made.winner) <= 1.5 * made.bench.seconds(Arm(1.5))


def test_a_limit_that_nothing_keeps_is_refused(bench: Any, tuned: Tune) -> None:
    with pytest.raises(UsageError, match=r"expected to keep to --max-overhead 0\.5"):
        tuned(bench(weak_model), 120, overhead=0.5)


def test_more_is_better_where_the_objective_says_so(bench: Any, tuned: Tune) -> None:
    made = tuned(bench(weak_model, noise=0.5), 300, objective="accuracy")
    assert weak_model(made.winner) < 1.1
    assert made.finding.difference.mean > 0
    assert made.finding.verdict.value == "gain"


def test_a_stopped_search_goes_on_where_it_was_and_ends_the_same(bench: Any, tuned: Tune) -> None:
    whole = tuned(bench(weak_model), 90)
    saved: list[dict[str, Any]] = []

    def stop_after(count: int) -> Callable[[Ledger], None]:
        def save(ledger: Ledger) -> None:
            saved.append(encode(ledger))
            if len(saved) == count:
                raise StoppedError(2, "stopped")

        return save

    total = len(whole.bench.calls)
    for count in (2, 10, 45, total - 3):
        saved.clear()
        first = bench(weak_model)
        with pytest.raises(StoppedError):
            tuned(first, 90, save=stop_after(count))
        second = bench(weak_model)
        resumed = tuned(second, 90, ledger=parse_record(saved[-1], Ledger, "x", "ledger", ""))
        assert resumed.ledger.shape == whole.ledger.shape
        assert len(first.calls) + len(second.calls) == total
        assert not set(first.calls[4:]) & set(second.calls)
        assert resumed.winner == whole.winner
        assert resumed.finding.winner_values == pytest.approx(whole.finding.winner_values)


def test_an_ended_tune_measures_nothing_more(bench: Any, tuned: Tune) -> None:
    made = tuned(bench(weak_model), 60)
    again = bench(weak_model)
    assert tuned(again, 60, ledger=made.ledger).finding == made.finding
    assert again.calls == []


def test_no_time_for_anything_but_the_plain_model_is_an_error(bench: Any, tuned: Tune) -> None:
    made = bench(weak_model)
    made.seconds = lambda arm: 0.002 if made.time < 1.5 else 0.3
    with pytest.raises(RunError, match="raise --budget"):
        tuned(made, 40)
