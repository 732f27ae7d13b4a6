"""From a state dict to a network: strict loading with a readable report, without initialising anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tts.errors import CheckpointError

State = Mapping[str, Tensor]
Config = TypeVar("Config")
Net = TypeVar("Net", bound=nn.Module)

DERIVED = (
    "lvl_1L",
    "attn_bias_for_masking",
    "attn.zero_k_bias",
    "quantize.ema_vocab_hit_SV",
    "quantize.codebook_used",
)
"""Endings of keys that the architecture fixes or that only training uses: read, never loaded."""

MAX_DIGITS = 9
"""Digits of a number in a tensor's name."""

MAX_NAME = 80
"""Characters of a tensor's name that a message may repeat."""


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
        "not dense": [key for key in common if given[key].layout != torch.strided],
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
    """One more than the largest number that ``pattern`` captures in the keys, which have one tensor each."""
    found = {m.group(1): key for key in state if (m := re.match(pattern, key))}
    for digits, key in found.items():
        if len(digits) > MAX_DIGITS or int(digits) >= len(state):
            raise CheckpointError(
                f"tensor {key[:MAX_NAME]!r} is numbered beyond the {len(state)} tensors; give the right file"
            )
    return max(map(int, found), default=-1) + 1
