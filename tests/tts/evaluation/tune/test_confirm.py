"""The verdict: how often it is right where the truth is known."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import pytest

from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.paired import FEWEST
from tts.evaluation.tune.confirm import MARGIN, SETS, Verdict, judge
from tts.evaluation.tune.objective import OBJECTIVES
from tts.evaluation.tune.records import Trial
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm

Tune = Callable[..., Any]
WINNER = Arm(1.5, 8, 2, "greedy")
LOW, HIGH = Arm(0.5), Arm(3.0)


def trial(winner: list[float], low: list[float], high: list[float]) -> Trial:
    """A confirmation with given figures of the arms, one a seed set."""

    def row(arm: Arm, fid: float, seconds: float) -> Row:
        return Row(
            arm, Figures(100, fid, 0, 0, 0, 0, accuracy=fid), Cost(100, 0, 0, 0, 0, seconds, None), seconds
        )

    rows = {
        number: [row(LOW, b, 1.0), row(HIGH, c, 2.0), row(WINNER, a, 3.0)]
        for number, (a, b, c) in enumerate(zip(winner, low, high, strict=True))
    }
    return Trial(100, tuple(range(len(winner))), WINNER, (LOW, HIGH), rows)


def test_a_clear_gain_is_one() -> None:
    finding = judge(trial([0.5, 0.6, 0.4, 0.5, 0.5], [2.0] * 5, [1.0, 1.1, 0.9, 1.0, 1.0]), OBJECTIVES["fid"])
    assert (finding.verdict, finding.recommended, finding.baseline) == (Verdict.GAIN, WINNER, HIGH)
    assert finding.difference is not None
    assert finding.difference.mean == pytest.approx(-0.5)
    assert finding.difference.high < 0
    assert finding.overhead == pytest.approx(1.5)
    assert finding.margin == pytest.approx(MARGIN * 1.0)


def test_the_better_baseline_counts_in_either_direction() -> None:
    made = trial([0.5, 0.51, 0.5, 0.49, 0.5], [0.4] * 5, [0.9] * 5)
    lower, higher = judge(made, OBJECTIVES["fid"]), judge(made, OBJECTIVES["accuracy"])
    assert (lower.baseline, lower.verdict, lower.recommended) == (LOW, Verdict.NOTHING, LOW)
    assert (higher.baseline, higher.verdict, higher.recommended) == (HIGH, Verdict.NOTHING, HIGH)


def test_a_wide_interval_is_undecided_and_leaves_the_plain_model() -> None:
    finding = judge(trial([0.5, 1.5, 0.7, 1.2, 0.9], [9.0] * 5, [1.0] * 5), OBJECTIVES["fid"])
    assert (finding.verdict, finding.recommended) == (Verdict.UNDECIDED, HIGH)


def test_a_narrow_interval_about_nothing_says_that_nothing_beats() -> None:
    finding = judge(trial([1.01, 0.99, 1.0, 1.01, 0.99], [9.0] * 5, [1.0] * 5), OBJECTIVES["fid"])
    assert finding.verdict is Verdict.NOTHING


@pytest.mark.parametrize("sets", range(SETS))
def test_few_sets_decide_nothing(sets: int) -> None:
    winner = [0.1, 0.2, 0.1, 0.2][:sets]
    finding = judge(trial(winner, [1.0] * sets, [1.0] * sets), OBJECTIVES["fid"])
    assert (finding.verdict, finding.recommended) == (Verdict.UNDECIDED, LOW)
    assert (finding.difference is None) == (sets < FEWEST)
    assert (finding.overhead is None) == (sets == 0)


@pytest.mark.parametrize("winner", [0.1, 1.0, 2.0])
def test_differences_without_a_spread_decide_nothing(winner: float) -> None:
    finding = judge(trial([winner] * SETS, [1.0] * SETS, [9.0] * SETS), OBJECTIVES["fid"])
    assert (finding.verdict, finding.recommended) == (Verdict.UNDECIDED, LOW)
    assert finding.difference is None


def guided(arm: Arm) -> float:
    """Guidance matters, selection does not."""
    return 1.0 + 0.05 * abs(arm.cfg - 1.5)


def harmful(arm: Arm) -> float:
    """Selection harms."""
    return guided(arm) + (0.0 if arm.plain else 0.1)


def helpful(arm: Arm) -> float:
    """Selection gains a tenth."""
    return guided(arm) - (0.0 if arm.plain else 0.1)


def verdicts(tuned: Tune, bench: Any, truth: Callable[[Arm], float], budget: float, worlds: int) -> Any:
    """How often each verdict is given."""
    found = (tuned(bench(truth, world=world), budget) for world in range(worlds))
    return collections.Counter(made.finding.verdict for made in found)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "worlds", "most"), [(60, 200, 13), (600, 80, 7)])
def test_gains_that_are_none_are_rarely_claimed(
    tuned: Tune, bench: Any, budget: float, worlds: int, most: int
) -> None:
    counts = verdicts(tuned, bench, guided, budget, worlds)
    assert counts[Verdict.GAIN] <= most  # at 2.5 % more than this happens once in a thousand times
    if budget == 600:
        assert counts[Verdict.NOTHING] >= 0.9 * worlds


@pytest.mark.slow
def test_where_selection_harms_nothing_beats_the_baseline(tuned: Tune, bench: Any) -> None:
    counts = verdicts(tuned, bench, harmful, 120, 100)
    assert counts[Verdict.NOTHING] >= 95
    assert counts[Verdict.GAIN] == 0


def test_a_real_gain_is_found_with_time_enough(tuned: Tune, bench: Any) -> None:
    assert verdicts(tuned, bench, helpful, 600, 50)[Verdict.GAIN] >= 48


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says(tuned: Tune, bench: Any) -> None:
    inside = 0
    for world in range(200):
        finding = tuned(bench(helpful, world=world, bias=0.0), 60, seed=world).finding
        truth = helpful(finding.winner) - guided(finding.baseline)
        inside += finding.difference.low <= truth <= finding.difference.high
    assert inside >= 180


def test_more_time_goes_into_images_first_and_then_into_sets(tuned: Tune, bench: Any) -> None:
    trials = [tuned(bench(helpful), budget).ledger.trial for budget in (60, 120, 600, 2400)]
    assert len(trials[0].seed_sets) == SETS
    assert [len(t.seed_sets) for t in trials] == sorted(len(t.seed_sets) for t in trials)
    assert [t.images for t in trials] == sorted(t.images for t in trials)
