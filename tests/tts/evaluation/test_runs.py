"""Figures of runs made of known images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError
from tts.evaluation import runs
from tts.evaluation.digits import load_digits_classifier
from tts.evaluation.runs import Features, evaluate_runs, extract, read_images, within_class_variance
from tts.io import save_npz, save_png, to_uint8, write_json

PER_CLASS = 12


@pytest.fixture(scope="module")
def digits():
    """The first training digits of each class: uint8 images (N, 16, 16, 3) and labels (N,)."""
    images, labels = load_digits_split("train")
    keep = torch.cat([(labels == label).nonzero()[:PER_CLASS, 0] for label in range(10)])
    return to_uint8(images[keep], "round"), labels[keep].numpy()


@pytest.fixture
def make(tmp_path):
    """Writes a run's folder from images and labels."""

    def write(name, pixels, labels, formats=("png",), speed=None):
        folder = tmp_path / name
        folder.mkdir()
        if "png" in formats:
            for seed, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                path = folder / "images" / f"{label:04d}" / f"{seed:06d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path, image)
        if "npz" in formats:
            seeds = np.arange(len(labels))
            save_npz(folder / "samples.npz", arr_0=pixels, arr_1=labels, seeds=seeds)
        if speed:
            write_json(folder / "run.json", {"timing": {"images_per_second": speed}})
        return folder

    return write


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_real_digits_are_better_than_noise(make, digits):
    pixels, labels = digits
    folders = [make("real", pixels, labels), make("noise", noise(pixels.shape), labels)]
    real, random = evaluate_runs(folders, "heldout")
    assert (real.run, random.run) == ("real", "noise")
    assert (real.images, random.images) == (120, 120)
    assert real.accuracy > 0.97
    assert random.accuracy < 0.4
    assert real.frechet < 0.2 * random.frechet
    assert (real.images_per_second, real.overhead) == (None, None)


def test_wrong_labels_cost_accuracy_only(make, digits):
    pixels, labels = digits
    right, wrong = evaluate_runs([make("a", pixels, labels), make("b", pixels, (labels + 1) % 10)], "all")
    assert wrong.accuracy < 0.03
    assert right.frechet == pytest.approx(wrong.frechet, rel=1e-6)


def test_a_missing_class_and_a_lost_mode_show(make, digits):
    pixels, labels = digits
    kept = labels != 3
    first = np.concatenate([np.flatnonzero(labels == label)[:1] for label in labels])
    whole, without, repeated = evaluate_runs(
        [
            make("whole", pixels, labels),
            make("without", pixels[kept], labels[kept]),
            make("repeated", pixels[first], labels),
        ],
        "train",
    )
    assert without.frechet > whole.frechet
    assert repeated.frechet > whole.frechet
    assert repeated.variance == pytest.approx(0, abs=1e-6)
    assert whole.variance > 0.01


def test_npz_and_png_give_the_same_figures(make, digits):
    png, npz = (
        evaluate_runs([make(name, *digits, formats=(name,))], "heldout")[0] for name in ("png", "npz")
    )
    assert (png.images, png.accuracy) == (npz.images, npz.accuracy)
    assert png.frechet == pytest.approx(npz.frechet, rel=1e-6)
    assert png.variance == pytest.approx(npz.variance, rel=1e-6)


@pytest.mark.parametrize("formats", [("png",), ("npz",), ("png", "npz")])
@pytest.mark.parametrize("size", [7, 60, 1000])
def test_images_come_back_in_batches(make, digits, formats, size, monkeypatch):
    monkeypatch.setattr(runs, "BATCH", size)
    batches = list(read_images(make("run", *digits, formats=formats)))
    assert max(len(labels) for _, labels in batches) <= size
    images, labels = torch.cat([i for i, _ in batches]), torch.cat([label for _, label in batches])
    assert images.dtype == torch.float32
    assert torch.equal(images, torch.from_numpy(digits[0]).permute(0, 3, 1, 2) / 255)
    assert torch.equal(labels, torch.from_numpy(digits[1]))


def test_the_batch_does_not_matter(digits):
    images, labels = torch.from_numpy(digits[0]).permute(0, 3, 1, 2) / 255, torch.from_numpy(digits[1])
    net = load_digits_classifier()
    whole = extract(net, [(images, labels)])
    parts = extract(net, zip(images.split(50), labels.split(50), strict=True))
    torch.testing.assert_close(parts.features, whole.features)
    assert torch.equal(parts.predicted, whole.predicted)
    assert torch.equal(parts.labels, whole.labels)


def test_overhead_is_relative_to_the_first_run(make, digits):
    folders = [
        make(name, *digits, formats=("npz",), speed=speed)
        for name, speed in (("base", 100.0), ("half", 50.0), ("none", None), ("fast", 200.0))
    ]
    figures = evaluate_runs(folders, "heldout")
    assert [row.images_per_second for row in figures] == [100.0, 50.0, None, 200.0]
    assert [row.overhead for row in figures] == [0.0, 1.0, None, -0.5]


def test_no_overhead_without_a_first_speed(make, digits):
    folders = [make("a", *digits, formats=("npz",)), make("b", *digits, formats=("npz",), speed=9.0)]
    assert [row.overhead for row in evaluate_runs(folders, "heldout")] == [None, None]


def test_variance_within_a_class():
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0], [5.0, 9.0], [8.0, 1.0]])
    labels = torch.tensor([4, 4, 7, 7, 9])
    found = Features(features, labels, labels)
    assert within_class_variance(found) == pytest.approx((1.0 + 4.0 + 0.0) / 3)
    far = Features(features + 1e3 * labels[:, None], labels, labels)  # between classes
    assert within_class_variance(far) == pytest.approx(within_class_variance(found), rel=1e-5)


def test_an_unknown_reference(make, digits, refused):
    with refused("unknown reference 'test'; use heldout, train, all"):
        evaluate_runs([make("a", *digits)], "test")


def test_a_folder_without_images(tmp_path, refused):
    for folder in (tmp_path, tmp_path / "missing"):
        with refused(str(folder), "holds no images of 'tts sample'", kind=CheckpointError):
            evaluate_runs([folder], "heldout")


@pytest.mark.parametrize("formats", [("png",), ("npz",)])
def test_images_of_another_size(make, formats, refused):
    folder = make("large", noise((3, 32, 24, 3)), np.arange(3), formats)
    with refused(f"{folder} has images of 32x24; this is for digits of 16x16", kind=CheckpointError):
        evaluate_runs([folder], "heldout")


def test_one_image_is_too_few(make, digits, refused):
    folder = make("one", digits[0][:1], digits[1][:1])
    with refused("at least 2 images, got 1"):
        evaluate_runs([folder], "heldout")


def test_broken_files_are_named(make, digits, refused):
    npz = make("npz", *digits, formats=("npz",)) / "samples.npz"
    npz.write_bytes(npz.read_bytes()[:500])
    with refused(str(npz), kind=CheckpointError):
        evaluate_runs([npz.parent], "heldout")
    folder = make("png", *digits)
    image = next((folder / "images").glob("*/*.png"))
    image.write_bytes(image.read_bytes()[:60])
    with refused(str(image), kind=CheckpointError):
        evaluate_runs([folder], "heldout")


def test_a_foreign_record_is_named(make, digits, refused):
    folder = make("run", *digits)
    write_json(folder / "run.json", {"timing": {}})
    with refused(str(folder / "run.json"), "is no record of 'tts sample'", kind=CheckpointError):
        evaluate_runs([folder], "heldout")
