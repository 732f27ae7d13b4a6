"""Which points make a curve."""

from __future__ import annotations

from typing import Any

from tts.evaluation.sweep.curves import LAST, Curves
from tts.evaluation.sweep.reading import read_results

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def curves(sweep: Any) -> Curves:
    return Curves(read_results(sweep.write()))


def test_the_usual_values_are_those_of_the_base_or_the_backbone(full_sweep: Any) -> None:
    usual = curves(full_sweep).usual
    assert usual["cfg"] == 1.5
    assert usual["scorer"] == "learned"
    assert (usual["selector"], usual["start_scale"], usual["end_scale"]) == ("greedy", 2, LAST)


def test_a_base_with_settings_of_its_own_is_usual(sweep: Any) -> None:
    sweep.base |= {"cfg": 3.0, "selector": "softmax", "start_scale": 1}
    for cfg in (1.5, 3.0):
        sweep.add(cfg=cfg)
        for selector in ("greedy", "softmax"):
            for start in (1, 2):
                sweep.add(
                    candidates="4", **{**GREEDY, "cfg": cfg, "selector": selector, "start_scale": start}
                )
    found = curves(sweep)
    points = found.by_candidates().points
    assert [(p.candidates, p.setting.cfg) for p in points] == [(1, 3.0), (4, 3.0)]
    assert (points[1].setting.selector, points[1].setting.start_scale) == ("softmax", 1)


def test_what_the_base_leaves_open_is_the_most_frequent(sweep: Any) -> None:
    sweep.base |= {"backbone": "somebody-elses"}
    for cfg in (4.0, 2.0, 4.0):
        sweep.add(cfg=cfg)
    assert curves(sweep).usual["cfg"] == 4.0


def test_a_curve_rises_in_m_from_the_plain_point(full_sweep: Any) -> None:
    curve = curves(full_sweep).by_candidates()
    assert curve.x == (1, 2, 4, 8, 16, 32, 64)
    assert curve.points[0].plain
    assert [p.candidates for p in curve.points] == list(curve.x)
    assert {p.setting.selector for p in curve.points[1:]} == {"greedy"}


def test_without_selected_points_there_is_no_curve(sweep: Any) -> None:
    sweep.add()
    assert curves(sweep).by_candidates().points == ()
    assert curves(sweep).selectors() == []


def test_each_selector_has_a_curve(full_sweep: Any) -> None:
    found = {curve.name: curve for curve in curves(full_sweep).selectors()}
    assert set(found) == {"greedy", "softmax", "topk, k = 8"}
    assert all(curve.x == (1, 2, 4, 8, 16, 32, 64) for curve in found.values())
    assert {p.setting.top_k_select for p in found["topk, k = 8"].points[1:]} == {8}


def test_temperatures_are_named_where_they_matter(sweep: Any) -> None:
    for m in ("2", "4"):
        for temperature in (0.5, 1.0):
            sweep.add(candidates=m, **{**GREEDY, "selector": "softmax", "temperature": temperature})
    assert [curve.name for curve in curves(sweep).selectors()] == ["softmax, T = 0.5", "softmax, T = 1"]


def test_selectors_with_a_single_m_stay_where_all_are_such(sweep: Any) -> None:
    for selector in ("greedy", "softmax"):
        sweep.add(candidates="8", **{**GREEDY, "selector": selector})
    assert [curve.name for curve in curves(sweep).selectors()] == ["greedy", "softmax"]


def test_each_scorer_has_a_curve(full_sweep: Any) -> None:
    assert [curve.name for curve in curves(full_sweep).scorers()] == ["learned", "pointwise"]


def test_selection_at_the_first_scale_is_a_curve_of_its_own(full_sweep: Any) -> None:
    curve = curves(full_sweep).by_candidates(start_scale=1)
    assert curve.x == (1, 2, 4, 8, 32)
    assert {p.setting.start_scale for p in curve.points[1:]} == {1}


def test_starts_are_gathered_for_each_m(full_sweep: Any) -> None:
    found = {curve.name: curve.x for curve in curves(full_sweep).starts()}
    assert found == {"M = 2": (1, 2), "M = 4": (1, 2), "M = 8": (1, 2), "M = 32": (1, 2, 3, 4)}


def test_k_of_one_is_greedy(full_sweep: Any) -> None:
    (curve,) = curves(full_sweep).top_ks()
    assert (curve.name, curve.x) == ("M = 64", (1, 2, 4, 8, 16))
    assert curve.points[0].setting.selector == "greedy"


def test_best_of_n_starts_at_the_plain_model_too(full_sweep: Any) -> None:
    (curve,) = curves(full_sweep).best_of_n()
    assert (curve.name, curve.x) == ("best of N", (1, 2, 4, 8))
    assert [p.setting.strategy for p in curve.points] == ["lsrs", *["best-of-n"] * 3]


def test_guidance_has_a_curve_for_each_way_to_choose(full_sweep: Any) -> None:
    found = {curve.name: curve.x for curve in curves(full_sweep).along("cfg")}
    assert found == {"plain": (0, 1.5, 3), "M = 8": (0, 1.5, 3)}


def test_an_axis_that_does_not_vary_has_no_curve(full_sweep: Any) -> None:
    assert curves(full_sweep).along("top_p") == []
    assert curves(full_sweep).varied("schedule") == {}


def test_texts_keep_the_order_of_the_sweep(sweep: Any) -> None:
    sweep.base |= {"backbone": "flexvar-digits"}
    for schedule in ("1,2,3,4", "1,2,4", "1,3,4"):
        sweep.add(schedule=schedule)
    (points,) = curves(sweep).varied("schedule").values()
    assert [p.setting.schedule for p in points] == ["1,2,3,4", "1,2,4", "1,3,4"]


def test_the_last_scale_is_the_last_one_of_every_schedule(sweep: Any) -> None:
    sweep.base |= {"backbone": "flexvar-digits"}
    for schedule, last in (("1,2,3,4", 4), ("1,2,4", 3)):
        sweep.add(schedule=schedule)
        sweep.add(candidates="8", **{**GREEDY, "schedule": schedule, "end_scale": last})
    assert [len(points) for points in curves(sweep).varied("schedule").values()] == [2, 2]
    assert curves(sweep).span == "from scale 2 on"


def test_an_earlier_last_scale_is_another_curve(sweep: Any) -> None:
    sweep.add()
    for last in (3, 4):
        for m in ("2", "4"):
            sweep.add(candidates=m, **{**GREEDY, "end_scale": last})
    found = curves(sweep)
    assert {p.setting.end_scale for p in found.by_candidates().points[1:]} == {4}
    assert {name: curve.x for name, curve in zip("24", found.along("end_scale"), strict=True)} == {
        "2": (3, 4),
        "4": (3, 4),
    }
    sweep.base |= {"end_scale": 3}
    assert {p.setting.end_scale for p in curves(sweep).by_candidates().points[1:]} == {3}
    assert curves(sweep).span == "from scale 2 to 3"


def test_points_of_another_guidance_stay_out_of_the_other_curves(full_sweep: Any) -> None:
    found = curves(full_sweep)
    for curve in (found.by_candidates(), *found.selectors(), *found.starts(), *found.best_of_n()):
        assert {p.setting.cfg for p in curve.points} == {1.5}
