"""The page of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.training import training_page
from tts.io import save_png, write_json

ReadPage = Callable[[Any], Any]
METRICS: dict[str, Any] = {
    "settings": {"real": "real", "generated": "gen", "out": "scorer", "loss": "pointwise", "epochs": 2},
    "resolved": {"loss": "pointwise", "learning_rate": 0.0003},
    "scales": [1, 2],
    "history": [
        {"epoch": 1, "train_loss": 0.69, "loss": [0.7, 0.6], "accuracy": [0.5, 0.75]},
        {"epoch": 2, "train_loss": 0.66, "loss": [0.69, 0.62], "accuracy": [0.55, 0.7]},
    ],
    "kept_epoch": 1,
    "held_out": {"loss": [0.7, 0.6], "accuracy": [0.5, 0.75], "score_gap": {"gap": 1.5, "kl": 0.25}},
    "seconds": 3.0,
    "environment": {"scalewise-tts": "0.1.0"},
    "processes": 2,
}


@pytest.fixture
def scorer_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scorer"
    folder.mkdir()
    write_json((folder / "metrics.json"), METRICS)
    for name in ("curves.png", "scores.png"):
        save_png(folder / name, np.zeros((20, 40, 3), np.uint8))
    return folder


def test_it_shows_figures_by_scale_and_epoch_and_both_pictures(
    scorer_folder: Path, read_page: ReadPage
) -> None:
    page = training_page(scorer_folder)
    assert [figure.paper for section in page.sections for figure in section.figures] == [
        "figure 5",
        "figure 7",
    ]
    html = read_page(page)
    by_scale, by_epoch = html.tables
    assert by_scale[1:] == [["1", "0.7000", "0.5000"], ["2", "0.6000", "0.7500"]]
    assert by_epoch[1:] == [["1", "0.6900", "0.5000", "0.7500"], ["2", "0.6600", "0.5500", "0.7000"]]
    assert len(html.images) == 2
    assert "Trained with the pointwise loss for 2 epochs." in html.text
    assert (
        "tts train-scorer --real real --generated gen --out scorer --loss pointwise --epochs 2" in html.text
    )


def test_the_accuracy_in_front_leaves_the_first_scale_out(scorer_folder: Path, read_page: ReadPage) -> None:
    texts = read_page(training_page(scorer_folder)).texts
    assert texts[texts.index("Held-out accuracy") + 1] == "0.750"


def test_a_training_without_pictures_says_so(scorer_folder: Path, read_page: ReadPage) -> None:
    for path in scorer_folder.glob("*.png"):
        path.unlink()
    html = read_page(training_page(scorer_folder))
    assert html.images == []
    assert "without matplotlib" in html.text


@pytest.mark.parametrize("missing", ["held_out", "history", "scales"])
def test_a_damaged_record_is_refused(scorer_folder: Path, missing: str) -> None:
    content = {key: value for key, value in METRICS.items() if key != missing}
    write_json((scorer_folder / "metrics.json"), content)
    with pytest.raises(CheckpointError, match=r"metrics\.json lacks .*; train the scorer anew"):
        training_page(scorer_folder)
