"""The work of ``tts eval``, on sets of images that no model made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError
from tts.evaluation import eval_run
from tts.evaluation.eval_result import Evaluation, run_names
from tts.evaluation.eval_run import run_eval
from tts.evaluation.figures import Figures, MetricOptions
from tts.evaluation.prepared import EvalConfig, Prepared
from tts.evaluation.resizing import Resize
from tts.evaluation.sources import open_source
from tts.io import save_png, to_uint8

FEATURES = 1e-3
"""Relative: other batches give float32 features other last digits (3e-5: sums of 576 products, 5 in a row),
and a distance is the difference of traces some ten times as large."""

PER_CLASS = 12
OPTIONS = MetricOptions(manifold=False)


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first training digits of each class: uint8 images (N, 16, 16, 3) and labels (N,)."""
    images, labels = load_digits_split("train")
    keep = torch.cat([(labels == label).nonzero()[:PER_CLASS, 0] for label in range(10)])
    return to_uint8(images[keep], "round"), labels[keep].numpy()


@pytest.fixture
def make(tmp_path: Path, write_run: Any) -> Callable[..., Path]:
    """Writes a run below the test's folder."""
    return lambda name, pixels, labels, **facts: write_run(tmp_path / name, pixels, labels, **facts)


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def evaluated(*paths: Path, warn: Any = lambda text: None, **changes: Any) -> Evaluation:
    found = run_eval(EvalConfig(paths, **{"options": OPTIONS, **changes}), warn=warn)
    assert found is not None
    return found


def figures(*paths: Path, **changes: Any) -> list[Figures]:
    return [run.figures for run in evaluated(*paths, **changes).runs]


def test_real_digits_are_better_than_noise(make: Any, digits: Any) -> None:
    pixels, labels = digits
    found = evaluated(make("real", pixels, labels), make("noise", noise(pixels.shape), labels))
    real, random = found.runs
    assert (real.run, random.run) == ("real", "noise")
    assert (real.figures.images, random.figures.images) == (120, 120)
    assert (real.figures.accuracy or 0) > 0.97
    assert (random.figures.accuracy or 0) < 0.4
    assert real.figures.fid < 0.2 * random.figures.fid
    assert (real.images_per_second, real.overhead) == (None, None)
    assert (found.title, found.features["name"]) == ("FD", "digits")
    assert (found.reference["text"], found.reference["images"]) == ("heldout", 364)


def test_wrong_labels_cost_accuracy_only(make: Any, digits: Any) -> None:
    pixels, labels = digits
    right, wrong = figures(make("a", pixels, labels), make("b", pixels, (labels + 1) % 10), reference="all")
    assert (wrong.accuracy or 0) < 0.03
    assert right.fid == pytest.approx(wrong.fid, rel=1e-6)  # of the same images


def test_a_missing_class_and_a_lost_mode_show(make: Any, digits: Any) -> None:
    pixels, labels = digits
    kept = labels != 3
    first = np.concatenate([np.flatnonzero(labels == label)[:1] for label in labels])
    whole, without, repeated = figures(
        make("whole", pixels, labels),
        make("without", pixels[kept], labels[kept]),
        make("repeated", pixels[first], labels),
        reference="train",
    )
    assert without.fid > whole.fid
    assert repeated.fid > whole.fid
    assert repeated.variance == pytest.approx(0, abs=1e-6)
    assert (whole.variance or 0) > 0.01


def test_all_figures_are_there_and_the_parts_make_the_distance(make: Any, digits: Any) -> None:
    (found,) = figures(make("a", *digits), options=MetricOptions())
    for name in ("sfid", "inception_score", "inception_score_single", "precision", "recall", "variance"):
        assert getattr(found, name) is not None, name
    total = found.mean_diff2 + found.trace_reference + found.trace_samples - found.two_trace_sqrt
    assert found.fid == pytest.approx(total, rel=1e-9)


def test_the_form_and_the_batch_do_not_matter(make: Any, digits: Any, tmp_path: Path) -> None:
    pixels, labels = digits
    np.savez(tmp_path / "c.npz", arr_0=pixels, arr_1=labels)
    paths = (make("a", pixels, labels), make("b", pixels, labels, png=True), tmp_path / "c.npz")
    alike = [*figures(*paths), *figures(*paths, batch_size=7), *figures(paths[0], batch_size=1000)]
    for found in alike[1:]:
        for name in ("images", "accuracy", "fid", "sfid", "variance", "inception_score_single"):
            assert getattr(found, name) == pytest.approx(getattr(alike[0], name), rel=FEATURES), name


def test_overhead_is_relative_to_the_first_run(make: Any, digits: Any) -> None:
    speeds = {"base": 100.0, "half": 50.0, "none": None, "fast": 200.0}
    runs = evaluated(*(make(name, *digits, speed=speed) for name, speed in speeds.items())).runs
    assert [row.images_per_second for row in runs] == list(speeds.values())
    assert [row.overhead for row in runs] == [0.0, 1.0, None, -0.5]


