"""All figures together: what is left out, what is refused, what is said about doubtful sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.errors import ShapeError, TtsError, UsageError
from tts.evaluation.compute import evaluate
from tts.evaluation.extrapolation import fid_infinity, inception_score_infinity
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics

Golden = Callable[[str], dict[str, Tensor]]
OPTIONS = MetricOptions()


def _features(count: int, seed: int, dimensions: int = 8) -> Features:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    pool = torch.randn(count, dimensions, generator=generator)
    pool[:, :4] += 1.5 * torch.eye(4)[labels]
    return Features(pool, pool[:, :5] ** 2, 2 * pool[:, :4], labels)


SAMPLES, OTHERS = _features(150, 0), _features(200, 1)
REFERENCE = Reference.of(OTHERS)


def _doubts(samples: Features, reference: Reference, **options: object) -> list[str]:
    said: list[str] = []
    evaluate(samples, reference, replace(OPTIONS, **options), True, said.append)  # type: ignore[arg-type]
    return said


def test_figures_equal_the_reference(golden: Golden) -> None:
    values = golden("metrics")
    samples = Features(values["gen_features"], None, values["class_probabilities"].log())
    found = evaluate(samples, Reference.of(Features(values["ref_features"])), MetricOptions(split=250))
    assert found.images == 600
    assert found.fid == pytest.approx(float(values["fid"]), rel=1e-9)
    assert found.mean_diff2 == pytest.approx(float(values["mean_diff2"]), rel=1e-9)
    assert found.trace_reference == pytest.approx(float(values["trace_ref"]), rel=1e-9)
    assert found.trace_samples == pytest.approx(float(values["trace_gen"]), rel=1e-9)
    assert found.two_trace_sqrt == pytest.approx(float(values["two_trace_sqrt"]), rel=1e-9)
    assert found.inception_score == pytest.approx(float(values["inception_score_split250"]), rel=1e-12)
    assert found.inception_score_single == pytest.approx(float(values["inception_score_split600"]), rel=1e-12)
    assert found.precision == pytest.approx(float(values["precision"]), rel=1e-12)
    assert found.recall == pytest.approx(float(values["recall"]), rel=1e-12)
    assert (found.sfid, found.accuracy, found.variance, found.fid_infinity) == (None, None, None, None)


def test_parts_make_the_distance() -> None:
    found = evaluate(SAMPLES, REFERENCE, OPTIONS)
    parts = found.mean_diff2 + found.trace_reference + found.trace_samples - found.two_trace_sqrt
    assert found.fid == pytest.approx(parts, abs=1e-12)


def test_a_set_is_as_good_as_itself() -> None:
    found = evaluate(OTHERS, REFERENCE, OPTIONS)
    assert found.fid == pytest.approx(0.0, abs=1e-9)
    assert found.sfid == pytest.approx(0.0, abs=1e-9)
    assert (found.precision, found.recall) == (1.0, 1.0)


def test_the_order_of_the_images_does_not_matter() -> None:
    options = MetricOptions(half=True)
    mixed = SAMPLES.rows(torch.randperm(150, generator=torch.Generator().manual_seed(0)))
    found, other = (evaluate(samples, REFERENCE, options, True) for samples in (SAMPLES, mixed))
    for name in ("fid", "sfid", "inception_score", "precision", "recall", "accuracy", "variance"):
        assert getattr(other, name) == pytest.approx(getattr(found, name), rel=1e-9), name


def test_extrapolation_uses_the_samples_and_the_seed() -> None:
    found = evaluate(SAMPLES, REFERENCE, MetricOptions(extrapolate=True, seed=3))
    assert SAMPLES.logits is not None
    assert found.fid_infinity == fid_infinity(SAMPLES.pool, REFERENCE.pool, 3)
    assert found.inception_score_infinity == inception_score_infinity(SAMPLES.logits, 3)


@pytest.mark.parametrize(
    ("samples", "reference", "options", "left_out"),
    [
        (replace(SAMPLES, spatial=None), REFERENCE, OPTIONS, {"sfid"}),
        (SAMPLES, replace(REFERENCE, spatial=None), OPTIONS, {"sfid"}),
        (replace(SAMPLES, labels=None), REFERENCE, OPTIONS, {"accuracy", "variance"}),
        (
            replace(SAMPLES, logits=None),
            REFERENCE,
            OPTIONS,
            {"inception_score", "inception_score_single", "accuracy"},
        ),
        (SAMPLES, replace(REFERENCE, features=None), OPTIONS, {"precision", "recall"}),
        (SAMPLES, REFERENCE, MetricOptions(manifold=False), {"precision", "recall"}),
    ],
)
def test_what_a_set_lacks_is_left_out(
    samples: Features, reference: Reference, options: MetricOptions, left_out: set[str]
) -> None:
    whole = evaluate(SAMPLES, REFERENCE, OPTIONS, True)
    found = evaluate(samples, reference, options, True)
    expected = replace(whole, **dict.fromkeys(left_out))  # type: ignore[arg-type]
    assert found == expected
    assert isinstance(whole, Figures)
    assert all(getattr(whole, name) is not None for name in left_out)


def test_accuracy_needs_an_extractor_that_knows_the_labels() -> None:
    assert evaluate(SAMPLES, REFERENCE, OPTIONS).accuracy is None
    assert evaluate(SAMPLES, REFERENCE, OPTIONS).variance is not None


def test_nothing_is_said_of_good_sets() -> None:
    assert _doubts(SAMPLES, REFERENCE, extrapolate=True, split=50) == []


def test_too_few_images_are_told() -> None:
    few, wide = _features(16, 2, 16), Reference.of(_features(40, 3, 16))
    assert _doubts(few, wide) == [
        "16 images for 16 features: their covariance is singular and the distance is biased upwards; use more"
        " images, or --extrapolate"
    ]
    assert (
        "the reference has 16 images for 16 features" in _doubts(_features(40, 3, 16), Reference.of(few))[0]
    )
    stored = Reference(FrechetStatistics.stored(np.zeros(16), np.eye(16)), None, None)
    assert _doubts(_features(40, 3, 16), stored) == []
    doubts = _doubts(_features(30, 4, 16), wide, extrapolate=True)
    assert [doubt.partition(":")[0] for doubt in doubts] == ["30 images are too few to extrapolate over"]


def test_precision_and_recall_of_three_images_are_left_out() -> None:
    for samples, reference in ((SAMPLES.rows(slice(3)), OTHERS), (SAMPLES, OTHERS.rows(slice(3)))):
        doubts = _doubts(samples, Reference.of(reference))
        assert "3 images are too few for precision and recall with 3 neighbours" in doubts[-1]
        found = evaluate(samples, Reference.of(reference), OPTIONS)
        assert (found.precision, found.recall) == (None, None)


def _ordered(samples: Features) -> Features:
    assert samples.labels is not None
    return samples.rows(samples.labels.argsort(stable=True))


def test_images_in_the_order_of_their_classes_are_told() -> None:
    many = _features(400, 5)
    for samples in (_ordered(many), replace(_ordered(many), labels=None)):
        (doubt,) = _doubts(samples, REFERENCE, split=100)
        assert "not shuffled" in doubt
        assert "parts of 100" in doubt
        assert "'tts pack'" in doubt
        assert _doubts(samples, REFERENCE, split=400) == []  # one part has no order
    assert _doubts(many, REFERENCE, split=100) == []
    assert _doubts(replace(many, labels=None), REFERENCE, split=100) == []


def test_many_classes_and_half_ordered_images_are_told() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1000).repeat_interleave(4)
    mixed = labels[torch.randperm(4000, generator=generator)]
    runs = labels.view(-1, 2)[torch.randperm(2000, generator=generator)].flatten()  # pairs stay together
    base = _features(4000, 6)
    for chosen, count in ((labels, 1), (runs, 1), (mixed, 0), (labels.view(1000, 4).T.flatten(), 0)):
        said = _doubts(replace(base, labels=chosen), REFERENCE, split=1000, manifold=False)
        assert len([doubt for doubt in said if "not shuffled" in doubt]) == count


def test_one_class_has_no_order() -> None:
    samples = replace(SAMPLES, labels=torch.zeros(150, dtype=torch.int64))
    assert _doubts(samples, REFERENCE, split=50) == []


BROKEN = SAMPLES.pool.clone()
BROKEN[3, 2] = torch.nan


@pytest.mark.parametrize(
    ("samples", "reference", "options", "error", "message"),
    [
        (SAMPLES.rows(slice(1)), REFERENCE, OPTIONS, UsageError, "at least 2 images, got 1"),
        (SAMPLES.rows(slice(0)), REFERENCE, OPTIONS, UsageError, "at least 2 images, got 0"),
        (_features(20, 0, 9), REFERENCE, OPTIONS, UsageError, r"shape \(20, 9\), the reference has 8"),
        (
            replace(SAMPLES, spatial=SAMPLES.pool),
            REFERENCE,
            OPTIONS,
            UsageError,
            r"spatial features .* \(150, 8\), the reference has 5",
        ),
        (
            SAMPLES,
            replace(REFERENCE, features=_features(20, 0, 9)),
            OPTIONS,
            UsageError,
            "the reference has 9 of them",
        ),
        (replace(SAMPLES, pool=BROKEN), REFERENCE, OPTIONS, UsageError, "pooled features of the samples"),
        (replace(SAMPLES, logits=BROKEN), REFERENCE, OPTIONS, UsageError, "logits of the samples hold NaN"),
        (
            SAMPLES,
            replace(REFERENCE, features=replace(SAMPLES, pool=BROKEN)),
            OPTIONS,
            UsageError,
            "features of the reference hold NaN",
        ),
        (
            replace(SAMPLES, labels=torch.zeros(3)),
            REFERENCE,
            OPTIONS,
            ShapeError,
            "labels must be whole numbers",
        ),
        (SAMPLES, REFERENCE, MetricOptions(neighbours=0), UsageError, "neighbours 0 must be at least 1"),
        (SAMPLES, REFERENCE, MetricOptions(split=0), UsageError, "split 0 must be at least 1"),
        (SAMPLES, REFERENCE, MetricOptions(bootstrap=19), UsageError, "bootstrap is 19"),
        (SAMPLES, REFERENCE, MetricOptions(confidence=1.0), UsageError, "confidence is 1.0"),
        (
            SAMPLES.rows(slice(3)),
            REFERENCE,
            MetricOptions(extrapolate=True),
            UsageError,
            "extrapolation needs at least 4 images, got 3",
        ),
    ],
)
def test_sets_without_figures_are_refused(
    samples: Features, reference: Reference, options: MetricOptions, error: type[TtsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(samples, reference, options)


def test_inputs_stay_as_they_are() -> None:
    before = [part.clone() for part in (SAMPLES.pool, SAMPLES.logits, OTHERS.pool) if part is not None]
    evaluate(SAMPLES, REFERENCE, MetricOptions(bootstrap=20, extrapolate=True, half=True), True)
    after = [part for part in (SAMPLES.pool, SAMPLES.logits, OTHERS.pool) if part is not None]
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
