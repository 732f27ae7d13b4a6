"""What a tune writes down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tts.evaluation.tune.design import first_arms
from tts.evaluation.tune.records import Ledger
from tts.evaluation.tune.space import Arm
from tts.records import encode, parse_record


def test_a_ledger_survives_json(bench: Any, tuned: Callable[..., Any]) -> None:
    made = tuned(bench(lambda arm: 1.0 if arm.plain else 0.5), 60)
    record = encode(made.ledger)
    again = parse_record(record, Ledger, "x", "ledger", "")
    assert encode(again) == record
    assert again.rungs[0].rows == made.ledger.rungs[0].rows
    assert again.trial == made.ledger.trial
    assert again.shape == made.ledger.shape


def test_an_empty_ledger_survives_json() -> None:
    assert parse_record(encode(Ledger()), Ledger, "x", "ledger", "") == Ledger()


def test_incomplete_sets_do_not_count(bench: Any, tuned: Callable[..., Any]) -> None:
    trial = tuned(bench(lambda arm: 1.0 if arm.plain else 0.5), 60).ledger.trial
    before = len(trial.complete)
    last = trial.complete[-1]
    trial.rows[last].pop()
    assert len(trial.complete) == before - 1
    assert last not in trial.complete
    assert len(trial.column(trial.winner)) == before - 1


def test_speeds_follow_what_was_measured(space: Any, bench: Any, tuned: Callable[..., Any]) -> None:
    made = tuned(bench(lambda arm: 1.0 if arm.plain else 0.5), 60)
    speeds = made.ledger.speeds(space)
    arms = [Arm(0.0), Arm(3.0), *first_arms(space, 1.5, 100, 9)]
    for arm in arms:
        assert abs(speeds.of(arm) - made.bench.seconds(arm)) < 1e-9
