"""The embedded classifier on held-out scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError
from tts.evaluation.digits import DigitsClassifier, load_digits_classifier, write_digits_classifier
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.io import save_tensors

LAYERS = (576, 5)
"""Products in the longest sum, and sums in a row: what ``rounding`` takes."""


@pytest.fixture(scope="module")
def classifier() -> DigitsClassifier:
    return load_digits_classifier()


def test_held_out_digits_are_recognised(classifier: DigitsClassifier) -> None:
    images, labels = load_digits_split("heldout")
    assert images.shape == (364, 3, 16, 16)
    assert float((classifier(images).argmax(dim=1) == labels).float().mean()) >= 0.99


def test_features_ignore_the_batch_and_average_the_channels(
    classifier: DigitsClassifier, error: Any, rounding: Any
) -> None:
    images = load_digits_split("heldout")[0][:8]
    features = classifier.features(images)
    assert features.shape == (8, 64)
    assert features.dtype == torch.float32
    assert error(classifier.features(images[:1]), features[:1]) < rounding(*LAYERS)
    tinted = images * torch.tensor([0.0, 1.0, 2.0])[:, None, None]
    assert error(classifier.features(tinted), features) < rounding(*LAYERS)
    assert error(classifier.logits(features), classifier(images)) < rounding(*LAYERS)


def test_the_distance_sees_a_missing_class(classifier: DigitsClassifier) -> None:
    images, labels = load_digits_split("all")
    features = classifier.features(images)
    real = FrechetStatistics.of(features)
    even = frechet_distance(real, FrechetStatistics.of(features[::2]))
    without = frechet_distance(real, FrechetStatistics.of(features[labels != 3]))
    assert without > 3 * even


def test_a_written_classifier_loads(classifier: DigitsClassifier, tmp_path: Path) -> None:
    file = tmp_path / "classifier.safetensors"
    write_digits_classifier(file, classifier)
    again = load_digits_classifier(file)
    assert again.config == classifier.config
    for key, value in classifier.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_tensors(file, {"x": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="no classifier of digits"):
        load_digits_classifier(file)
