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

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError
from tts.evaluation import eval_run
from tts.evaluation.eval_result import Evaluation, run_names
from tts.evaluation.eval_run import EvalConfig, run_eval
from tts.evaluation.figures import Figures, MetricOptions
from tts.io import to_uint8

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
    with refused("large.npz has images of 32x32, features 'digits' are for 16x16; choose other --features"):
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
