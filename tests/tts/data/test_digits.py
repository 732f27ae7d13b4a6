from __future__ import annotations

import sys

import pytest
import torch
from torch.nn import functional as F

from tts.data import digits
from tts.errors import UsageError


def test_split_sizes_and_shapes() -> None:
    train, train_labels = digits.load_digits_split("train")
    heldout, heldout_labels = digits.load_digits_split("heldout")
    everything, all_labels = digits.load_digits_split("all")
    assert train.shape == (1433, 3, 16, 16)
    assert heldout.shape == (364, 3, 16, 16)
    assert everything.shape == (1797, 3, 16, 16)
    assert train.dtype == torch.float32
    assert float(everything.min()) >= 0.0
    assert 0.9 < float(everything.max()) <= 1.0
    assert torch.equal(train[:, 0], train[:, 2])
    counts = train_labels.bincount() + heldout_labels.bincount()
    assert torch.equal(counts, all_labels.bincount())
    assert torch.equal(heldout_labels.bincount(), (counts + 4) // 5)


def test_split_takes_every_fifth_of_a_class() -> None:
    scans, labels = digits.load_digits_split("all", size=8)
    heldout, heldout_labels = digits.load_digits_split("heldout", size=8)
    train, train_labels = digits.load_digits_split("train", size=8)
    for digit in range(10):
        members = scans[labels == digit]
        assert torch.equal(heldout[heldout_labels == digit], members[::5])
        assert torch.equal(train[train_labels == digit][:4], members[1:5])


def test_size_is_a_bicubic_resize() -> None:
    scans, _ = digits.load_digits_split("heldout", size=8)
    large, _ = digits.load_digits_split("heldout", size=32)
    resized = F.interpolate(scans, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    assert torch.allclose(large, resized, atol=1e-6)
    assert torch.equal(scans * 16, (scans * 16).round())


def test_no_distortion_gives_the_plain_image() -> None:
    scans, _ = digits.load_digits_split("heldout", size=8)
    plain, _ = digits.load_digits_split("heldout", size=16)
    undistorted = torch.full((len(scans), digits._DRAWS), 0.5)
    assert torch.allclose(digits._warp(scans, undistorted, 16), plain, atol=1e-5)
    assert torch.allclose(digits._warp(plain, undistorted, 16), plain, atol=1e-5)


def test_augment_depends_on_the_generator_only() -> None:
    images, _ = digits.load_digits_split("heldout")
    before = images.clone()
    torch.manual_seed(1)
    first = digits.augment(images, torch.Generator().manual_seed(7))
    torch.manual_seed(2)
    again = digits.augment(images, torch.Generator().manual_seed(7))
    other = digits.augment(images, torch.Generator().manual_seed(8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_augmentation_is_mild() -> None:
    scans, _ = digits.load_digits_split("all", size=8)
    plain, _ = digits.load_digits_split("all")
    moved = digits.augment(scans, torch.Generator().manual_seed(0), size=16)
    assert moved.shape == plain.shape
    distance = (moved - plain).square().mean((1, 2, 3)).sqrt()
    assert 0.02 < float(distance.mean()) < 0.2
    assert abs(float(moved.mean() / plain.mean()) - 1) < 0.05


def test_outside_is_black() -> None:
    moved = digits.augment(torch.ones(50, 3, 16, 16), torch.Generator().manual_seed(0))
    assert float(moved[:, :, 8, 8].min()) > 0.9999
    assert float(moved.amin((1, 2, 3)).max()) < 1.0


def test_augmented_does_not_depend_on_the_batch() -> None:
    labels = torch.arange(60) % 10
    seeds = torch.arange(60) * 97 + 2**40
    whole = digits.augmented(labels, seeds)
    for size in (1, 7, 32):
        parts = [digits.augmented(labels[i : i + size], seeds[i : i + size]) for i in range(0, 60, size)]
        assert torch.equal(torch.cat(parts), whole)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(digits.augmented(labels[order], seeds[order]), whole[order])


def test_augmented_uses_training_scans_of_the_class() -> None:
    scans, train_labels = digits.load_digits_split("train")
    labels = torch.arange(500) % 10
    made = digits.augmented(labels.to(torch.int32), torch.arange(500))
    assert made.shape == (500, 3, 16, 16)
    nearest = torch.cdist(made[:, 0].flatten(1), scans[:, 0].flatten(1)).argmin(1)
    assert float((train_labels[nearest] == labels).float().mean()) > 0.97
    assert len(made.flatten(1).unique(dim=0)) == 500
    same_seed = digits.augmented(torch.tensor([3, 4]), torch.tensor([5, 5]))
    assert not torch.equal(same_seed[0], same_seed[1])


def test_augmented_reaches_every_scan() -> None:
    pool = digits._training_pool()
    words = digits._words(torch.full((5000,), 4), torch.arange(5000), 1)[:, 0]
    pick = (words * pool.counts[4]) >> 32
    assert pick.unique().tolist() == list(range(int(pool.counts[4])))


def test_augmented_of_nothing_and_of_strangers() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert digits.augmented(nothing, nothing).shape == (0, 3, 16, 16)
    with pytest.raises(UsageError, match="label 10 is not a digit"):
        digits.augmented(torch.tensor([1, 10]), torch.tensor([0, 0]))


def test_unknown_part() -> None:
    with pytest.raises(UsageError, match="use train, heldout or all"):
        digits.load_digits_split("test")  # type: ignore[arg-type]


def test_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError, match=r"scalewise-tts\[demo\]"):
        digits.load_digits_split("all")
