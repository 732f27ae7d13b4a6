"""What a sweep's folder says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.sweep.record import SetRecord, SweepRecord
from tts.records import encode, parse_record

RECORD = SweepRecord(
    command="tts sweep",
    base={"backbone": "var-digits"},
    grids=("candidates=1,2",),
    images=40,
    seed_sets=(0, 1),
    features={"name": "digits", "sha256": "f"},
    features_title="FD",
    reference={"text": "heldout", "images": 364, "sha256": "r"},
    metrics={"neighbours": 3},
    backbone={"backbone": "var-digits", "classes": 10, "weights_sha256": "w"},
    judges={"scorer learned": {"sha256": "s"}},
    shared={"dtype": "float32"},
    points=("plain", "greedy-m2-st2"),
)


def test_a_record_survives_json() -> None:
    assert parse_record(encode(RECORD), SweepRecord, "x", "record", "") == RECORD


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"images": 50}, ["images"]),
        ({"features": {"name": "digits", "sha256": "g"}}, ["features"]),
        ({"reference": {"text": "heldout", "images": 364, "sha256": "q"}}, ["reference"]),
        ({"metrics": {"neighbours": 4}}, ["neighbours"]),
        ({"shared": {"dtype": "bfloat16"}}, ["dtype"]),
        ({"judges": {"scorer learned": {"sha256": "t"}}}, ["scorer learned"]),
        ({"backbone": {**RECORD.backbone, "weights_sha256": "v"}}, ["weights_sha256"]),
        ({"backbone": {"backbone": "var-digits-l", "classes": 10}, "shared": {}}, ["backbone"]),
        ({"images": 50, "shared": {"dtype": "float16"}}, ["dtype", "images"]),
    ],
)
def test_differences_are_named(changes: dict[str, Any], names: list[str]) -> None:
    assert RECORD.differences(replace(RECORD, **changes)) == names


@pytest.mark.parametrize(
    "changes",
    [
        {"grids": ("cfg=1",), "points": ("plain",), "seed_sets": (7,), "command": "other"},
        {"base": {"backbone": "./var-digits", "selector": "softmax"}},
        {"reference": {"text": "elsewhere", "images": 364, "sha256": "r"}},
        {"judges": {"scorer x.pth": {"sha256": "x"}}},
    ],
)
def test_what_a_sweep_may_grow_by_is_no_difference(changes: dict[str, Any]) -> None:
    assert RECORD.differences(replace(RECORD, **changes)) == []


def test_joining_keeps_everything_once() -> None:
    more = replace(
        RECORD,
        command="tts sweep --seeds 5",
        grids=("cfg=1",),
        seed_sets=(5, 1),
        points=("plain", "plain-cfg1"),
        judges={"scorer x.pth": {}},
    )
    joined = more.joined(RECORD)
    assert joined.grids == ("candidates=1,2", "cfg=1")
    assert joined.seed_sets == (0, 1, 5)
    assert joined.points == ("plain", "greedy-m2-st2", "plain-cfg1")
    assert joined.judges.keys() == {"scorer learned", "scorer x.pth"}
    assert joined.command == more.command
    assert joined.joined(joined) == joined


def test_a_seed_set_survives_json() -> None:
    figures = Figures(40, 1.0, 0.5, 2.0, 2.0, 3.5, accuracy=0.9, intervals={"fid": (0.5, 1.5)})
    cost = Cost(40, 160, 480, 40, 0, 0.25, None)
    record = SetRecord(figures, cost, {"device": "cpu"}, 2, "ab")
    assert parse_record(encode(record), SetRecord, "x", "record", "") == record
