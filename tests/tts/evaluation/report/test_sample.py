"""The page of a run of ``tts sample``, and the figures of ``tts eval`` on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.eval_result import FORMAT
from tts.evaluation.report.page import Note
from tts.evaluation.report.sample import sample_page
from tts.io import save_png, write_json

ReadPage = Callable[[Any], Any]
RUN = {
    "finished": True,
    "images": 50,
    "settings": {"backbone": "var-digits", "candidates": "4", "labels": "0-9", "seeds": "0-4", "cfg": None},
    "resolved": {"candidates": [1, 4, 4, 4], "cfg": 1.5},
    "backbone": {"name": "var-digits", "weights_sha256": "ab" * 32},
    "scorer": {"name": "learned", "training": {"settings": {"loss": "pairwise"}}},
    "selector": "greedy",
    "environment": {"scalewise-tts": "0.1.0", "libraries": {"torch": "2.13.0"}},
    "timing": {"generate_seconds": 0.5, "images": 50, "images_per_second": 100.0, "batch_size": 256},
}
EVALUATION = {
    "format": FORMAT,
    "title": "FD",
    "features": {"name": "digits", "sha256": "cd" * 32},
    "reference": {"text": "heldout", "images": 898},
    "options": {"bootstrap": 100},
    "runs": [
        {"run": "base", "images": 50, "fid": 1.5, "accuracy": 0.9, "sfid": None, "intervals": {}},
        {
            "run": "best",
            "warnings": ["few images"],
            "images": 50,
            "fid": 1.2,
            "accuracy": 0.95,
            "intervals": {"fid": [1.1, 1.34]},
        },
    ],
    "warnings": ["the runs differ in their rule for pixels"],
    "versions": {},
}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "greedy"
    folder.mkdir()
    write_json((folder / "run.json"), RUN)
    save_png(folder / "grid.png", np.zeros((640, 320, 3), np.uint8))
    return folder


def test_it_shows_the_images_and_how_they_were_made(run_folder: Path, read_page: ReadPage) -> None:
    page = sample_page(run_folder)
    assert (page.title, page.lead) == ("greedy", "50 images of var-digits.")
    html = read_page(page)
    (image,) = html.images
    assert (image["class"], image["width"], image["height"]) == ("sharp", "320", "640")
    for text in ("1, 4, 4, 4", "2.13.0", "pairwise", "ab" * 32):
        assert text in html.text
    assert "tts sample --candidates 4 --labels 0-9 --seeds 0-4" in html.text


def test_a_choice_among_whole_images_says_so(run_folder: Path, read_page: ReadPage) -> None:
    judge = {"image_scorer": {"name": "digits"}, "scorer": None, "selector": None}
    resolved = {"candidates": [1, 1, 1, 1], "whole_images": 16}
    write_json((run_folder / "run.json"), {**RUN, **judge, "resolved": resolved})
    texts = read_page(sample_page(run_folder)).texts
    assert texts[texts.index("Candidates") + 1 :][:2] == ["16", "whole images"]
    assert texts[texts.index("Chosen by") + 1 :][:2] == ["digits", "image scorer"]


def test_what_is_not_set_is_left_out(run_folder: Path, read_page: ReadPage) -> None:
    html = read_page(sample_page(run_folder))
    assert html.texts.count("cfg") == 1  # as resolved, not as given


def test_a_run_without_its_picture_says_so(run_folder: Path) -> None:
    (run_folder / "grid.png").unlink()
    page = sample_page(run_folder)
    assert Note("No picture of the images: grid.png is missing.") in page.sections[0].blocks


def test_figures_of_an_evaluation_stand_on_the_page(run_folder: Path, read_page: ReadPage) -> None:
    write_json((run_folder / "eval.json"), EVALUATION)
    (run_folder / "other.json").write_text("[1]")
    (run_folder / "broken.json").write_text("{")
    page = sample_page(run_folder)
    assert [section.title for section in page.sections] == [
        "Images",
        "Figures (eval.json)",
        "How it was made",
    ]
    html = read_page(page)
    assert html.tables == [
        [
            ["Images of", "Number", "FD ↓", "accuracy (%) ↑"],
            ["base", "50", "1.50", "90.0"],
            ["best", "50", "1.20 [1.10, 1.34]", "95.0"],
        ]
    ]
    assert "Against heldout" in html.text
    assert "the runs differ in their rule for pixels" in html.texts
    assert "best: few images" in html.texts


@pytest.mark.parametrize(
    ("content", "what"),
    [({}, "lacks 'images'"), ({"images": 1, "timing": [1]}, "no JSON object at 'timing'")],
)
def test_a_damaged_record_is_refused(run_folder: Path, content: dict[str, Any], what: str) -> None:
    write_json((run_folder / "run.json"), content)
    with pytest.raises(CheckpointError, match=f"{what}; sample the images anew"):
        sample_page(run_folder)
