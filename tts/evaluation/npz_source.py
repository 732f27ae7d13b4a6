"""Images of an npz in the layout of the ADM evaluation: ``arr_0`` images, ``arr_1`` labels.

Axis letters: N images, n of a portion, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tts.cache import known
from tts.data.classes import LARGEST
from tts.errors import CheckpointError
from tts.evaluation.image_source import ImageSource, Numbers, check_square
from tts.evaluation.npz_file import ArrayInfo, NpzFile
from tts.images import Pixels
from tts.io import sha256_file
from tts.outputs import recorded_files
from tts.records import parse_record

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
        return known([self.file.path], "sha256", sha256_file)[0]


def open_npz(path: Path, square: bool = True) -> NpzSource:
    """The images of an npz file, without reading them; ``square`` refuses others."""
    stated = recorded_files(path.parent).get(path.name)
    if stated is not None and known([path], "sha256", sha256_file)[0] != stated:
        raise CheckpointError(
            f"{path} does not match its checksum {stated[:12]};"
            f" mend it with 'tts data verify {path.parent} --repair'"
        )
    file = NpzFile(path)
    if IMAGES not in file:
        names = ", ".join(sorted(file.arrays)) or "nothing"
        raise CheckpointError(f"{path} holds {names}, no images {IMAGES}; make it with 'tts pack'")
    info = file.arrays[IMAGES]
    if advice := _no_images(info):
        raise CheckpointError(
            f"{IMAGES} of {path} is {info.dtype} {info.shape}, images are uint8 (N, S, S, 3); {advice}"
        )
    labels, fault = _labels(file, info.shape[0])
    record = read_record(file)
    return NpzSource(
        name=path.name,
        count=info.shape[0],
        size=check_square(path, info.shape) if square or info.shape[1] == info.shape[2] else 0,
        labels=labels,
        label_fault=fault,
        uint8_rule=_text(record, "uint8"),
        family=_text(record, "family"),
        backbone=_backbone(record),
        file=file,
    )


def _no_images(info: ArrayInfo) -> str | None:
    """What to do about an array that holds no images; ``None`` if it holds some."""
    dtype, shape = info.dtype, info.shape
    if dtype.hasobject:
        return "it holds Python objects, which are never unpickled; save the images as one array"
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        return "it seems to have channels first; save arr_0.transpose(0, 2, 3, 1)"
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
        return "it seems to be grey; repeat it over three channels"
    if len(shape) == 4 and shape[3] == 4:
        return "it seems to have an alpha channel; save arr_0[..., :3] if that is opaque"
    if len(shape) != 4 or shape[3] != 3:
        return "make it with 'tts pack'"
    if 0 in shape:
        return "it holds no images; make it with 'tts pack'"
    if dtype.kind == "f":
        return "save floats in [0, 1] as (255 * arr_0).round().astype('uint8')"
    return None if dtype == np.uint8 else "save it as uint8 if its values are 0 to 255"


def _labels(file: NpzFile, count: int) -> tuple[Numbers | None, str | None]:
    """The labels (N,), or why there are none: figures that need none can be computed all the same."""
    if LABELS not in file:
        return None, None
    info = file.arrays[LABELS]
    said = f"{LABELS} of {file.path} is {info.dtype} {info.shape}"
    if info.dtype.kind in "SU":
        return None, f"{said}, labels are whole numbers ({count},), not names"
    if info.dtype.kind not in "iu":
        return None, f"{said}, labels are whole numbers ({count},)"
    if len(info.shape) == 2 and info.shape[0] == count and info.shape[1] > 1:
        return None, f"{said}, which seems one-hot; save {LABELS}.argmax(axis=1), labels ({count},)"
    if info.shape not in ((count,), (count, 1)):
        return None, f"{said}, labels are whole numbers ({count},)"
    values = file.array(LABELS).reshape(count)
    for value in (values.min(), values.max()):
        if not 0 <= int(value) <= LARGEST:
            return None, f"{LABELS} of {file.path} holds {value}, labels are numbers from 0 to {LARGEST}"
    return values.astype(np.int64), None


def _text(record: dict[str, Any], name: str) -> str | None:
    """The text under a name of a record, if it is one."""
    value = record.get(name)
    return value if isinstance(value, str) else None


def _backbone(record: dict[str, Any]) -> str | None:
    settings = record.get("settings")
    return _text(settings, "backbone") if isinstance(settings, dict) else None


def read_record(file: NpzFile) -> dict[str, Any]:
    """How the images were made, as ``tts pack`` says; nothing in files of others."""
    if RECORD not in file or file.arrays[RECORD].dtype.kind != "U" or file.arrays[RECORD].shape:
        return {}
    text, where = str(file.array(RECORD)), str(file.path)
    try:
        return parse_record(text, dict[str, Any], where, "record of 'tts pack'", "pack it again")
    except CheckpointError:
        return {}
