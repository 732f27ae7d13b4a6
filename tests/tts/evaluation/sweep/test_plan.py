"""From grids to named points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.plan import Plan, make_plan
from tts.sample_config import SampleConfig

BASE = SampleConfig(device="cpu")


@pytest.fixture(scope="module")
def plan() -> Any:
    """The plan of some grids."""

    def make(*grids: str, base: SampleConfig = BASE, **options: Any) -> Plan:
        config = SweepConfig(base, "out", grids, images=40, **options)
        return make_plan(config, Lab(base, "digits"))

    return make


def test_equal_points_of_all_grids_stand_once_in_their_order(plan: Any) -> None:
    made = plan("candidates=1,2 selector=greedy,softmax", "candidates=2,1 start_scale=2,1")
    assert [point.id for point in made.points] == [
        *("plain", "greedy-m2-st2", "softmax-m2-st2", "greedy-m2-st1"),
    ]
    assert made.record.points == tuple(point.id for point in made.points)
    assert made.remarks == ()


def test_a_product_may_have_axes_that_one_strategy_has_no_use_for(plan: Any) -> None:
    made = plan("strategy=lsrs,best-of-n candidates=1,4 start_scale=1,2 selector=greedy,softmax")
    ids = [point.id for point in made.points]
    assert ids[0] == "plain"
    assert ids[-1] == "best-of-4-digits"
    assert len(ids) == 1 + 4 + 1


def test_schedules_are_backbones_of_their_own(plan: Any) -> None:
    base = SampleConfig(device="cpu", backbone="flexvar-digits")
    made = plan("candidates=1,2 schedule=1,2,3,4;1,2,4;1,4", base=base)
    assert [point.named.setting.schedule for point in made.points] == ["1,2,3,4", "1,2,4", "1,4"] * 2
    assert [point.named.setting.end_scale for point in made.points] == [None] * 3 + [4, 3, 2]


def test_the_record_identifies_what_judges(plan: Any, digits_scorer: Path) -> None:
    grids = (f"candidates=1,2 scorer=auto,likelihood,{digits_scorer}", "strategy=best-of-n candidates=2")
    judges = plan(*grids).record.judges
    texts = ["scorer learned", "scorer likelihood", f"scorer {digits_scorer}", "image_scorer digits"]
    assert list(judges) == texts
    hashes = {judges[text]["sha256"] for text in (texts[0], *texts[2:])}
    assert len(hashes) == 3
    assert all("file" not in judge for judge in judges.values())


def test_the_record_reads_as_the_command(plan: Any) -> None:
    made = plan("candidates=1,2", seeds="4-6", keep_images=True)
    assert made.seed_sets == made.record.seed_sets == (4, 5, 6)
    end = "--grid candidates=1,2 --images 40 --seeds 4-6 --keep-images --out out"
    assert made.record.command == f"tts sweep --device cpu {end}"


def test_axes_without_effect_are_remarked_and_others_are_not(plan: Any) -> None:
    made = plan("candidates=1 start_scale=1,2 cfg=1,2", "candidates=1,2 top_k_select=1,2 selector=topk")
    (remark,) = made.remarks
    assert remark == "axis start_scale makes no difference in grid candidates=1 start_scale=1,2 cfg=1.0,2.0"
