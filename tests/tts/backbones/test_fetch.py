"""Published weights in the Hugging Face cache, without any network."""

from __future__ import annotations

import socket
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from tts.backbones import fetch as module
from tts.backbones.fetch import cached_file, fetch, revision_of
from tts.backbones.presets import SPECS
from tts.backbones.storage import check_published
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


REAL = socket.getaddrinfo, socket.socket.connect


@pytest.fixture
def unguarded(cache, monkeypatch):
    """The network of this machine."""
    monkeypatch.setattr(socket, "getaddrinfo", REAL[0])
    monkeypatch.setattr(socket.socket, "connect", REAL[1])


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


def any_file(file, role):
    """Whatever lies in the cache will do."""


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
    assert fetch(D16, any_file) == {
        "transformer": snapshot / "var_d16.pth",
        "tokenizer": snapshot / "vae_ch160v4096z32.pth",
    }


def test_only_what_is_missing_is_downloaded(cache, monkeypatch):
    snapshot = put_in_cache(cache, "vae_ch160v4096z32.pth")
    asked = []

    def download(repo, name, **options):
        asked.append((repo, name))
        (snapshot / name).write_bytes(b"weights")
        return str(snapshot / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(module, "_check_network", lambda repo, name: None)
    assert fetch(D16, any_file)["transformer"] == snapshot / "var_d16.pth"
    assert asked == [("FoundationVision/var", "var_d16.pth")]


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
def test_models_of_the_package_have_nothing_to_fetch(name):
    assert refusal(UsageError, fetch, PRESETS[name], any_file).startswith(f"{name} has nothing to fetch")


def test_without_an_address_the_next_step_is_named(cache, no_address):
    message = refusal(CheckpointError, fetch, D16, any_file)
    assert message.startswith(f"cannot reach https://huggingface.co and {cache} has no whole var_d16.pth of ")
    assert "--weights FILE" in message
    assert no_address == ["huggingface.co"]  # once: no retries


def test_a_mirror_is_asked_in_place_of_the_hub(monkeypatch, no_address):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://mirror.example:8443/hub")
    refusal(CheckpointError, fetch, D16, any_file)
    assert no_address == ["mirror.example"]


def test_offline_mode_asks_no_network(cache, monkeypatch, no_address):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = refusal(CheckpointError, fetch, D16, any_file)
    assert message.startswith(f"HF_HUB_OFFLINE is set and {cache} has no whole var_d16.pth")
    assert no_address == []


def test_offline_mode_uses_the_cache(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_in_cache(cache, "var_d16.pth", "vae_ch160v4096z32.pth")
    assert set(fetch(D16, any_file)) == {"transformer", "tokenizer"}


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

    def download(repo, name, **options):
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(module, "_check_network", lambda repo, name: None)
    message = refusal(kind, fetch, D16, any_file)
    assert "var_d16.pth" in message
    assert "--weights" in message


# What is fetched is checked


def blob(cache, name, content, digest=None):
    """A large file as the hub's cache holds it: a link to a file that its hash names."""
    snapshot = put_in_cache(cache)
    digest = digest or sha256(content).hexdigest()
    file = cache / "models--FoundationVision--var" / "blobs" / digest
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    (snapshot / name).unlink(missing_ok=True)
    (snapshot / name).symlink_to(file)
    return snapshot / name


@pytest.mark.parametrize("what", ["empty", "hash", "tensors"])
def test_a_bad_file_in_the_cache_is_named_and_fetched_again(cache, monkeypatch, what):
    good = b"good weights"
    snapshot = put_in_cache(cache, "vae_ch160v4096z32.pth")
    content = {"empty": b"", "hash": b"bad", "tensors": b"other"}[what]
    file = blob(cache, "var_d16.pth", content, "0" * 64 if what == "hash" else None)
    asked, said = [], []

    def download(repo, name, force_download=False, **options):
        asked.append((name, force_download))
        return str(blob(cache, name, good))

    def check(path, role):
        if path.read_bytes() == b"other":
            raise CheckpointError(f"{str(path)!r} has other tensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(module, "_check_network", lambda repo, name: None)
    assert fetch(D16, check, said.append)["transformer"] == file
    assert asked == [("var_d16.pth", True)]
    words = {"empty": "is empty", "hash": "is damaged (its SHA-256 is not", "tensors": "has other tensors"}
    assert said == [f"'{file}' {words[what]}{' 000000000000)' if what == 'hash' else ''}; fetching it again"]
    assert file.read_bytes() == good
    assert revision_of(snapshot / "var_d16.pth") == COMMIT


def test_a_bad_download_is_refused(cache, monkeypatch):
    empty = blob(cache, "var_d16.pth", b"")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **options: str(empty))
    monkeypatch.setattr(module, "_check_network", lambda repo, name: None)
    assert "var_d16.pth' is empty" in refusal(CheckpointError, fetch, D16, any_file)


@pytest.mark.parametrize("role", ["transformer", "tokenizer"])
def test_published_files_are_known_by_their_tensors(tiny_files, tmp_path, role):
    file = tiny_files("var_tiny")[role == "tokenizer"]
    words = "depth 2, var-d16 has 16" if role == "transformer" else "codebook size is 4096"
    assert words in refusal(CheckpointError, check_published, D16, file, role)
    other = tiny_files("var_tiny")[role == "transformer"]
    assert f"no {role}" in refusal(CheckpointError, check_published, D16, other, role)


class Hub(BaseHTTPRequestHandler):
    """A hub on this machine that answers with one status, or never."""

    status: int | None = None

    def do_HEAD(self):
        if self.status is None:
            self.server.done.wait(60)
            return
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch, unguarded):
    """A server of an answer, which the hub's client is sent to."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.done = threading.Event()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield server
    server.done.set()
    server.shutdown()
    server.server_close()


def test_a_hub_that_never_answers_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(Hub, "status", None)
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    begin = time.monotonic()
    message = refusal(CheckpointError, fetch, D16, any_file)
    assert time.monotonic() - begin < 20
    assert message.startswith(f"cannot reach http://127.0.0.1:{hub.server_port} and ")


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_wants_rights_is_understood(hub, monkeypatch, status):
    monkeypatch.setattr(Hub, "status", status)
    message = refusal(RunError, fetch, D16, any_file)
    assert f"does not give out var_d16.pth without rights ({status}): accept its licence at" in message
    assert "HF_TOKEN" in message
