"""``tts fetch``, without any network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from tts.evaluation import inception_weights
from tts.evaluation.inception_weights import FILE
from tts.io import save_png, sha256_file

Text = Callable[..., str]
COMMIT = "0" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""

    def fail(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr("tts.backbones.fetch.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("TTS_CACHE", str(tmp_path / "own"))
    return tmp_path


@pytest.fixture
def cached(cache: Path) -> Path:
    """The files of var-d16 as the hub's cache lays them out."""
    folder = cache / "models--FoundationVision--var"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    for name in ("var_d16.pth", "vae_ch160v4096z32.pth"):
        (snapshot / name).touch()
    return snapshot


@pytest.fixture
def folder_of_images(tmp_path: Path) -> Path:
    """Three grey images of 8x8."""
    folder = tmp_path / "images"
    folder.mkdir()
    for level in range(3):
        save_png(folder / f"{level}.png", np.full((8, 8, 3), level, np.uint8))
    return folder


@pytest.mark.parametrize("name", ["var-d16", "var", "var-d36"])
def test_without_a_network_the_next_step_is_named(refuse: Text, name: str) -> None:
    line = refuse("fetch", name)
    assert line.startswith("error: cannot reach https://huggingface.co and ")
    assert "--weights FILE" in line


@pytest.mark.parametrize("name", ["flexvar-d16", "flexvar-d20", "flexvar-d24", "flexvar"])
def test_flexvar_comes_from_its_own_repository(refuse: Text, name: str) -> None:
    line = refuse("fetch", name)
    assert "no whole FlexVARd" in line
    assert "of jiaosiyu1999/FlexVAR; check" in line


def test_offline_mode_says_the_same(refuse: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set and " in refuse("fetch", "var-d16")


def test_files_in_the_cache_need_no_network(
    succeed: Text, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("var_d16.pth", "vae_ch160v4096z32.pth"):
        (cached / name).write_bytes(b"weights")
    monkeypatch.setattr("tts.backbones.storage.check_published", lambda spec, file, role: None)
    lines = succeed("fetch", "var-d16").splitlines()
    assert lines == [
        f"transformer: {cached}/var_d16.pth (revision {COMMIT})",
        f"tokenizer: {cached}/vae_ch160v4096z32.pth (revision {COMMIT})",
    ]


def test_sampling_uses_the_cache_and_names_what_is_wrong_there(refuse: Text, cached: Path) -> None:
    line = refuse("sample", "--backbone", "var-d16", "--candidates", "1", "--out", cached / "out")
    assert "var_d16.pth' is empty; fetch or copy it again" in line


def test_sampling_without_weights_says_how_to_get_them(refuse: Text, tmp_path: Path) -> None:
    line = refuse("sample", "--backbone", "var", "--out", tmp_path / "out")
    assert "run 'tts fetch var-d30'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
def test_models_of_the_package_have_nothing_to_fetch(refuse: Text, name: str) -> None:
    assert f"{name} has nothing to fetch" in refuse("fetch", name)


def test_an_unknown_name_is_answered_with_close_ones(refuse: Text) -> None:
    assert "unknown backbone 'var-d17'; did you mean 'var-d16'" in refuse("fetch", "var-d17")


def test_a_name_is_needed(refuse: Text) -> None:
    assert "missing argument 'name'" in refuse("fetch")


def test_inception_needs_a_network_too(refuse: Text, cache: Path) -> None:
    line = refuse("fetch", "inception")
    assert line.startswith(f"error: cannot reach the publisher of {FILE} (name or service not known); get it")
    assert line.endswith(f"{FILE} and pass --features inception:FILE")
    assert list((cache / "own").iterdir()) == []


def test_inception_is_fetched_into_the_cache(
    succeed: Text, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "published.pth").write_bytes(b"stands for the publisher's file")
    monkeypatch.setattr(inception_weights, "URL", (cache / "published.pth").as_uri())
    monkeypatch.setattr(inception_weights, "SHA256", sha256_file(cache / "published.pth"))
    target = cache / "own" / FILE
    assert succeed("fetch", "inception") == f"inception: {target}\n"
    assert target.read_bytes() == (cache / "published.pth").read_bytes()
    (cache / "published.pth").unlink()
    assert succeed("fetch", "inception") == f"inception: {target}\n"


def test_evaluating_without_inception_says_how_to_get_it(refuse: Text, folder_of_images: Path) -> None:
    line = refuse("eval", folder_of_images, "--reference", folder_of_images, "--features", "inception")
    assert line.endswith("run 'tts fetch inception' or pass --features inception:FILE")


def test_evaluating_with_other_weights_says_what_is_wrong(
    refuse: Text, folder_of_images: Path, malicious: Any
) -> None:
    common = ("eval", folder_of_images, "--reference", folder_of_images, "--features")
    assert "no weights file" in refuse(*common, "inception:elsewhere.pth")
    assert "refused unread" in refuse(*common, f"inception:{malicious.file}")
    assert not malicious.marker.exists()
