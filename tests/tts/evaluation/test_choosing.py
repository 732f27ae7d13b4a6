"""Features ``auto``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.evaluation.choosing import choose_features
from tts.evaluation.references import open_reference
from tts.evaluation.sources import open_source

Npz = Callable[..., Path]


@pytest.fixture
def npz(tmp_path: Path) -> Npz:
    """Writes images of a size, with other arrays."""

    def write(name: str, size: int, **arrays: Any) -> Path:
        np.savez(tmp_path / name, arr_0=np.zeros((3, size, size, 3), np.uint8), **arrays)
        return tmp_path / name

    return write


def chosen(path: Path, reference: object) -> tuple[str, str]:
    return choose_features([path.name], [open_source(path)], open_reference(str(reference)))


def made_by(backbone: str) -> dict[str, Any]:
    return {"record": np.array(f'{{"settings": {{"backbone": "{backbone}"}}}}')}


def statistics(width: int, **arrays: Any) -> dict[str, Any]:
    return {"mu": np.zeros(width), "sigma": np.eye(width), **arrays}


def test_real_digits_are_digits(npz: Npz) -> None:
    assert chosen(npz("a.npz", 16), "all") == ("digits", "reference all are real digits")


def test_a_run_of_a_digits_model_is_digits(npz: Npz) -> None:
    digits = npz("a.npz", 16, **made_by("flexvar-digits"))
    other = npz("b.npz", 16)
    assert chosen(digits, other) == ("digits", "a.npz is of flexvar-digits")
    assert chosen(other, digits) == ("digits", f"reference {digits} is of flexvar-digits")


def test_anything_else_is_inception(npz: Npz) -> None:
    assert chosen(npz("a.npz", 16, **made_by("var-d30")), npz("b.npz", 16))[0] == "inception"
    assert chosen(npz("a.npz", 64), npz("b.npz", 64)) == (
        "inception",
        "nothing says that the images are digits",
    )


def test_stored_statistics_say_whose_they_are(npz: Npz) -> None:
    name, why = chosen(npz("a.npz", 64), npz("b.npz", 64, **statistics(2048)))
    assert name == "inception"
    assert why.endswith("b.npz has statistics of 2048 features")
    assert chosen(npz("a.npz", 16), npz("b.npz", 16, **statistics(64)))[0] == "digits"
    record = np.array('{"features": {"name": "mine"}, "images": 9}')
    assert chosen(npz("a.npz", 64), npz("b.npz", 64, **statistics(2048, record=record)))[0] == "mine"


def test_contradictions_are_refused(npz: Npz, refused: Any) -> None:
    large, digits = npz("a.npz", 64), npz("b.npz", 16, **made_by("var-digits"))
    with refused(
        "features auto is digits, as reference heldout are real digits, which are 16x16, but a.npz has"
    ):
        chosen(large, "heldout")
    with refused("as b.npz is of var-digits, which are 16x16, but reference", "a.npz has 64x64"):
        chosen(digits, large)
    published = npz("c.npz", 16, **statistics(2048))
    with refused(
        "features auto is digits, as b.npz is of var-digits, or inception, as reference", "one kind"
    ):
        chosen(digits, published)
    with refused("has statistics of 5 features, which auto does not know; pass --features"):
        chosen(large, npz("d.npz", 64, **statistics(5)))
