"""Images of an npz in the layout of the ADM evaluation: ``arr_0`` images, ``arr_1`` labels.

Axis letters: N images, n of a portion, S pixels a side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tts.errors import CheckpointError
from tts.evaluation.image_source import ImageSource, Numbers, check_square
from tts.evaluation.npz_file import NpzFile
from tts.images import Pixels
from tts.io import sha256_file

IMAGES, LABELS, RECORD = "arr_0", "arr_1", "record"


@dataclass(frozen=True, eq=False)
class NpzSource(ImageSource):
    """The images of an npz, in its own order."""

    file: NpzFile = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3), read from the zip member as they are wanted."""
        return self.file.rows(IMAGES, rows, size)

    def sha256(self) -> str:
        """SHA-256 of the file."""
        return sha256_file(self.file.path)


def open_npz(path: Path) -> NpzSource:
    """The images of an npz file, without reading them."""
    file = NpzFile(path)
    if IMAGES not in file:
        names = ", ".join(sorted(file.arrays)) or "nothing"
        raise CheckpointError(f"{path} holds {names}, no images {IMAGES}; make it with 'tts pack'")
    info = file.arrays[IMAGES]
    if info.dtype != np.uint8 or len(info.shape) != 4 or info.shape[3] != 3:
        raise CheckpointError(
            f"{IMAGES} of {path} is {info.dtype} {info.shape}, images are uint8 (N, S, S, 3)"
        )
    if not info.shape[0]:
        raise CheckpointError(f"{path} holds no images; make it with 'tts pack'")
    record = _record(file)
    return NpzSource(
        name=path.name,
        count=info.shape[0],
        size=check_square(path, info.shape),
        labels=_labels(file, info.shape[0]),
        uint8_rule=record.get("uint8"),
        family=record.get("family"),
        file=file,
    )


def _labels(file: NpzFile, count: int) -> Numbers | None:
    if LABELS not in file:
        return None
    info = file.arrays[LABELS]
    if info.dtype.kind not in "iu" or info.shape != (count,):
        raise CheckpointError(
            f"{LABELS} of {file.path} is {info.dtype} {info.shape}, labels are whole numbers ({count},)"
        )
    return file.array(LABELS).astype(np.int64)


def _record(file: NpzFile) -> dict[str, Any]:
    """How the images were made, as ``tts pack`` says; nothing in files of others."""
    if RECORD not in file or file.arrays[RECORD].dtype.kind != "U" or file.arrays[RECORD].shape:
        return {}
    try:
        record = json.loads(str(file.array(RECORD)))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