def test_no_overhead_without_a_first_speed(make: Any, digits: Any) -> None:
    runs = evaluated(make("a", *digits), make("b", *digits, speed=9.0)).runs
    assert [row.overhead for row in runs] == [None, None]


def test_rules_for_pixels_are_compared(make: Any, digits: Any) -> None:
    said: list[str] = []
    found = evaluated(make("a", *digits), make("b", *digits, uint8="round"), warn=said.append)
    assert [run.uint8_rule for run in found.runs] == ["truncate", "round"]
    assert list(found.warnings) == [text for text in said if "rule" in text]
    assert len(found.warnings) == 2


def test_remarks_of_a_set_carry_its_name(make: Any, digits: Any) -> None:
    said: list[str] = []
    pixels, labels = digits
    found = evaluated(make("few", pixels[:20], labels[:20]), warn=said.append)
    assert found.runs[0].warnings
    assert said == [f"few: {text}" for text in found.runs[0].warnings]
    record = found.to_json()
    assert record["runs"][0]["warnings"] == list(found.runs[0].warnings)


def test_stages_are_told(make: Any, digits: Any) -> None:
    told: dict[tuple[str, str], list[tuple[int, int]]] = {}

    @contextmanager
    def bar(stage: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        told[stage, unit] = []
        yield lambda done, total: told[stage, unit].append((done, total))

    run_eval(EvalConfig((make("a", *digits),), options=OPTIONS, batch_size=100), bar=bar)
    assert list(told) == [("reference", "images"), ("a", "images")]
    assert told["a", "images"][-1] == (120, 120)
    assert told["reference", "images"][-1] == (364, 364)


def test_everything_is_checked_before_the_work(
    make: Any, digits: Any, tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*args: Any) -> None:
        raise AssertionError("nothing may be extracted")

    monkeypatch.setattr(eval_run, "share_source", work)
    good = make("good", *digits)
    with refused("batch-size 0 must be at least 1"):
        evaluated(good, batch_size=0)
    with refused(f"{tmp_path / 'missing'} does not exist"):
        evaluated(good, tmp_path / "missing")
    np.savez(tmp_path / "large.npz", arr_0=noise((3, 32, 32, 3)))
    words = "large.npz has images of 32x32, features 'digits' are for 16x16; choose other"
    with refused(words, "--features or pass --resize 16"):
        evaluated(good, tmp_path / "large.npz", features="digits")
    with refused("features auto is digits, as reference heldout are real digits", "large.npz has 32x32"):
        evaluated(good, tmp_path / "large.npz")
    with refused("unknown reference 'test'"):
        evaluated(good, reference="test")
    np.savez(tmp_path / "foreign.npz", arr_0=digits[0], mu=np.zeros(2048), sigma=np.eye(2048))
    with refused("foreign.npz has statistics of 2048 features, 'digits' gives 64"):
        evaluated(good, reference=str(tmp_path / "foreign.npz"), features="digits")
    with refused("unknown feature", "nothing"):
        evaluated(good, features="nothing")


def test_one_image_is_too_few(make: Any, digits: Any, refused: Any) -> None:
    with refused("at least 2 images, got 1"):
        evaluated(make("one", digits[0][:1], digits[1][:1]))


def test_broken_files_are_named(make: Any, digits: Any, refused: Any) -> None:
    run = make("run", *digits, png=True)
    image = next((run / "images").glob("0004/*.png"))
    image.write_bytes(image.read_bytes()[:60])
    with refused(str(image), kind=CheckpointError):
        evaluated(run)


def test_sets_are_called_by_what_tells_them_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path("a/run"), Path("b/run"), Path("c/other"), Path(".")]
    assert run_names(paths) == ["a/run", "b/run", "other", tmp_path.name]


def test_labels_of_other_classes_cost_the_accuracy_only(digits: Any, tmp_path: Path) -> None:
    pixels, labels = digits
    np.savez(tmp_path / "a.npz", arr_0=pixels, arr_1=labels + 1)
    said: list[str] = []
    (found,) = evaluated(tmp_path / "a.npz", warn=said.append).runs
    assert (found.figures.accuracy, found.figures.variance is None) == (None, False)
    assert [text for text in said if "labels" in text] == [
        "a.npz: labels go from 1 to 10, the features' classes are 0 to 9; the accuracy is left out"
    ]


