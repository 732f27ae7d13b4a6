"""Npz files that hold no images, or other arrays under their names, and labels of many kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.npz_source import open_npz

IMAGES = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": IMAGES}, "holds images, no images arr_0"),
        ({}, "holds nothing, no images arr_0"),
        ({"arr_0": IMAGES.astype(np.float32)}, "save floats in [0, 1] as (255 * arr_0).round()"),
        (
            {"arr_0": IMAGES.astype(np.int64)},
            "is int64 (2, 4, 4, 3), images are uint8 (N, S, S, 3); save",
        ),
        ({"arr_0": np.zeros((2, 3, 4, 4), np.uint8)}, "channels first; save arr_0.transpose(0, 2, 3, 1)"),
        ({"arr_0": np.zeros((2, 3, 3, 3), np.float16)}, "is float16"),
        ({"arr_0": np.zeros((2, 4, 4), np.uint8)}, "it seems to be grey; repeat it over three channels"),
        ({"arr_0": np.zeros((2, 4, 4, 1), np.uint8)}, "it seems to be grey"),
        ({"arr_0": np.zeros((2, 4, 4, 4), np.uint8)}, "it seems to have an alpha channel"),
        ({"arr_0": np.zeros((2, 48), np.uint8)}, "is uint8 (2, 48), images are uint8 (N, S, S, 3)"),
        ({"arr_0": np.array(7, np.uint8)}, "is uint8 (), images are"),
        ({"arr_0": np.zeros((2, 4, 6, 3), np.uint8)}, "has 4x6 pixels, images must be square"),
        ({"arr_0": np.zeros((0, 4, 4, 3), np.uint8)}, "it holds no images"),
        ({"arr_0": np.zeros((2, 0, 0, 3), np.uint8)}, "it holds no images"),
        ({"arr_0": np.array([IMAGES[0], None], object)}, "Python objects, which are never unpickled"),
    ],
)
def test_an_npz_of_another_kind_is_refused(
    tmp_path: Path, refused: Any, arrays: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with refused(str(tmp_path / "a.npz"), words, kind=CheckpointError):
        open_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "labels", [np.array([3, 1]), np.array([[3], [1]], np.uint8), np.array([3, 1], np.uint64)]
)
def test_labels_of_any_whole_type_are_taken(tmp_path: Path, labels: Any) -> None:
    np.savez(tmp_path / "a.npz", arr_0=IMAGES, arr_1=labels)
    source = open_npz(tmp_path / "a.npz")
    assert source.labels is not None
    assert (source.labels.tolist(), source.labels.dtype, source.label_fault) == ([3, 1], np.int64, None)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.eye(2, 10, dtype=np.int64), "which seems one-hot; save arr_1.argmax(axis=1), labels (2,)"),
        (np.eye(2, 10), "is float64 (2, 10), labels are whole numbers (2,)"),
        (np.array(["cat", "dog"]), "is <U3 (2,), labels are whole numbers (2,), not names"),
        (np.array([b"cat", b"dog"]), "not names"),
        (np.array([1, None], object), "is object (2,), labels are whole numbers"),
        (np.zeros(2), "is float64 (2,), labels are whole numbers"),
        (np.zeros(3, np.int64), "is int64 (3,), labels are whole numbers (2,)"),
        (np.array(1), "is int64 (), labels are whole numbers (2,)"),
        (np.array([0, -5]), "holds -5, labels are numbers from 0 to 2147483647"),
        (np.array([0, 2**64 - 1], np.uint64), "holds 18446744073709551615, labels are numbers from 0 to"),
    ],
)
def test_labels_that_are_none_are_left_out_and_told(tmp_path: Path, labels: Any, words: str) -> None:
    """Figures that need no labels can be computed all the same."""
    np.savez(tmp_path / "a.npz", arr_0=IMAGES, arr_1=labels)
    source = open_npz(tmp_path / "a.npz")
    assert (source.count, source.labels) == (2, None)
    assert source.label_fault is not None
    assert source.label_fault.startswith(f"arr_1 of {tmp_path / 'a.npz'} ")
    assert words in source.label_fault
