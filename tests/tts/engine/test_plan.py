"""Plans: fixed shards of items, and what makes two plans the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tts.engine.plan import SHARD_ITEMS, Plan, Request, Segment, fingerprint, same_items
from tts.errors import CheckpointError, UsageError
from tts.pipeline import Item


def test_shards_cover_all_items_once(asked):
    plan = asked(10).plan
    assert [(s.number, s.first, s.count) for s in plan.shards()] == [(0, 0, 4), (1, 4, 4), (2, 8, 2)]
    assert {s.plan for s in plan.shards()} == {plan.id}


def test_adding_a_segment_leaves_the_shards_before_it_alone(asked):
    plan = asked(10).plan
    longer = replace(plan, segments=(*plan.segments, Segment({"count": 15}, 5, "x")))
    assert longer.shards()[:3] == plan.shards()
    assert [(s.number, s.first, s.count) for s in longer.shards()[3:]] == [(3, 10, 4), (4, 14, 1)]
    assert {s.plan for s in longer.shards()[3:]} == {longer.id}
    assert longer.id != plan.id
    assert longer.items == 15


def test_the_id_depends_on_everything(asked):
    ids = {asked(10).plan.id, asked(11).plan.id, asked(10, 5).plan.id, asked(10, colour="blue").plan.id}
    assert len(ids) == 4
    assert asked(10).plan.id == asked(10).plan.id


def test_round_trip(asked, tmp_path):
    assert Plan.load(tmp_path) is None
    plan = asked(10, sides=(1, 2)).plan
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan
    assert plan.settings["sides"] == [1, 2]  # as JSON gives them back


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a valid plan"),
        ("[]", "is not a valid plan"),
        ('{"format": 9}', "its format is 9, this version reads 1"),
        ('{"format": 1, "kind": "x"}', "missing required field"),
    ],
)
def test_a_damaged_plan_is_one_line(tmp_path, text, words):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        Plan.load(tmp_path)


def test_differences_are_named(asked):
    plan = asked(10).plan
    assert plan.differences(asked(99).plan) == []
    assert plan.differences(asked(10, colour="blue", size=3).plan) == ["colour", "size"]
    assert plan.differences(asked(10, 5).plan) == ["shard_items"]
    assert plan.differences(replace(plan, identity={"weights": "b"})) == ["weights"]
    assert plan.differences(replace(plan, kind="other")) == ["kind"]


def test_requests_need_items_and_a_size():
    with pytest.raises(UsageError, match="no items"):
        Request.of("count", {}, {}, {}, [])
    with pytest.raises(UsageError, match="shard-items 0 must be at least 1"):
        Request.of("count", {}, {}, {}, [Item(0, 0)], 0)
    free = Request.of("count", {}, {}, {}, [Item(0, 0)])
    assert (free.plan.shard_items, free.any_size) == (SHARD_ITEMS, True)


def test_fingerprints_tell_order_and_sameness_does_not():
    items = [Item(1, 2), Item(3, 4)]
    assert fingerprint(items) == fingerprint(iter(items))
    assert fingerprint(items) != fingerprint(items[::-1])
    assert fingerprint([Item(0, seed) for seed in range(70_000)]) != fingerprint([Item(0, 0)] * 70_000)
    assert same_items(items, items[::-1])
    assert not same_items(items, items[:1])
    assert not same_items(items, [Item(1, 2), Item(3, 5)])


@pytest.mark.parametrize(
    ("items", "shard_items", "words"),
    [
        (10**9, 512, "expected `int` <= 10000000 - at `$.segments[0].items`"),
        (10**15, 512, "expected `int` <= 10000000"),
        (10**7, 1, "more than 100000 shards"),
        (10, 0, "expected `int` >= 1 - at `$.shard_items`"),
        (0, 512, "expected `int` >= 1"),
    ],
)
def test_a_plan_that_no_run_could_make_is_refused(asked, tmp_path, items, shard_items, words):
    asked(10).plan.save(tmp_path)
    record = json.loads((tmp_path / "plan.json").read_text())
    record["segments"][0]["items"], record["shard_items"] = items, shard_items
    (tmp_path / "plan.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as error:
        Plan.load(tmp_path)
    assert words in str(error.value)


def test_segments_together_have_no_more_items_than_a_run(asked):
    plan = asked(10).plan
    with pytest.raises(UsageError, match="a run makes at most 10000000; make several runs"):
        replace(plan, segments=tuple(replace(plan.segments[0], items=6_000_000) for _ in range(2)))
