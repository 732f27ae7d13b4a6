"""Published weights by way of the Hugging Face cache; the file names are pinned in the presets."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from tts.errors import CheckpointError, RunError, UsageError
from tts.specs import BackboneSpec


def cached_file(spec: BackboneSpec, role: str) -> Path | None:
    """The file of ``role`` in the local cache, or ``None``. Asks no network."""
    if spec.repo is None or role not in spec.files:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.repo, spec.files[role])
    return Path(found) if isinstance(found, str) else None


def fetch(spec: BackboneSpec) -> dict[str, Path]:
    """Download every file of a published backbone; files already in the cache are not fetched again."""
    if spec.repo is None:
        raise UsageError(
            f"{spec.name} has nothing to fetch: its weights come with the package or with --weights"
        )
    return {role: cached_file(spec, role) or _download(spec.repo, name) for role, name in spec.files.items()}


def _check_network() -> None:
    """Raise ``ConnectionError`` at once where the hub's name has no address, not after retries."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or getproxies() or host is None:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _download(repo: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        _check_network()
        return Path(hf_hub_download(repo, name))
    except (LocalEntryNotFoundError, ConnectionError, TimeoutError):
        raise CheckpointError(
            f"cannot reach the publisher's repository {repo} for {name}; check the network,"
            " or copy the file here and pass --weights FILE"
        ) from None
    except (RepositoryNotFoundError, HfHubHTTPError) as error:
        reason = str(error).partition("\n")[0]
        raise RunError(f"{repo} does not give out {name} ({reason}); pass --weights FILE instead") from None
    except Exception as error:  # the hub's transport has errors of its own, in each version others
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"cannot store or reach {name} of {repo} ({reason}); check network and disk, or pass --weights"
        ) from error
