"""The figure that decides."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tts.errors import UsageError
from tts.evaluation.figures import Figures
from tts.evaluation.tune.objective import OBJECTIVES, find_objective

FIGURES = Figures(100, 1.5, 0.0, 0.0, 0.0, 0.0, accuracy=0.25)


def test_every_objective_is_a_figure() -> None:
    assert set(OBJECTIVES) <= {field.name for field in fields(Figures)}


def test_better_figures_are_less_bad_and_gain() -> None:
    fid, accuracy = find_objective("fid"), find_objective("accuracy")
    assert (fid.value(FIGURES), accuracy.value(FIGURES)) == (1.5, 0.25)
    assert fid.badness(1.0) < fid.badness(2.0)
    assert accuracy.badness(0.9) < accuracy.badness(0.8)
    assert fid.gain(1.0 - 2.0) > 0
    assert accuracy.gain(0.9 - 0.8) > 0


def test_slow_figures_are_computed_only_where_they_decide() -> None:
    assert not find_objective("fid").options.manifold
    assert find_objective("recall").options.manifold
    assert find_objective("precision").options.manifold
    assert find_objective("fid_infinity").options.extrapolate
    assert not find_objective("sfid").options.extrapolate


def test_unknown_names_and_missing_values_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown objective 'loss'; use fid, "):
        find_objective("loss")
    with pytest.raises(UsageError, match="objective recall has no value"):
        find_objective("recall").value(FIGURES)
    with pytest.raises(UsageError, match="objective fid has no value"):
        find_objective("fid").value(replace(FIGURES, fid=float("nan")))
