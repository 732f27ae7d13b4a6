"""Reading checkpoints as published: never unpickling code, and strict loading with a readable report."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tts.errors import CheckpointError

State = Mapping[str, Tensor]
Config = TypeVar("Config")
Net = TypeVar("Net", bound=nn.Module)

WRAPPERS = (("trainer", "var_wo_ddp"), ("trainer", "vae_local"), ("state_dict",), ("model",), ("module",))
"""Keys under which published checkpoints keep the state dict, outermost first."""

DERIVED = (
    "lvl_1L",
    "attn_bias_for_masking",
    "attn.zero_k_bias",
    "quantize.ema_vocab_hit_SV",
    "quantize.codebook_used",
)
"""Endings of keys that the architecture fixes or that only training uses: read, never loaded."""

MAX_REASON, MAX_NAME = 160, 80
"""Characters of an error or a tensor's name that a message may repeat."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a ``.safetensors`` or pickled (``.pth``) file, memory-mapped and unwrapped.

    Pickles are read with ``weights_only=True``, so that no code in them runs.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; give the path of a .pth or .safetensors file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from None
    except Exception as error:  # readers raise errors of many kinds for broken files
        raise CheckpointError(
            f"{str(path)!r} is truncated or no checkpoint ({_reason(error)}); fetch or convert it again"
        ) from None
    return unwrap(content, path)


def _load_pickle(path: Path) -> object:
    """What a ``.pth`` file holds; only the zip form of today's PyTorch can be memory-mapped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken files; their error says it
        return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)


def _refusal(path: Path, error: Exception) -> str:
    found = re.search(r"(?:GLOBAL|global|class)\s+`?([\w.]+)", str(error))
    what = f"asks to run {found.group(1)}" if found else "holds more than tensors"
    return f"{str(path)!r} {what}, refused unread; only plain state dicts of tensors are loaded"


def _reason(error: Exception) -> str:
    """The first sentence, since PyTorch explains at length; parsers that stumble say nothing useful."""
    if isinstance(error, (AttributeError, EOFError, LookupError, TypeError)):
        return "damaged contents"
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")[:MAX_REASON]


def unwrap(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, whether plain or under one of the known wrapper keys."""
    for keys in ((), *WRAPPERS):
        inner = content
        for key in keys:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and inner and all(isinstance(v, Tensor) for v in inner.values()):
            return {str(key).removeprefix("module."): value for key, value in inner.items()}
    found = ", ".join(sorted(map(str, content))[:5]) if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(f"{str(path)!r} holds no state dict (found: {found}); give the published file")


def load_strict(net: Net, state: State, what: str) -> Net:
    """Put ``state`` into ``net`` (built on the meta device) without copying; every key must fit."""
    wanted = net.state_dict()
    given = {key: value for key, value in state.items() if not key.endswith(DERIVED)}
    common = [key for key in wanted if key in given]
    shapes = {key: (tuple(given[key].shape), tuple(wanted[key].shape)) for key in common}
    problems = {
        "missing": [key for key in wanted if key not in given],
        "unexpected": [key for key in given if key not in wanted],
        "mis-shaped": [f"{key} {got} for {fit}" for key, (got, fit) in shapes.items() if got != fit],
        "not of floating point": [key for key in common if not given[key].is_floating_point()],
    }
    found = {kind: names for kind, names in problems.items() if names}
    if found:
        shown = 2 if len(found) == 1 else 1
        texts = (_some(kind, names, shown) for kind, names in found.items())
        raise CheckpointError(f"the weights do not fit {what}: {'; '.join(texts)}; give the right file")
    net.load_state_dict(given, strict=True, assign=True)
    return net.requires_grad_(False).eval()


def _some(kind: str, names: list[str], shown: int) -> str:
    first = ", ".join(name[:MAX_NAME] for name in names[:shown])
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{len(names)} {kind} ({first}{more})"


class _Unfilled(TorchFunctionMode):
    """Leaves out what ``torch.nn.init`` does: on the meta device some of it imports PyTorch's compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """Make modules on the meta device with nothing initialised, ready for ``load_strict``."""
    with torch.device("meta"), _Unfilled():
        yield


def build_net(net: Callable[[Config], Net], config: Config, state: State, what: str) -> Net:
    """A net without values, then filled."""
    with without_values():
        empty = net(config)
    return load_strict(empty, state, what)


def need(state: State, key: str, what: str, dimensions: int) -> Tensor:
    """The tensor of a key that decides the sizes of ``what``; it must be there, with so many axes."""
    if key not in state:
        raise CheckpointError(f"no tensor {key!r}: this is no {what}; check that the right file was given")
    if state[key].ndim != dimensions or 0 in state[key].shape:
        shape = tuple(state[key].shape)
        raise CheckpointError(
            f"{key!r} has shape {shape}, a {what} has {dimensions} axes there; fetch it again"
        )
    return state[key]


def count(state: State, pattern: str) -> int:
    """One more than the largest number that ``pattern`` captures in the keys."""
    found = [int(m.group(1)) for key in state if (m := re.match(pattern, key))]
    return max(found, default=-1) + 1
