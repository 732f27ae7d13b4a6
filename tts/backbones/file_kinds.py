"""What a file that should hold weights is instead, told from its first bytes, and the way out."""

from __future__ import annotations

import zipfile
from pathlib import Path

HEAD = 512
"""Bytes that are looked at."""

RESAVE = "torch.save(model.state_dict(), 'weights.pth')"
UNPACK = "an archive; unpack it and give the file of weights inside"
OTHER_FORMAT = "load it with the library that wrote it, save its state dict with PyTorch"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file that it stands for; run 'git lfs pull' there,"
        " or 'hf download', and give the result",
    ),
    (b"\x1f\x8b", f"gzip-compressed, {UNPACK}"),
    (b"BZh", f"bzip2-compressed, {UNPACK}"),
    (b"\xfd7zXZ", f"xz-compressed, {UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"zstd-compressed, {UNPACK}"),
    (b"7z\xbc\xaf", UNPACK),
    (b"Rar!", UNPACK),
    (b"GGUF", f"a GGUF file; {OTHER_FORMAT}"),
    (b"\x89HDF", f"an HDF5 file (Keras or TensorFlow); {OTHER_FORMAT}"),
    (b"\x93NUMPY", f"a NumPy array; {OTHER_FORMAT}"),
    (b"\x89PNG", "a picture; give a file of weights"),
    (b"\xff\xd8\xff", "a picture; give a file of weights"),
)

_ENDINGS = {
    ".onnx": f"an ONNX graph; {OTHER_FORMAT}",
    ".pb": f"a TensorFlow graph; {OTHER_FORMAT}",
    ".h5": f"a Keras file; {OTHER_FORMAT}",
    ".msgpack": f"a Flax file; {OTHER_FORMAT}",
    ".distcp": "a shard of a distributed checkpoint; join it with"
    " 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth'",
}


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD)


def is_safetensors(head: bytes) -> bool:
    """Whether a file starts as safetensors do: the length of a JSON header, and the header."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30


def other_kind(path: Path, head: bytes) -> str | None:
    """In words, what a file is that is neither safetensors nor of PyTorch; ``None`` where it may be."""
    if not head:
        return "empty; fetch or copy it again"
    found = next((what for start, what in _STARTS if head.startswith(start)), None)
    if found is None and head[257:262] == b"ustar":
        found = f"a tar archive, {UNPACK}".replace("archive, an archive", "archive")
    if found is None:
        found = _ENDINGS.get(path.suffix.lower()) or _text(head)
    if found is None and head.startswith(b"PK"):
        found = _zip(path)
    return found


def _text(head: bytes) -> str | None:
    """What a text is; checkpoints start with bytes that no text has."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "a web page: the download got a log-in or error page in place of the file;"
            " fetch it again from the link of the file itself, with the rights for it"
        )
    if start.startswith((b"{", b"[")):
        return "a JSON text (an answer of a server, or a configuration); give the file of weights"
    if b"\0" not in head and all(byte < 127 and (byte > 31 or byte in b"\t\r\n") for byte in head):
        return "a text file, no checkpoint; give the file of weights"
    return None


def _zip(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return "truncated: a zip file without its end; fetch or copy it again"
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    if any(name.endswith("constants.pkl") for name in names):
        return f"a TorchScript program; where you trust it: torch.jit.load, then {RESAVE}"
    if any(name.endswith("data.pkl") for name in names):
        return None
    if any(name.endswith(".npy") for name in names):
        return f"an archive of NumPy arrays; {OTHER_FORMAT}"
    return f"a zip archive of {len(names)} files; unpack it and give the file of weights inside"
