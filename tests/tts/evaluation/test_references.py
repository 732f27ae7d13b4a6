"""What images are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError
from tts.evaluation.crew import Crew
from tts.evaluation.features import Features
from tts.evaluation.figures import Reference
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.evaluation.references import (
    check_spatial,
    describe_reference,
    load_reference,
    open_reference,
    reference_features,
    split_reference,
)
from tts.io import sha256_file, to_uint8
from tts.resolve import build_features

Pictures = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def stored(tmp_path: Path, pictures: Pictures) -> Path:
    """A reference file whose statistics are not those of its images."""
    path = tmp_path / "reference.npz"
    statistics = {"mu": np.full(3, 7.0), "sigma": 4 * np.eye(3), "mu_s": np.zeros(6), "sigma_s": np.eye(6)}
    np.savez(path, arr_0=pictures(9), arr_1=np.arange(9), **statistics)
    return path


@pytest.mark.parametrize(("part", "images"), [("heldout", 364), ("train", 1433), ("all", 1797)])
def test_real_digits_are_references(part: str, images: int, error: Any, rounding: Any) -> None:
    extractor = build_features("digits", torch.device("cpu"))
    scans, labels = load_digits_split(part)  # type: ignore[arg-type]
    reference = load_reference(part, extractor)
    found = reference_features(part, extractor, 100)
    assert len(found) == reference.pool.count == images
    assert found.labels is not None
    assert torch.equal(found.labels, labels)
    pixels = torch.from_numpy(to_uint8(scans, "round")).permute(0, 3, 1, 2)
    # batches of 100 and of 50: other orders of sums, of 576 products in 5 layers
    assert error(found.pool[:50], extractor.extract(pixels[:50]).pool) < rounding(576, 5)
    assert describe_reference(part)["images"] == images


def test_stored_statistics_serve_distances_and_images_the_rest(
    stored: Path, sums: Any, pictures: Pictures
) -> None:
    reference = load_reference(str(stored), sums)
    assert reference.pool.mean.tolist() == [7.0] * 3
    np.testing.assert_array_equal(reference.pool.covariance, 4 * np.eye(3))
    assert reference.spatial is not None
    assert len(reference.spatial.mean) == 6
    assert reference.features is not None
    assert reference.features.pool.tolist() == pictures(9).sum((1, 2)).tolist()
    assert describe_reference(str(stored)) == {
        "text": str(stored),
        "images": 9,
        "sha256": sha256_file(stored),
        "statistics": "stored",
    }


def test_images_stay_unread_where_only_stored_statistics_serve(stored: Path, sums: Any) -> None:
    reference = open_reference(str(stored)).load(sums, Crew(), manifold=False)
    assert reference is not None
    assert (reference.features, sums.batches) == (None, [])


def test_statistics_come_from_images_where_none_are_stored(
    tmp_path: Path, sums: Any, pictures: Pictures, write_run: Any
) -> None:
    np.savez(tmp_path / "images.npz", arr_0=pictures(9))
    run = write_run(tmp_path / "run", pictures(9), np.arange(9))
    a, b = (load_reference(str(path), sums) for path in (tmp_path / "images.npz", run))
    assert frechet_distance(a.pool, b.pool) == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(a.pool.mean, pictures(9).sum((1, 2)).mean(0))
    assert a.spatial is not None
    assert describe_reference(str(run))["statistics"] == "computed"


def test_what_is_doubtful_of_a_reference_is_told(tmp_path: Path, sums: Any, pictures: Pictures) -> None:
    for number, image in enumerate(pictures(4)):
        picture = Image.fromarray(image)
        picture.putalpha(9)
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").touch()
    for load in (load_reference, reference_features):
        said: list[str] = []
        load(str(tmp_path), sums, say=said.append)
        first, second = said
        assert first.startswith("reference: 1 files or folders are left out (notes.txt)")
        assert second.startswith("reference: 4 of 4 images have transparent pixels")


def test_a_file_of_statistics_alone_is_a_reference(tmp_path: Path, sums: Any, refused: Any) -> None:
    path = tmp_path / "statistics.npz"
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3))
    reference = load_reference(str(path), sums)
    assert (reference.features, reference.spatial) == (None, None)
    assert describe_reference(str(path))["images"] == 0
    with refused("holds statistics only; give one with images"):
        reference_features(str(path), sums)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": None}, "has no sigma beside its partner"),
        ({"mu_s": None}, "has no mu_s beside its partner"),
        ({"sigma": np.eye(4)}, "mu and sigma: "),
        ({"sigma": np.full((3, 3), np.nan)}, "NaN"),
        ({"mu": np.zeros(3, np.int64)}, "mu of "),
    ],
)
def test_broken_statistics_are_refused(
    tmp_path: Path, pictures: Pictures, refused: Any, changes: dict[str, Any], words: str
) -> None:
    path = tmp_path / "broken.npz"
    arrays = {"mu": np.zeros(3), "sigma": np.eye(3), "mu_s": np.zeros(18), "sigma_s": np.eye(18), **changes}
    np.savez(path, arr_0=pictures(4), **{name: value for name, value in arrays.items() if value is not None})
    with refused(str(path), words, kind=CheckpointError):
        open_reference(str(path))


def test_statistics_of_other_features_are_refused(stored: Path, sums: Any, refused: Any) -> None:
    sums.dimensions = 5
    with refused(f"reference {stored} has statistics of 3 features, 'sums' gives 5; choose other --features"):
        load_reference(str(stored), sums)
    sums.dimensions = 3
    reference = load_reference(str(stored), sums)
    check_spatial("r", reference, Features(torch.zeros(2, 3), torch.zeros(2, 6)), sums)
    check_spatial("r", reference, Features(torch.zeros(2, 3)), sums)
    large = stored.with_name("large.npz")
    with np.load(stored) as arrays:
        np.savez(large, **{**arrays, "mu_s": np.zeros(7), "sigma_s": np.eye(7)})
    with refused(f"reference {large} has statistics of 7 spatial features, 'sums' gives 6"):
        load_reference(str(large), sums)
    with refused("reference r has statistics of 6 spatial features, 'sums' gives 20"):
        check_spatial("r", reference, Features(torch.zeros(2, 3), torch.zeros(2, 20)), sums)


def test_unknown_references_are_refused(tmp_path: Path, sums: Any, refused: Any) -> None:
    with refused("unknown reference 'test'; use heldout, train, all for real digits, or the path"):
        load_reference("test", sums)
    with refused("features 'digits' are for 16x16"):
        np.savez(tmp_path / "a.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8))
        load_reference(str(tmp_path / "a.npz"), build_features("digits", torch.device("cpu")))


def halves(features: Features, seed: int = 0) -> tuple[Features, Features]:
    a, b = split_reference(features, seed)
    assert a.features is not None
    assert b.features is not None
    return a.features, b.features


@pytest.mark.parametrize("labelled", [True, False])
def test_halves_share_nothing_and_lose_nothing(labelled: bool) -> None:
    labels = torch.tensor([3] * 11 + [1] * 6 + [8] + [2] * 7)
    features = Features(torch.arange(25.0)[:, None], labels=labels if labelled else None)
    a, b = halves(features)
    assert sorted([*a.pool[:, 0].tolist(), *b.pool[:, 0].tolist()]) == list(range(25))
    assert abs(len(a) - len(b)) == 1
    if labelled:
        assert a.labels is not None
        assert b.labels is not None
        assert int((a.labels.bincount(minlength=9) - b.labels.bincount(minlength=9)).abs().max()) == 1
        assert torch.equal(labels[a.pool[:, 0].long()], a.labels)


def test_a_seed_decides_about_the_halves() -> None:
    features = Features(torch.arange(100.0)[:, None], labels=torch.arange(100) % 5)
    one, same, other = (halves(features, seed)[0].pool[:, 0].tolist() for seed in (0, 0, 1))
    assert one == same
    assert sorted(one) != sorted(other)
    assert sorted(one) != sorted(range(0, 100, 2))


def test_halves_are_references_of_their_own(refused: Any) -> None:
    features = Features(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)))
    a, b = split_reference(features)
    assert isinstance(a, Reference)
    assert (a.pool.count, b.pool.count) == (20, 20)
    assert a.features is not None
    assert frechet_distance(a.pool, FrechetStatistics.of(a.features.pool)) == pytest.approx(0, abs=1e-9)
    with refused("needs at least 4 images, got 3"):
        split_reference(features.rows(slice(3)))
