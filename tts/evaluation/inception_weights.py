"""The published weights of the FID Inception: a file that the user names, else the one in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tts.backbones.networks import INCEPTION
from tts.backbones.parts import read_weights
from tts.backbones.weights import load_strict, without_values
from tts.cache import cache_folder
from tts.errors import CheckpointError, RunError, reason
from tts.evaluation.inception_network import InceptionNetwork
from tts.io import atomic_path, ensure_writable_dir, sha256_file

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the published file; its name carries the first digits."""

BY_HAND = f"get it from {URL} and pass --features inception:FILE"
TIMEOUT = 5.0
"""Seconds without an answer, or without the next bytes, after which a download is given up."""

UNUSED = "num_batches_tracked"
"""Ending of keys that only training uses."""

MIB = 1 << 20

Progress = Callable[[int, int], None]


def find_weights(argument: str | None) -> Path:
    """The file that the user names, else the fetched one. Asks no network."""
    if argument is not None:
        return Path(argument).expanduser()
    cached = cache_folder() / FILE
    if not cached.is_file():
        raise CheckpointError(
            "no weights for features 'inception'; run 'tts fetch inception' or pass --features inception:FILE"
        )
    return cached


def load_network(file: Path) -> InceptionNetwork:
    """The network of a ``.pth`` or ``.safetensors`` file, folded, in float32 and ready for inference."""
    found = read_weights(file, INCEPTION).state
    state = {key: value for key, value in found.items() if not key.endswith(UNUSED)}
    with without_values():
        network = InceptionNetwork()
    try:
        load_strict(network, state, "the FID Inception")
    except CheckpointError as error:
        raise CheckpointError(f"{str(file)!r} is not {FILE}: {error}") from None
    return network.fold().float()


def fetch_weights(progress: Progress) -> Path:
    """Download the published file into the cache unless it is there whole; ``progress`` takes MiB."""
    target = cache_folder() / FILE
    if target.is_file() and sha256_file(target) == SHA256:
        return target
    ensure_writable_dir(target.parent)
    digest, done = hashlib.sha256(), 0
    with atomic_path(target) as temporary:
        with temporary.open("wb") as file:
            for chunk, size in _download():
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(done // MIB, max(done, size) // MIB)
        _check(digest.hexdigest(), done)
    return target


def _download() -> Iterator[tuple[bytes, int]]:
    """Pieces of the published file, each with the size of the whole, or 0 where the publisher gives none."""
    try:
        with urlopen(URL, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(MIB):
                yield chunk, size
    except HTTPError as error:
        raise RunError(f"the publisher does not give out {FILE} ({reason(error)}); {BY_HAND}") from None
    except (OSError, HTTPException) as error:
        raise CheckpointError(f"cannot reach the publisher of {FILE} ({_cause(error)}); {BY_HAND}") from None


def _check(sha256: str, size: int) -> None:
    if sha256 != SHA256:
        found = f"{size} bytes with SHA-256 {sha256[:12]}, not {SHA256[:12]}"
        raise CheckpointError(f"the download of {FILE} is damaged ({found}); try again, or {BY_HAND}")


def _cause(error: Exception) -> str:
    """What the network says, which urllib wraps."""
    inner = getattr(error, "reason", error)
    return reason(inner if isinstance(inner, Exception) else error)
