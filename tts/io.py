"""Files in and out: atomic writes, safetensors, JSON, PNG, npz.

What is written as safetensors or JSON carries its own checksum, which is compared when it is read
(``tts.contents``).

Axis letters: N images, H W pixels. Every write goes to a temporary name in the same folder and is renamed
when it is complete, so that a reader never sees half a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tts.contents import BLANK, DIGEST, check_tensors, seal_tensors, sealed
from tts.contents import sha256_file as sha256_file
from tts.errors import CheckpointError, RunError, ShapeError, UsageError, check_text, reason
from tts.records import encode_lines, read_record

Uint8Rule = Literal["truncate", "round"]
UINT8_RULES = ("truncate", "round")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` on success, remove it on failure.

    The name ends in ``.tmp``, so that a leftover of a killed process is never taken for a finished file.
    """
    target = Path(path)
    check_file(target)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise RunError(
            f"cannot write {target} ({reason(error)}); check the space and the rights there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_file(path: Path) -> None:
    """Refuse to put a file in place of a folder, a pipe or a device such as ``/dev/null``."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file, and is not replaced by one; name another file")


def ensure_writable_dir(path: Path | str) -> Path:
    """Create a folder where needed and make sure that files can be written there."""
    check_text(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{uuid.uuid4().hex[:8]}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)  # who finishes a run takes it for a leftover
    except OSError as error:
        raise UsageError(
            f"cannot write to folder {folder} ({reason(error)}); choose another folder"
        ) from error
    return folder


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """As ``ensure_writable_dir``; folders made for it go again if what follows fails, where empty."""
    made = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    try:
        yield ensure_writable_dir(path)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def make_folder(folder: Path) -> None:
    """Create a folder of a run's own where needed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot write {folder} ({reason(error)}); check the space and the rights there"
        ) from error


def write_json(path: Path | str, obj: object, seal: bool = True) -> None:
    """Write ``obj`` as indented JSON, an object with its checksum unless people may edit it."""
    text = encode_lines(obj).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(sealed(text) if seal else text)


def read_json(path: Path | str, own: bool = False) -> Any:
    """Read a JSON file, whose checksum must match; the toolkit's ``own`` must have one."""
    return read_record(path, object, "record", "write the file again", own=own)


def save_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors, copied to the CPU, and text metadata with a checksum as one safetensors file."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # as of any new file; safetensors makes files private to their owner
        try:
            with _holder(temporary) as folder:
                save_file(plain, folder / temporary.name, metadata={**metadata, DIGEST: BLANK})
                _sort_metadata(folder / temporary.name)
                seal_tensors(folder / temporary.name)
                (folder / temporary.name).chmod(mode)
                (folder / temporary.name).replace(temporary)
        except SafetensorError as error:
            raise RunError(
                f"cannot write {path} ({reason(error)}); check the space and the rights there"
            ) from error


@contextmanager
def _holder(temporary: Path) -> Iterator[Path]:
    """A temporary folder beside a temporary file, for writers that make temporary files of their own names.

    What a kill leaves of them then lies in a folder whose name says what it is.
    """
    folder = temporary.with_name(f"{temporary.stem}0.tmp")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_path(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sort_metadata(path: Path) -> None:
    """Sort the metadata, which safetensors writes in random order: equal content makes equal bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def load_tensors(path: Path | str, own: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors, on the CPU, and the metadata of a safetensors file, whose checksum must match.

    The toolkit's ``own`` must have one; others are read without.
    """
    with _opened(path) as file:
        check_tensors(path, own=own)
        return _tensors(file)


def map_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The same without a look at the checksum: mapped from disk, so that only what is used is read.

    For what is checked elsewhere, or decides nothing.
    """
    with _opened(path) as file:
        return _tensors(file)


def _tensors(file: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    return {name: file.get_tensor(name) for name in file.keys()}, _metadata(file)  # noqa: SIM118


def _metadata(file: Any) -> dict[str, str]:
    metadata = dict(file.metadata() or {})
    metadata.pop(DIGEST, None)
    return metadata


def read_metadata(path: Path | str) -> dict[str, str]:
    """Read the metadata of a safetensors file without its tensors, and without a look at its checksum."""
    with _opened(path) as file:
        return _metadata(file)


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """Open a safetensors file; what is missing, cut short or corrupt becomes one line."""
    check_text(path)
    try:
        if not Path(path).is_file():
            raise FileNotFoundError("a folder, not a file" if Path(path).is_dir() else "no such file")
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from error
    except (SafetensorError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a complete safetensors file ({reason(error)}); fetch or write it again"
        ) from error


def _unreadable(path: Path | str, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot read {path} ({reason(error)}); check the path")


def save_png(path: Path | str, image: NDArray[np.uint8]) -> None:
    """Write an image (H, W, 3), uint8, as PNG."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ShapeError(f"image is {image.dtype} {image.shape}, a PNG needs uint8 (H, W, 3); use to_uint8")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def pixels_digest(image: NDArray[np.uint8]) -> str:
    """SHA-256 of an image's (H, W, 3) shape and pixels, whatever file they come from."""
    return hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def save_npz(path: Path | str, **arrays: NDArray[Any]) -> None:
    """Write named arrays as one uncompressed npz file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def to_uint8(images: Tensor, rule: Uint8Rule | str) -> NDArray[np.uint8]:
    """Turn images (N, 3, H, W) in [0, 1] into uint8 (N, H, W, 3).

    ``truncate`` takes the floor of 255 x, ``round`` the nearest integer; both in float32, because in half
    precision 255 x is already rounded.
    """
    if rule not in UINT8_RULES:
        raise UsageError(f"unknown uint8 rule {rule!r}; use truncate or round")
    if not isinstance(images, Tensor):
        raise ShapeError(f"images must be a tensor (N, 3, H, W), got {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"images have shape {tuple(images.shape)}, expected (N, 3, H, W)")
    if not images.is_floating_point():
        raise ShapeError(f"images are {images.dtype}, expected floating-point numbers in [0, 1]")
    scaled = images.detach().float().clamp(0.0, 1.0) * 255.0
    if bool(scaled.isnan().any()):
        raise RunError("images contain NaN, pixels must be numbers in [0, 1]; try again with float32")
    levels = scaled.floor() if rule == "truncate" else scaled.round()
    array: NDArray[np.uint8] = levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
