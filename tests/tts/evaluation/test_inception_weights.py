"""Weights of the FID Inception: where they lie, how they come there, and files that are none."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError

import pytest
import torch
from torch import Tensor

from tts.cache import cache_folder
from tts.errors import CheckpointError, RunError, TtsError, UsageError
from tts.evaluation import inception_weights as module
from tts.evaluation.inception_weights import (
    BY_HAND,
    FILE,
    fetch_weights,
    find_weights,
    load_network,
)
from tts.io import save_tensors, sha256_file


def silent(done: int, total: int) -> None:
    """Show no progress."""


def refusal(kind: type[TtsError], call: Callable[..., object], *args: object) -> str:
    with pytest.raises(TtsError) as caught:
        call(*args)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""

    def fail(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("TTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the publisher's, of two and a half MiB."""
    file = tmp_path / "published.pth"
    file.write_bytes(bytes(range(256)) * 10_240)
    monkeypatch.setattr(module, "URL", file.as_uri())
    monkeypatch.setattr(module, "SHA256", sha256_file(file))
    return file


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TTS_CACHE", raising=False)
    assert cache_folder() == tmp_path / "home" / ".cache" / "scalewise-tts"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "scalewise-tts"
    monkeypatch.setenv("TTS_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_the_users_file_comes_before_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "run 'tts fetch inception'" in refusal(CheckpointError, find_weights, None)
    cache.mkdir()
    (cache / FILE).touch()
    assert find_weights(None) == cache / FILE
    assert find_weights("x/y.pth") == Path("x/y.pth")
    monkeypatch.setenv("HOME", "/somewhere")
    assert find_weights("~/y.pth") == Path("/somewhere/y.pth")


def test_fetched_weights_lie_in_the_cache(cache: Path, published: Path) -> None:
    told: list[tuple[int, int]] = []
    assert fetch_weights(lambda *numbers: told.append(numbers)) == cache / FILE
    assert (cache / FILE).read_bytes() == published.read_bytes()
    assert os.listdir(cache) == [FILE]
    assert told == [(1, 2), (2, 2), (2, 2)]
    assert find_weights(None) == cache / FILE


def test_what_is_cached_whole_is_not_fetched_again(cache: Path, published: Path) -> None:
    fetch_weights(silent)
    published.unlink()
    assert fetch_weights(silent) == cache / FILE


def test_a_damaged_file_in_the_cache_is_fetched_again(cache: Path, published: Path) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(b"half")
    fetch_weights(silent)
    assert (cache / FILE).read_bytes() == published.read_bytes()


def test_a_damaged_download_is_refused_and_leaves_what_was_there(cache: Path, published: Path) -> None:
    with published.open("r+b") as file:
        file.truncate(100)
    message = refusal(CheckpointError, fetch_weights, silent)
    assert message.startswith(f"the download of {FILE} is damaged (100 bytes with SHA-256 ")
    assert os.listdir(cache) == []


def test_a_hash_that_only_starts_alike_is_damage(
    cache: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = sha256_file(published)[:8] + "0" * 56
    monkeypatch.setattr(module, "SHA256", alike)
    assert "is damaged" in refusal(CheckpointError, fetch_weights, silent)
    assert os.listdir(cache) == []


def test_without_a_network_the_next_step_is_named(cache: Path) -> None:
    message = refusal(CheckpointError, fetch_weights, silent)
    assert message == f"cannot reach the publisher of {FILE} (name or service not known); {BY_HAND}"
    assert "get it from https://github.com/toshas/torch-fidelity/" in message
    assert "--features inception:FILE" in message
    assert os.listdir(cache) == []


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (TimeoutError("timed out"), CheckpointError, "cannot reach the publisher of"),
        (ConnectionResetError(104, "Connection reset by peer"), CheckpointError, "connection reset by peer"),
        (IncompleteRead(b"x", 10), CheckpointError, "cannot reach the publisher of"),
        (HTTPError("u", 404, "Not Found", Message(), io.BytesIO()), RunError, "HTTP Error 404: Not Found"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[TtsError], says: str
) -> None:
    def fail(*args: object, **kwargs: object) -> NoReturn:
        assert kwargs["timeout"] <= 10  # type: ignore[operator]
        raise error

    monkeypatch.setattr(module, "urlopen", fail)
    message = refusal(kind, fetch_weights, silent)
    assert says.lower() in message.lower()
    assert BY_HAND in message
    assert os.listdir(cache) == []


def test_a_cache_that_cannot_be_written_is_said_to_be_so(cache: Path, published: Path) -> None:
    cache.write_text("a file, not a folder")
    assert "choose another folder" in refusal(UsageError, fetch_weights, silent)


def test_a_full_disk_is_no_fault_of_the_network(cache: Path, published: Path) -> None:
    def full(done: int, total: int) -> NoReturn:
        raise OSError(28, "No space left on device")

    message = refusal(RunError, fetch_weights, full)
    assert "no space left on device" in message
    assert os.listdir(cache) == []


def test_other_files_are_refused_in_one_line(tmp_path: Path, inception_file: Path) -> None:
    files: dict[str, bytes] = {
        "missing.pth": b"",
        "empty.pth": b"",
        "half.pth": inception_file.read_bytes()[:1_000_000],
        "text.safetensors": b"no tensors at all",
    }
    for name, content in files.items():
        file = tmp_path / name
        if name != "missing.pth":
            file.write_bytes(content)
        assert repr(str(file)) in refusal(CheckpointError, load_network, file)


def test_weights_of_another_network_are_named_as_such(
    tmp_path: Path, synthetic_state: Callable[[str], dict[str, Tensor]]
) -> None:
    torch.save(synthetic_state("var_tiny"), tmp_path / "other.pth")
    message = refusal(CheckpointError, load_network, tmp_path / "other.pth")
    assert "other.pth' holds a transformer, no FID Inception" in message


def test_a_thousand_classes_are_not_the_published_ones(
    tmp_path: Path, synthetic_state: Callable[[str], dict[str, Tensor]]
) -> None:
    state = synthetic_state("inception")
    torch.save({**state, "fc.weight": state["fc.weight"][:1000]}, tmp_path / "imagenet.pth")
    message = refusal(CheckpointError, load_network, tmp_path / "imagenet.pth")
    assert "1 mis-shaped (fc.weight (1000, 2048) for (1008, 2048))" in message


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"fc.weight": Payload(tmp_path / "marker")}, tmp_path / "hostile.pth")
    assert "refused unread" in refusal(CheckpointError, load_network, tmp_path / "hostile.pth")
    assert not (tmp_path / "marker").exists()


def test_safetensors_load_too_with_or_without_the_training_counts(
    tmp_path: Path, inception_file: Path, synthetic_state: Callable[[str], dict[str, Tensor]]
) -> None:
    state = {k: v for k, v in synthetic_state("inception").items() if "num_batches" not in k}
    save_tensors(tmp_path / "weights.safetensors", state, {})
    a, b = (
        load_network(inception_file).state_dict(),
        load_network(tmp_path / "weights.safetensors").state_dict(),
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
