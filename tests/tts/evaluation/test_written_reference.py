"""Statistics of one's own images as a reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts.data.digits import load_digits_split
from tts.evaluation import written_reference
from tts.evaluation.eval_run import run_eval
from tts.evaluation.figures import Figures, MetricOptions
from tts.evaluation.prepared import EvalConfig
from tts.evaluation.references import open_reference
from tts.evaluation.resizing import Resize
from tts.evaluation.written_reference import WrittenReference, run_write_reference
from tts.io import to_uint8

OPTIONS = MetricOptions(bootstrap=20, extrapolate=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two sets of real digits with labels."""
    images, labels = load_digits_split("train")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    root = tmp_path_factory.mktemp("digits")
    for name, rows in (("samples", order[:200]), ("data", order[200:500])):
        np.savez(root / f"{name}.npz", arr_0=to_uint8(images[rows], "round"), arr_1=labels[rows].numpy())
    return root / "samples.npz", root / "data.npz"


def written(data: Path, to: Path, **changes: Any) -> WrittenReference:
    made = run_write_reference(EvalConfig((data,), **{"features": "digits", **changes}), to)
    assert made is not None
    return made


def figures(samples: Path, reference: Path, **changes: Any) -> Figures:
    config = EvalConfig((samples,), str(reference), **{"features": "digits", "options": OPTIONS, **changes})
    found = run_eval(config)
    assert found is not None
    return found.runs[0].figures


def assert_same(one: Figures, other: Figures) -> None:
    first, second = asdict(one), asdict(other)
    for part in (first, second):
        part.update(
            {f"{name}-{i}": v for name, pair in part.pop("intervals").items() for i, v in enumerate(pair)}
        )
    assert first.keys() == second.keys()
    for name, value in first.items():
        expected = None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)
        assert second[name] == expected, name  # a line through several distances enlarges their rounding


def test_figures_are_those_of_the_images_themselves(digits: tuple[Path, Path], tmp_path: Path) -> None:
    samples, data = digits
    made = written(data, tmp_path / "reference.npz")
    assert (made.images, made.kept, made.warnings) == (300, 300, ())
    assert_same(figures(samples, data), figures(samples, tmp_path / "reference.npz"))
    assert_same(
        figures(samples, data),
        figures(samples, tmp_path / "reference.npz", features="auto"),
    )


def test_fewer_images_than_features_give_the_same_figures_too(
    digits: tuple[Path, Path], tmp_path: Path
) -> None:
    with np.load(digits[1]) as arrays:
        np.savez(tmp_path / "few.npz", arr_0=arrays["arr_0"][:40])
    made = written(tmp_path / "few.npz", tmp_path / "reference.npz")
    (warning,) = made.warnings
    assert "40 images for 64 features: their covariance is singular" in warning
    few = {"options": MetricOptions()}
    one, other = (figures(digits[0], tmp_path / f"{name}.npz", **few) for name in ("few", "reference"))
    assert_same(one, other)


def test_the_layout_is_adm_s(digits: tuple[Path, Path], tmp_path: Path) -> None:
    written(digits[1], tmp_path / "reference.npz")
    with np.load(tmp_path / "reference.npz") as made, np.load(digits[1]) as data:
        assert set(made.files) == {"arr_0", "arr_1", "mu", "sigma", "mu_s", "sigma_s", "record"}
        shapes = [made[name].shape for name in ("mu", "sigma", "mu_s", "sigma_s")]
        assert shapes == [(64,), (64, 64), (112,), (112, 112)]
        assert made["sigma"].dtype == np.float64
        np.testing.assert_array_equal(made["arr_0"], data["arr_0"])
        np.testing.assert_array_equal(made["arr_1"], data["arr_1"])


def test_of_many_images_some_are_kept(
    digits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_reference, "KEPT", 50)
    made = written(digits[1], tmp_path / "a.npz")
    written(digits[1], tmp_path / "b.npz")
    assert (made.images, made.kept) == (300, 50)
    with np.load(tmp_path / "a.npz") as found, np.load(digits[1]) as data:
        assert found["arr_0"].shape == (50, 16, 16, 3)
        for image, label in zip(found["arr_0"], found["arr_1"], strict=True):
            assert label in data["arr_1"][(data["arr_0"] == image).all((1, 2, 3))]
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    reference = open_reference(str(tmp_path / "a.npz"))
    assert reference.stored is not None
    assert reference.stored.pool.count == 300
    no_manifold = {"options": MetricOptions(manifold=False)}
    assert_same(
        figures(digits[0], digits[1], **no_manifold), figures(digits[0], tmp_path / "a.npz", **no_manifold)
    )


def test_resized_images_are_kept_resized(tmp_path: Path, pictures: Callable[..., Any]) -> None:
    np.savez(tmp_path / "large.npz", arr_0=pictures(5, 40))
    written(tmp_path / "large.npz", tmp_path / "a.npz", resize=Resize(16))
    with np.load(tmp_path / "a.npz") as made:
        np.testing.assert_array_equal(made["arr_0"][0], Resize(16).apply(pictures(5, 40)[0]))
        assert '"rule": "adm"' in str(made["record"])


def test_statistics_of_other_features_are_refused(
    digits: tuple[Path, Path], tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(digits[1], tmp_path / "a.npz")
    from tts.evaluation.digits import DigitsFeatures

    monkeypatch.setattr(DigitsFeatures, "describe", lambda self: {"name": "digits", "sha256": "other"})
    with refused("has statistics of features 'digits' of other weights, these are 'digits'; choose other"):
        figures(digits[0], tmp_path / "a.npz")
    monkeypatch.setattr(DigitsFeatures, "name", "others")
    monkeypatch.setattr(DigitsFeatures, "describe", lambda self: {"name": "others"})
    with refused("has statistics of features 'digits', these are 'others'; choose other --features or write"):
        figures(digits[0], tmp_path / "a.npz")


def test_one_set_of_two_images_at_least(
    digits: tuple[Path, Path], tmp_path: Path, pictures: Callable[..., Any], refused: Any
) -> None:
    with refused("a reference is made of one set of images, got 2; run 'tts eval IMAGES --write-reference"):
        run_write_reference(EvalConfig(digits), tmp_path / "a.npz")
    np.savez(tmp_path / "one.npz", arr_0=pictures(1, 16))
    with refused("statistics need at least 2 images, one.npz has 1; give more"):
        written(tmp_path / "one.npz", tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
