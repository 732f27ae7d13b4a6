"""Measuring one setting."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.engine.stopping import Stop
from tts.errors import StoppedError
from tts.evaluation.eval_run import run_eval
from tts.evaluation.figures import Figures, MetricOptions
from tts.evaluation.prepared import EvalConfig
from tts.evaluation.references import load_reference, reference_features, split_reference
from tts.evaluation.sweep.lab import SEED_BLOCK, Lab, Measured, seed_items
from tts.pipeline import Item
from tts.sample_config import SampleConfig
from tts.sample_run import run_sample

CONFIG = SampleConfig(device="cpu", candidates="2")
EXACT = ("images", "precision", "recall", "accuracy")
PIXEL = 1e-3
"""Relative: where a batch rounds a pixel to the next of 255 levels, one of 40 images moves by that much."""


@pytest.fixture(scope="module")
def lab() -> Lab:
    """A laboratory of the digits."""
    made = Lab(CONFIG, "digits", options=MetricOptions())
    made.reference = load_reference("heldout", made.extractor)
    return made


@pytest.fixture(scope="module")
def measured(lab: Lab) -> Measured:
    """The first seed set."""
    return lab.measure(CONFIG, 0, 40)


def numbers(figures: Figures) -> dict[str, float]:
    return {key: value for key, value in asdict(figures).items() if isinstance(value, int | float)}


def test_a_seed_set_has_classes_in_turn_and_seeds_of_its_own() -> None:
    assert seed_items(0, 4, 3) == [Item(0, 0), Item(1, 1), Item(2, 2), Item(0, 3)]
    assert seed_items(2, 2, 3) == [Item(0, 2 * SEED_BLOCK), Item(1, 2 * SEED_BLOCK + 1)]
    assert seed_items(1, 9, 3)[:5] == seed_items(1, 5, 3)


@pytest.mark.parametrize("images", [-1, 0, 1, SEED_BLOCK + 1])
def test_numbers_of_images_that_make_no_set_are_refused(refused: Any, images: int) -> None:
    with refused(f"images {images} must be from 2 to {SEED_BLOCK}"):
        seed_items(0, images, 10)


def test_figures_are_those_of_sampling_and_evaluating_the_same_images(
    measured: Measured, tmp_path: Path
) -> None:
    run_sample(replace(CONFIG, per_class=4, out=str(tmp_path / "run")))
    found = run_eval(EvalConfig((tmp_path / "run",), device="cpu"))
    assert found is not None
    ours, theirs = numbers(measured.figures), numbers(found.runs[0].figures)
    assert ours.keys() == theirs.keys()
    assert {name: ours[name] for name in EXACT} == {name: theirs[name] for name in EXACT}
    assert ours == pytest.approx(theirs, rel=PIXEL)


def test_the_batch_changes_nothing(lab: Lab, measured: Measured) -> None:
    small = Lab(CONFIG, "digits", lab.reference, batch_size=7).measure(CONFIG, 0, 40)
    assert numbers(small.figures) == pytest.approx(numbers(measured.figures), rel=PIXEL)
    levels = np.abs(small.strip.astype(int) - measured.strip)
    assert levels.max() <= 1
    assert levels.mean() < 0.01
    costs = [replace(one.cost, seconds=0, peak_bytes=None) for one in (small, measured)]
    assert costs[0] == costs[1]


def test_costs_are_counted(measured: Measured) -> None:
    cost = measured.cost
    assert (cost.images, cost.transformer_passes, cost.decoder_calls) == (40, 160, 40)
    assert cost.scorer_calls == 40 * 2 * 3
    assert cost.seconds > 0


def test_other_sets_and_settings_give_other_images(lab: Lab, measured: Measured) -> None:
    other = lab.measure(CONFIG, 1, 40)
    plain = lab.measure(replace(CONFIG, candidates="1"), 0, 40)
    assert len({one.figures.fid for one in (measured, other, plain)}) == 3


def test_the_first_images_are_those_of_the_first_items(lab: Lab, measured: Measured, tmp_path: Path) -> None:
    again = lab.measure(CONFIG, 0, 12, keep=tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz") as kept:
        assert kept["arr_0"].shape == (12, 16, 16, 3)
        assert kept["arr_1"].tolist() == [*range(10), 0, 1]
        assert kept["seeds"].tolist() == list(range(12))
        assert np.array_equal(kept["arr_0"][:10], again.strip)
    assert np.array_equal(again.strip, measured.strip)
    assert again.features.labels is not None
    assert again.features.labels.tolist() == [*range(10), 0, 1]


def test_a_reference_can_be_given(lab: Lab, measured: Measured) -> None:
    half, other = split_reference(reference_features("heldout", lab.extractor))
    fids = [lab.measure(CONFIG, 0, 40, reference).figures.fid for reference in (half, other)]
    assert len({*fids, measured.figures.fid}) == 3


def test_without_a_reference_nothing_is_measured(refused: Any) -> None:
    with refused("nothing to compare the images with"):
        Lab(CONFIG, "digits").measure(CONFIG, 0, 40)


def test_parts_are_shared(lab: Lab) -> None:
    first = lab.cache.model(CONFIG)
    lab.measure(replace(CONFIG, selector="softmax"), 0, 2)
    assert lab.cache.model(CONFIG) is first


def test_what_is_raised_after_a_batch_ends_the_measurement_and_leaves_no_file(
    lab: Lab, tmp_path: Path
) -> None:
    heard = []
    stop = Stop()
    small = Lab(CONFIG, "digits", lab.reference, batch_size=10)

    def after_batch(done: int) -> None:
        heard.append(done)
        if done == 20:
            stop.signal = 15
        stop.check("go on")

    with pytest.raises(StoppedError, match="terminated; go on"):
        small.measure(CONFIG, 0, 40, after_batch=after_batch, keep=tmp_path / "set.npz")
    assert heard == [10, 20]
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_are_refused(
    refused: Any, fake_backbone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(CONFIG, "digits")
    model = lab.cache.model(CONFIG)
    monkeypatch.setattr(
        type(lab.cache), "model", lambda cache, config: replace(model, backbone=fake_backbone())
    )
    with refused("features 'digits' are for images of 16x16, fake makes 6x6"):
        lab.facts(CONFIG)
