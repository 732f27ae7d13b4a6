"""A tune in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tts.evaluation.tune.confirm import Verdict
from tts.evaluation.tune.objective import OBJECTIVES
from tts.evaluation.tune.summary import LISTED, Summary

Tune = Callable[..., Any]


def summarised(made: Any, objective: str = "fid") -> Summary:
    return Summary("FD", OBJECTIVES[objective], made.finding, made.ledger)


@pytest.fixture
def gained(tuned: Tune, bench: Any) -> Any:
    """A tune where selection halves the distance."""
    return tuned(bench(lambda arm: 2.0 if arm.plain else 1.0, noise=0.2, bias=0.0), 120)


def test_a_gain_is_told_with_its_interval_and_both_settings(gained: Any) -> None:
    text = summarised(gained).verdict
    assert text.startswith(f"gain: {gained.winner.label}: FD −1.0")
    assert "[−1.0" in text or "[−0.9" in text
    assert gained.finding.baseline.label in text


def test_other_verdicts_say_what_they_exclude(tuned: Tune, bench: Any) -> None:
    same = tuned(bench(lambda arm: 1.0, noise=0.2), 120)
    assert same.finding.verdict is Verdict.NOTHING
    assert summarised(same).verdict.startswith("nothing beats the baseline by 5%: ")
    noisy = tuned(bench(lambda arm: 1.0, noise=20.0), 120)
    assert noisy.finding.verdict is Verdict.UNDECIDED
    assert summarised(noisy).verdict.startswith("undecided: ")


def test_an_accuracy_is_told_in_percent(tuned: Tune, bench: Any) -> None:
    made = tuned(bench(lambda arm: 1.0 if arm.plain else 0.25, noise=0.1), 120, objective="accuracy")
    text = summarised(made, "accuracy").verdict
    assert text.startswith("gain: ")
    assert "accuracy % +3" in text or "accuracy % +2" in text


def test_the_comparison_has_a_row_a_finalist_with_times_in_those_of_the_baseline(gained: Any) -> None:
    table = summarised(gained).comparison()
    assert [row[0] for row in table.rows] == [
        gained.finding.baseline.label,
        *(arm.label for arm in gained.baselines if arm != gained.finding.baseline),
        gained.winner.label,
    ]
    times = [float(row[table.header.index("TIME")]) for row in table.rows]
    assert times[0] == 1
    expected = gained.bench.seconds(gained.winner) / gained.bench.seconds(gained.finding.baseline)
    assert times[-1] == pytest.approx(expected, abs=0.006)


def test_the_file_has_the_verdict_the_way_to_use_it_and_every_rung(gained: Any) -> None:
    text = summarised(gained).markdown("tts tune --budget 2m", "tune/var-digits")
    assert "Gain: " in text
    assert "`tts sample --settings tune/var-digits/settings.json`" in text
    assert "tts tune --budget 2m" in text
    for number, rung in enumerate(gained.ledger.rungs, 1):
        part = text.partition(f"### Search, rung {number}\n")[2].partition("###")[0]
        assert f"{rung.images} images each" in part
        rows = [line for line in part.splitlines() if line.startswith("| ")][2:]
        plain = sum(arm.plain for arm in rung.arms)
        assert len(rows) == plain + min(LISTED, len(rung.arms) - plain)


def test_a_summary_without_any_complete_set_says_so(gained: Any) -> None:
    from tts.evaluation.tune.confirm import judge

    gained.ledger.trial.rows.clear()
    gained.finding = judge(gained.ledger.trial, OBJECTIVES["fid"])
    summary = summarised(gained)
    assert summary.verdict == "undecided: the time was enough for 0 of 5 paired seed sets"
    assert summary.markdown("tts tune", "tune").count("### Search") == len(gained.ledger.rungs)
