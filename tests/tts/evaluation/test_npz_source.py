"""Npz files that hold no images, or other arrays under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.npz_source import open_npz


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, "holds images, no images arr_0"),
        ({}, "holds nothing, no images arr_0"),
        ({"arr_0": np.zeros((2, 4, 4, 3), np.float32)}, "is float32 (2, 4, 4, 3), images are uint8"),
        ({"arr_0": np.zeros((2, 3, 4, 4), np.uint8)}, "is uint8 (2, 3, 4, 4), images are uint8 (N, S, S, 3)"),
        ({"arr_0": np.zeros((2, 4, 6, 3), np.uint8)}, "has 4x6 pixels, images must be square"),
        ({"arr_0": np.zeros((0, 4, 4, 3), np.uint8)}, "holds no images"),
        (
            {"arr_0": np.zeros((2, 4, 4, 3), np.uint8), "arr_1": np.zeros(3, np.int64)},
            "is int64 (3,), labels are whole numbers (2,)",
        ),
        (
            {"arr_0": np.zeros((2, 4, 4, 3), np.uint8), "arr_1": np.zeros(2)},
            "is float64 (2,), labels are whole numbers",
        ),
    ],
)
def test_an_npz_of_another_kind_is_refused(
    tmp_path: Path, refused: Any, arrays: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with refused(str(tmp_path / "a.npz"), words, kind=CheckpointError):
        open_npz(tmp_path / "a.npz")
