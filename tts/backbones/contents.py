"""From a file to what it holds: safetensors or a pickle of PyTorch, of which no code ever runs."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from tts.backbones.file_kinds import RESAVE, head_of, is_safetensors, other_kind
from tts.cache import known
from tts.contents import check_tensors
from tts.errors import CheckpointError

HARMLESS = (
    "addict",
    "argparse",
    "collections",
    "datetime",
    "easydict",
    "lightning",
    "lightning_fabric",
    "ml_collections",
    "numpy",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "tap",
    "types",
    "typing",
    "yacs",
)
"""Packages whose objects lie beside weights in training checkpoints: left out, without loading them."""

PLAIN = (
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "range",
    "set",
    "str",
)
"""Types of Python's own that stand in pickles by name, such as in the factory of a ``defaultdict``."""

MAX_FOREIGN = 200
"""Kinds of objects of other packages in one file."""

MAX_REASON = 160
"""Characters of an error that a message may repeat."""


class Foreign:
    """Stands for an object of another package: nothing of it runs, and nothing of it is kept."""

    origin = ""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Forget the state."""

    def __setitem__(self, key: object, value: object) -> None:
        """Forget an item."""


def read_content(path: Path) -> object:
    """What a file holds: tensors by name, or whatever was pickled; its bytes say the format, not its name.

    Tensors are memory-mapped where the format allows it. Raises ``CheckpointError``, which says what another
    file is.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; give the path of a .pth or .safetensors file")
    try:
        head = head_of(path)
        if is_safetensors(head):
            check_tensors(path)
            return load_file(path)
        kind = other_kind(path, head)
        if kind is None:
            _check_zip(path)
            return _load_pickle(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from None
    except CheckpointError:
        raise
    except Exception as error:  # readers raise errors of many kinds for broken files
        raise CheckpointError(
            f"{str(path)!r} is truncated or no checkpoint ({_reason(error)}); fetch or convert it again"
        ) from None
    raise CheckpointError(f"{str(path)!r} is {kind}")


def _check_zip(path: Path) -> None:
    """Compare the checksums in a zip archive, at which PyTorch does not look."""
    bad = known([path], "zip", _first_bad)[0] if zipfile.is_zipfile(path) else ""
    if bad:
        raise CheckpointError(
            f"{str(path)!r} is damaged: {bad[-MAX_REASON:]} fails its checksum; fetch or save it again"
        )


def _first_bad(path: Path) -> str:
    """The name of an archive's first damaged member; empty where all are whole."""
    with zipfile.ZipFile(path) as file:
        return file.testzip() or ""


def _load_pickle(path: Path) -> object:
    """What a ``.pth`` file holds; only the zip form of today's PyTorch can be memory-mapped."""
    stand_ins: dict[str, type[Foreign]] = {}
    while True:
        allowed = [(kind, name) for name, kind in stand_ins.items()]
        try:
            with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
                warnings.simplefilter("ignore")  # of broken files; their error says it
                if path.suffix == ".safetensors":  # whose name alone makes PyTorch read it as such
                    with path.open("rb") as file:
                        return torch.load(file, map_location="cpu", weights_only=True)
                return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
        except pickle.UnpicklingError as error:
            name = _asked(error)
            harmless = name is not None and (name.partition(".")[0] in HARMLESS or name[9:] in PLAIN)
            if name is None or not harmless or name in stand_ins or len(stand_ins) >= MAX_FOREIGN:
                raise
            stand_ins[name] = type("Foreign", (Foreign,), {"origin": name})


def _asked(error: Exception) -> str | None:
    """What a pickle wants to load that is no tensor."""
    found = re.search(r"(?:GLOBAL|global|class)\s+`?([\w.]+)", str(error))
    name = found.group(1) if found else None
    return f"builtins.{name}" if name in PLAIN else name


def _refusal(path: Path, error: Exception) -> str:
    name = _asked(error)
    what = f"asks to run {name[:MAX_REASON]}" if name else "holds more than tensors"
    if name and "torch.nn.modules" in name:
        what = f"holds a whole pickled module ({name[:MAX_REASON]})"
    return f"{str(path)!r} {what}, refused unread; where it was written, run {RESAVE} and give that file"


def _reason(error: Exception) -> str:
    """The first sentence, since PyTorch explains at length; parsers that stumble say nothing useful."""
    if isinstance(error, (AttributeError, EOFError, LookupError, TypeError)):
        return "damaged contents"
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")[:MAX_REASON]