@pytest.mark.parametrize("labels", [np.eye(120, 10), np.full(120, -5), np.full(120, 2**64 - 1, np.uint64)])
def test_labels_that_are_none_cost_only_what_needs_them(digits: Any, tmp_path: Path, labels: Any) -> None:
    np.savez(tmp_path / "a.npz", arr_0=digits[0], arr_1=labels)
    np.savez(tmp_path / "b.npz", arr_0=digits[0])
    said: list[str] = []
    found, bare = evaluated(tmp_path / "a.npz", tmp_path / "b.npz", warn=said.append).runs
    assert (found.figures.accuracy, found.figures.variance) == (None, None)
    assert found.figures == bare.figures
    (line,) = (text for text in said if "labels" in text)
    assert line.startswith(f"a.npz: arr_1 of {tmp_path / 'a.npz'} ")
    assert line.endswith("; figures that need labels are left out")


def class_folders(root: Path, pixels: Any, labels: Any, name: Callable[[int], str]) -> Path:
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = root / name(int(label)) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, image)
    return root


def test_class_folders_say_how_they_were_numbered(digits: Any, tmp_path: Path) -> None:
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    names: dict[str, Callable[[int], str]] = {
        "numbers": str,
        "classes": lambda label: f"class-{label}",
        "words": lambda label: words[label],
        "mixed": lambda label: words[label] if label == 3 else str(label),
    }
    paths = [class_folders(tmp_path / key, *digits, name) for key, name in names.items()]
    said: list[str] = []
    found = evaluated(*paths, warn=said.append)
    numbers, classes, spelled, mixed = found.runs
    assert numbers.notes == ("labels are the numbers that the class folders are named by, 0 to 9",)
    assert numbers.figures == classes.figures
    assert found.to_json()["runs"][1]["notes"] == [
        "labels 0 to 9 are the places of the class folders' names sorted as text, 'class-0' to 'class-9'"
    ]
    assert (spelled.figures.accuracy or 0) < 0.5
    assert (mixed.figures.accuracy, mixed.notes) == (None, ())
    first, second = (text for text in said if "class folder" in text)
    assert first.startswith(
        "words: class folder 'eight' is taken for class 0, which the model's training data"
    )
    assert second.startswith(
        "mixed: some class folders are named by a number, like 0, others are not, like 'th"
    )


def test_what_is_set_aside_is_counted_in_samples_and_reference(digits: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("samples", "photos"):
        (tmp_path / name).mkdir()
        for number, image in enumerate(digits[0]):
            options = {"exif": exif} if number < 5 else {}
            Image.fromarray(image).save(tmp_path / name / f"{number}.png", **options)
        (tmp_path / name / "notes.txt").touch()
    said: list[str] = []
    changes = {"reference": str(tmp_path / "photos"), "features": "digits", "warn": said.append}
    found = evaluated(tmp_path / "samples", **changes)
    kept = [text for text in said if "too few" not in text]
    assert kept[0].startswith("reference: 1 files or folders are left out (notes.txt)")
    assert kept[1].startswith("reference: 5 of 120 images are stored turned, with an EXIF orientation")
    assert kept[2].startswith("samples: 1 files or folders are left out")
    assert kept[3].startswith("samples: 5 of 120 images are stored turned")
    assert kept[3].endswith("(0.png, 1.png, 2.png, …)")
    assert found.warnings == tuple(kept[:2])
    assert kept[3].removeprefix("samples: ") in found.runs[0].warnings
    turned = evaluated(tmp_path / "samples", apply_orientation=True, **changes).runs[0]
    assert turned.figures.inception_score != found.runs[0].figures.inception_score
    assert any("were turned upright" in text for text in turned.warnings)


def test_sets_of_different_sizes_are_told_or_resized(tmp_path: Path, digits: Any, sums: Any) -> None:
    np.savez(tmp_path / "small.npz", arr_0=digits[0])
    np.savez(tmp_path / "large.npz", arr_0=digits[0].repeat(2, axis=1).repeat(2, axis=2))
    both = (tmp_path / "small.npz", tmp_path / "large.npz")
    found = evaluated(*both, reference="all", resize=Resize(16, "box"))
    small, large = found.runs
    assert small.figures == large.figures
    record = found.to_json()["resize"]
    assert (record["size"], record["rule"]) == (16, "box")
    assert "box filter" in record["does"]
    prepared = Prepared(["small.npz", "large.npz"], [open_source(path) for path in both], None, sums, ())
    (line,) = prepared.doubts()
    assert line.startswith("images are of different sizes (16x16 in small.npz, 32x32 in large.npz)")


def test_sets_of_different_numbers_are_told(make: Any, digits: Any) -> None:
    images, labels = digits
    few = make("few", images[:100], labels[:100])
    (said, *_) = evaluated(make("all", images, labels), few).warnings
    assert said.startswith(f"sets have 100 to {len(images)} images, and distances fall with their number")
    assert not [text for text in evaluated(few, few).warnings if "their number" in text]


def test_auto_says_what_it_took(make: Any, digits: Any) -> None:
    assert evaluated(make("a", *digits)).notes == ("features are digits: reference heldout are real digits",)
    assert evaluated(make("b", *digits), features="digits").notes == ()
