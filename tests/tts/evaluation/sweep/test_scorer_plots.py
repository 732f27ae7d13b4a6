"""Figures 5 and 7 carry the judgements."""

from __future__ import annotations

import pytest

from tts.evaluation.sweep.drawing import Plot, style
from tts.evaluation.sweep.scorer_analysis import Analysis, Judged, Judgement
from tts.evaluation.sweep.scorer_plots import scorer_plots
from tts.scorers.report import ScoreGap

pytest.importorskip("matplotlib")


def analysis(*scorers: Judged) -> Analysis:
    return Analysis("var-digits", None, "heldout", 4, 8, (), scorers)


def judged(name: str, scales: tuple[int, ...]) -> Judged:
    gap = ScoreGap(3.0, 1.0, 2.0, 0.5)
    found = Judgement((0.5, 0.9, 1.0), (0.7, 0.2, 0.1), (1.0,) * 3, gap, (0.0, 2.0, 4.0), (1, 3), (6, 2))
    return Judged(name, name, name, "fa" * 32, 1, None, scales, found)


def drawn(found: Analysis) -> dict[str, Plot]:
    with style():
        return {plot.name: plot for plot in scorer_plots(found)}


def test_accuracy_and_loss_have_a_line_a_scorer() -> None:
    plots = drawn(analysis(judged("a", (1, 2, 3)), judged("b", (2, 3))))
    accuracy, loss = plots["scorers-scale"].figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in accuracy.lines}
    assert lines["a"] == [[1, 50], [2, 90], [3, 100]]
    assert lines["b"] == [[2, 90], [3, 100]]
    assert loss.lines[0].get_xydata().tolist() == [[1, 0.7], [2, 0.2], [3, 0.1]]
    assert lines["chance"][0][1] == 50
    assert list(plots) == ["scorers-scale", "scores-1", "scores-2"]


def test_histograms_are_densities() -> None:
    axes = drawn(analysis(judged("a", (1, 2, 3))))["scores-1"].figure.axes[0]
    found = {patch.get_label(): patch.get_data() for patch in axes.patches}
    assert found["real"].values.tolist() == [1 / 8, 3 / 8]
    assert found["generated"].values.tolist() == [6 / 16, 2 / 16]
    assert found["real"].edges.tolist() == [0, 2, 4]
    assert axes.get_title() == "mean gap 2.00, KL 0.50 nats"


def test_without_judgements_there_are_no_plots() -> None:
    assert drawn(analysis()) == {}
