"""Published weights by way of the Hugging Face cache; the file names are pinned in the presets."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, getproxies, urlopen

from tts.errors import CheckpointError, RunError, UsageError
from tts.io import sha256_file
from tts.specs import BackboneSpec

TIMEOUT = 10.0
"""Seconds without an answer after which a server is given up."""

Check = Callable[[Path, str], None]
"""Raises ``CheckpointError`` where a file is not what its role needs."""


def cached_file(spec: BackboneSpec, role: str) -> Path | None:
    """The file of ``role`` in the local cache, or ``None``. Asks no network."""
    if spec.repo is None or role not in spec.files:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.repo, spec.files[role])
    return Path(found) if isinstance(found, str) else None


def cache_folder() -> Path:
    """Where the hub's files lie."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def revision_of(file: Path) -> str | None:
    """The commit of the repository that a file of the cache belongs to."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", file.as_posix())
    return found.group(1) if found else None


def fetch(
    spec: BackboneSpec, check: Check, say: Callable[[str], None] = lambda message: None
) -> dict[str, Path]:
    """Every file of a published backbone, checked; one in the cache that is damaged is fetched again."""
    if spec.repo is None:
        raise UsageError(
            f"{spec.name} has nothing to fetch: its weights come with the package or with --weights"
        )
    return {role: _fetch(spec.repo, spec, role, check, say) for role in spec.files}


def _fetch(repo: str, spec: BackboneSpec, role: str, check: Check, say: Callable[[str], None]) -> Path:
    cached = cached_file(spec, role)
    if cached is not None:
        try:
            _check_whole(cached, role, check)
            return cached
        except CheckpointError as error:
            say(f"{error}; fetching it again")
    file = _download(repo, spec.files[role], again=cached is not None)
    _check_whole(file, role, check)
    return file


def _check_whole(file: Path, role: str, check: Check) -> None:
    """Compare a file with its hash, which the hub's cache has in the names of large ones, and its role."""
    if not file.stat().st_size:
        raise CheckpointError(f"{str(file)!r} is empty")
    known = file.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", known) and sha256_file(file) != known:
        raise CheckpointError(f"{str(file)!r} is damaged (its SHA-256 is not {known[:12]})")
    check(file, role)


def _check_network(repo: str, name: str) -> int | None:
    """Raise ``ConnectionError`` where the hub has no address or does not answer, not after its retries.

    Returns the status of a refusal, which some versions of the hub's client keep to themselves.
    """
    from huggingface_hub import constants, hf_hub_url

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or host is None:
        return None
    try:
        if not getproxies():
            socket.getaddrinfo(host, 443)
        urlopen(Request(hf_hub_url(repo, name), method="HEAD"), timeout=TIMEOUT).close()
    except HTTPError as error:
        return error.code  # an answer, which the hub's client understands better
    except (OSError, HTTPException) as error:
        raise ConnectionError(str(error)) from error
    return None


def _download(repo: str, name: str, again: bool) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    refusal = None
    try:
        refusal = _check_network(repo, name)
        return Path(hf_hub_download(repo, name, etag_timeout=TIMEOUT, force_download=again))
    except (LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        status = _status(error) or refusal
        if status in (401, 403):
            raise RunError(_denied(repo, name, error, status)) from None
        where = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"cannot reach {constants.ENDPOINT}"
        raise CheckpointError(
            f"{where} and {cache_folder()} has no whole {name} of {repo}; check the network,"
            " set HF_HOME to a cache that has it, or copy the file here and pass --weights FILE"
        ) from None
    except (RepositoryNotFoundError, HfHubHTTPError) as error:
        raise RunError(_denied(repo, name, error, _status(error))) from None
    except Exception as error:  # the hub's transport has errors of its own, in each version others
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"cannot store or reach {name} of {repo} ({reason}); check network and disk, or pass --weights"
        ) from error


def _status(error: BaseException | None) -> int | None:
    """The status of the answer that an error, or one behind it, is about."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def _denied(repo: str, name: str, error: Exception, status: int | None) -> str:
    """What the hub's refusal means."""
    from huggingface_hub import constants

    if status in (401, 403):
        return (
            f"{repo} does not give out {name} without rights ({status}): accept its licence at"
            f" {constants.ENDPOINT}/{repo}, and give a token with 'hf auth login' or HF_TOKEN;"
            " or pass --weights FILE"
        )
    reason = str(error).partition("\n")[0]
    return f"{repo} does not give out {name} ({reason}); pass --weights FILE instead"
