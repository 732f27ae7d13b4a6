"""Real and generated maps for the analysis of scorers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts.backbones.var_adapter import VarBackbone
from tts.building import Model
from tts.data.digits import load_digits_split
from tts.evaluation.sweep import scorer_maps
from tts.evaluation.sweep.scorer_maps import choose, generated_maps, real_maps
from tts.io import make_folder, save_npz, save_png, to_uint8
from tts.manager import get_plugins
from tts.noise_streams import Stream


@pytest.fixture
def model(digits_backbone: VarBackbone) -> Model:
    """The embedded model of digits."""
    return Model(get_plugins().backbones.get("var-digits"), digits_backbone, torch.device("cpu"))


@pytest.mark.parametrize("reference", ["heldout", "all", "train"])
def test_of_the_digits_the_held_out_ones_are_judged(model: Model, reference: str) -> None:
    maps = real_maps(reference, model)
    images, labels = load_digits_split("heldout", 16)
    assert (maps.labels == labels).all()
    assert (maps.tokens[:5] == model.backbone.encode(images[:5])).all()


def test_a_folder_of_labelled_images_is_encoded_with_its_labels(model: Model, tmp_path: Path) -> None:
    images, labels = load_digits_split("heldout", 16)
    pixels = to_uint8(images[:40], "round")
    for number, (image, label) in enumerate(zip(pixels, labels[:40].tolist(), strict=True)):
        make_folder(tmp_path / str(label))
        save_png(tmp_path / str(label) / f"{number:02d}.png", image)
    maps = real_maps(str(tmp_path), model)
    order = labels[:40].argsort(stable=True)
    assert (maps.labels == labels[order]).all()
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)[order].float() / 255
    assert (maps.tokens == model.backbone.encode(whole)).all()


def test_images_without_labels_are_refused(model: Model, tmp_path: Path, refused: Any) -> None:
    save_npz(tmp_path / "images.npz", arr_0=np.zeros((4, 16, 16, 3), np.uint8))
    with refused("has no labels"):
        real_maps(str(tmp_path / "images.npz"), model)


def test_images_of_another_size_are_refused(model: Model, tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "images.npz"
    save_npz(path, arr_0=np.zeros((4, 8, 8, 3), np.uint8), arr_1=np.zeros(4, np.int64))
    with refused("8x8", "var-digits makes 16x16"):
        real_maps(str(path), model)


def test_equally_many_of_each_class_are_chosen() -> None:
    labels = torch.tensor([2, 0, 0, 0, 1, 1, 2, 0])
    rows = choose(labels, 6)
    assert rows.tolist() == [0, 1, 2, 4, 5, 6]
    assert choose(labels, 100).tolist() == list(range(8))
    assert labels[choose(labels, 2)].unique().tolist() == [0, 1]


@pytest.mark.parametrize("gap", [1, 3, 1000])
def test_chosen_images_are_read_whatever_lies_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gap: int
) -> None:
    from tts.evaluation.sources import open_source

    monkeypatch.setattr(scorer_maps, "GAP", gap)
    pixels = np.arange(30, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    save_npz(tmp_path / "x.npz", arr_0=pixels)
    rows = torch.tensor([0, 1, 4, 11, 12, 29])
    read = torch.cat(list(scorer_maps._read(open_source(tmp_path / "x.npz"), rows, 4)))
    assert read[:, 0, 0, 0].tolist() == rows.tolist()


def test_generated_maps_follow_the_settings_for_collecting(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer_maps, "LEAST_GENERATED", 10)
    labels = torch.tensor([3, 1, 1, 0])
    maps, settings = generated_maps(labels, model)
    assert maps.labels.tolist() == [0, 1, 1, 3] * 3
    assert maps.tokens.shape == (12, model.info.tokens)
    assert settings.stream is Stream.COLLECT
    assert settings.cfg == model.spec.collect.cfg == 0.0
    assert set(settings.candidates) == {1}
    assert len(maps.tokens.unique(dim=0)) > 1  # equal classes have different noise
