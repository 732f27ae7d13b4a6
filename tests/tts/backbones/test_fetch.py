"""Published weights in the Hugging Face cache, without any network."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from tts.backbones import fetch as module
from tts.backbones.fetch import cached_file, fetch
from tts.backbones.presets import SPECS
from tts.errors import CheckpointError, RunError, TtsError, UsageError

PRESETS = {spec.name: spec for spec in SPECS}
D16 = PRESETS["var-d16"]
COMMIT = "0" * 40


def refusal(kind, call, *args):
    with pytest.raises(TtsError) as caught:
        call(*args)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and a network that must not be asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(module, "getproxies", dict)

    def forbidden(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    return tmp_path


@pytest.fixture
def no_address(monkeypatch):
    asked = []

    def fail(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    return asked


def put_in_cache(cache: Path, *names: str) -> Path:
    """Lay files out as the hub's cache does."""
    folder = cache / "models--FoundationVision--var"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for name in names:
        (snapshot / name).write_bytes(b"weights")
    return snapshot


@pytest.mark.parametrize("role", ["transformer", "tokenizer", "classifier"])
def test_an_empty_cache_has_no_file(role):
    assert cached_file(D16, role) is None


def test_cached_files_are_found_by_role(cache):
    snapshot = put_in_cache(cache, "var_d16.pth", "vae_ch160v4096z32.pth")
    assert cached_file(D16, "transformer") == snapshot / "var_d16.pth"
    assert cached_file(D16, "tokenizer") == snapshot / "vae_ch160v4096z32.pth"
    assert cached_file(PRESETS["var-d20"], "transformer") is None
    assert cached_file(PRESETS["var-d20"], "tokenizer") == snapshot / "vae_ch160v4096z32.pth"
    assert cached_file(PRESETS["var-digits"], "transformer") is None


def test_what_is_cached_is_not_fetched_again(cache):
    snapshot = put_in_cache(cache, "var_d16.pth", "vae_ch160v4096z32.pth")
    assert fetch(D16) == {
        "transformer": snapshot / "var_d16.pth",
        "tokenizer": snapshot / "vae_ch160v4096z32.pth",
    }


def test_only_what_is_missing_is_downloaded(cache, monkeypatch):
    snapshot = put_in_cache(cache, "vae_ch160v4096z32.pth")
    asked = []

    def download(repo, name):
        asked.append((repo, name))
        return str(snapshot / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    assert fetch(D16)["transformer"] == snapshot / "var_d16.pth"
    assert asked == [("FoundationVision/var", "var_d16.pth")]


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
def test_models_of_the_package_have_nothing_to_fetch(name):
    assert refusal(UsageError, fetch, PRESETS[name]).startswith(f"{name} has nothing to fetch")


def test_without_an_address_the_next_step_is_named(no_address):
    message = refusal(CheckpointError, fetch, D16)
    assert message.startswith("cannot reach the publisher's repository FoundationVision/var for var_d16.pth")
    assert "--weights FILE" in message
    assert no_address == ["huggingface.co"]  # once: no retries


def test_a_mirror_is_asked_in_place_of_the_hub(monkeypatch, no_address):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://mirror.example:8443/hub")
    refusal(CheckpointError, fetch, D16)
    assert no_address == ["mirror.example"]


def test_offline_mode_asks_no_network(monkeypatch, no_address):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "cannot reach the publisher's repository" in refusal(CheckpointError, fetch, D16)
    assert no_address == []


def test_offline_mode_uses_the_cache(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_in_cache(cache, "var_d16.pth", "vae_ch160v4096z32.pth")
    assert set(fetch(D16)) == {"transformer", "tokenizer"}


class TransportError(Exception):
    """Stands for the errors of whatever library the hub's client uses."""


def hub_errors():
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    answer = SimpleNamespace(headers={}, request=None)
    return {
        "repository": (RepositoryNotFoundError("404\nno such repository", response=answer), RunError),
        "gated": (GatedRepoError("401\nask for access", response=answer), RunError),
        "server": (HfHubHTTPError("500 server error", response=answer), RunError),
        "connection": (LocalEntryNotFoundError("no connection"), CheckpointError),
        "timeout": (TimeoutError("too slow"), CheckpointError),
        "transport": (TransportError("peer closed connection\nwithout a word"), CheckpointError),
        "silent": (TransportError(), CheckpointError),
        "disk": (OSError(28, "No space left on device"), CheckpointError),
    }


@pytest.mark.parametrize(
    "what", ["repository", "gated", "server", "connection", "timeout", "transport", "silent", "disk"]
)
def test_what_the_hub_answers_is_one_line(monkeypatch, what):
    error, kind = hub_errors()[what]

    def download(repo, name):
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    message = refusal(kind, fetch, D16)
    assert "var_d16.pth" in message
    assert "--weights" in message
