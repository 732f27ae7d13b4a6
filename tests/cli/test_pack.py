"""``tts pack``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.images import read_image

Run = Callable[..., Any]
Text = Callable[..., str]

SAMPLE = ("sample", "--labels", "0-2", "--candidates", "2", "--shard-items", "4")


@pytest.fixture(scope="session")
def samples(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of five images of each of three classes, with PNG files and with pixels."""
    root = tmp_path_factory.mktemp("samples")
    for name, formats in {"png": "png", "npz": "npz"}.items():
        succeed(*SAMPLE, "--seeds", "0-4", "--format", formats, "--out", root / name)
    return root


@pytest.mark.parametrize("name", ["png", "npz"])
def test_a_run_becomes_the_npz_of_the_protocol(
    succeed: Text, samples: Path, tmp_path: Path, name: str
) -> None:
    to = tmp_path / "deeper" / "all.npz"
    line = succeed("pack", samples / name, "--to", to)
    assert line == f"15 images of 3 classes in {to} ({to.stat().st_size / 1024:.1f} KiB)\n"
    with np.load(to, allow_pickle=False) as arrays:
        images, labels, seeds = arrays["arr_0"], arrays["arr_1"], arrays["seeds"]
        record = json.loads(str(arrays["record"]))
    assert (images.shape, images.dtype, labels.dtype) == ((15, 16, 16, 3), np.uint8, np.int64)
    assert sorted(zip(labels, seeds, strict=True)) == [
        (label, seed) for label in range(3) for seed in range(5)
    ]
    assert labels.tolist() != sorted(labels.tolist())
    for image, label, seed in zip(images, labels, seeds, strict=True):
        original = read_image(samples / "png" / "images" / f"{label:04d}" / f"{seed:06d}.png")
        np.testing.assert_array_equal(image, original)
    made = json.loads((samples / name / "run.json").read_text())
    assert (record["plan"], record["uint8"]) == (made["plan"], "truncate")
    assert (record["order"]["seed"], record["images"], record["images_per_class"]) == (0, 15, [5, 5])
    assert record["settings"]["candidates"] == "2"
    assert record["choices"] == [{"labels": "0-2", "seeds": "0-4", "per_class": None}]


def test_one_seed_gives_one_file_and_another_one_another_order(
    succeed: Text, samples: Path, tmp_path: Path
) -> None:
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        succeed("pack", samples / "png", "--seed", seed, "--to", tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c
    with np.load(tmp_path / "a") as arrays:  # on every machine: RandomState(0).permutation(15)
        assert arrays["arr_1"].tolist() == [0, 1, 1, 1, 2, 0, 0, 2, 2, 1, 2, 0, 0, 1, 2]


def test_an_existing_file_is_replaced_only_when_asked(
    succeed: Text, refuse: Text, samples: Path, tmp_path: Path
) -> None:
    to = tmp_path / "all.npz"
    to.write_text("mine")
    assert f"{to} exists; choose another --to or pass --overwrite" in refuse(
        "pack", samples / "png", "--to", to
    )
    assert to.read_text() == "mine"
    succeed("pack", samples / "png", "--to", to, "--overwrite")
    assert np.load(to)["arr_0"].shape == (15, 16, 16, 3)


def test_classes_of_different_sizes_are_refused(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    out, to = tmp_path / "run", tmp_path / "all.npz"
    succeed(*SAMPLE, "--seeds", "0-1", "--out", out)
    succeed("sample", "--labels", 1, "--seeds", "2-4", "--candidates", 2, "--extend", "--out", out)
    line = refuse("pack", out, "--to", to)
    assert "class 0 has 2 images and class 1 has 5" in line
    assert not to.exists()
    assert succeed("pack", out, "--unbalanced", "--to", to).startswith("9 images of 3 classes in ")
    with np.load(to) as arrays:
        assert np.bincount(arrays["arr_1"]).tolist() == [2, 5, 2]
        assert json.loads(str(arrays["record"]))["images_per_class"] == [2, 5]


def test_what_cannot_be_packed(succeed: Text, refuse: Text, samples: Path, tmp_path: Path) -> None:
    to = tmp_path / "all.npz"
    unfinished, data = tmp_path / "unfinished", tmp_path / "data"
    succeed(*SAMPLE, "--seeds", "0-4", "--shard", "1/2", "--out", unfinished)
    succeed("collect", "--per-class", 1, "--out", data)
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "nothing": "is no folder",
        tmp_path / "empty": "holds no plan.json, no run of 'tts sample'",
        data: "holds generated data, no run of 'tts sample'",
        unfinished: f"{unfinished} is unfinished (no run.json of all its images); see 'tts data info",
    }
    for folder, expected in cases.items():
        assert expected in refuse("pack", folder, "--to", to)
    assert "is a folder; give a file such as" in refuse("pack", samples / "png", "--to", tmp_path)
    own = samples / "npz" / "samples.npz"
    assert "which is read; name another file" in refuse("pack", samples / "npz", "--to", own, "--overwrite")
    assert "invalid value for '--seed'" in refuse("pack", samples / "png", "--to", to, "--seed", -1)
    (tmp_path / "file").write_text("mine")
    assert "cannot write to folder" in refuse("pack", samples / "png", "--to", tmp_path / "file" / "all.npz")
    assert not to.exists()


def test_a_missing_or_unreadable_image_is_named(
    succeed: Text, refuse: Text, run: Run, tmp_path: Path
) -> None:
    out, to = tmp_path / "run", tmp_path / "all.npz"
    succeed(*SAMPLE, "--seeds", "0-4", "--out", out)
    image = out / "images" / "0001" / "000003.png"
    image.write_bytes(image.read_bytes()[:60])
    line = refuse("pack", out, "--to", to)
    assert f"{image} does not match its checksum" in line
    assert line.endswith(f"; mend it with 'tts data verify {out} --repair'")
    image.unlink()
    assert f"{image} is missing" in refuse("pack", out, "--to", to)
    assert list(tmp_path.iterdir()) == [out]  # not even a temporary file
    assert run("data", "verify", out, "--repair").code == 0
    succeed("pack", out, "--to", to)


def test_a_broken_shard_is_named(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    out, to = tmp_path / "run", tmp_path / "all.npz"
    succeed(*SAMPLE, "--seeds", "0-4", "--format", "npz", "--out", out)
    path = out / "shards" / "shard-00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    line = refuse("pack", out, "--to", to)
    assert f"{path} does not match its checksum" in line
    assert f"mend it with 'tts data verify {out} --repair'" in line
