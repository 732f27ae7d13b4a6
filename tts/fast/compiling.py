"""Whether and how the fast sampler's pieces are compiled (``--compile``, ``--no-compile``, ``auto``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor

from tts.noise import Mix, mixed

F = TypeVar("F", bound=Callable[..., Any])

GRAPHS = 64
"""Most graphs of one function: one a scale and number of rows. PyTorch's own limit is 8."""


def worth_compiling(device: torch.device) -> bool:
    """What ``auto`` stands for: on a GPU with Triton.

    On a CPU compiled blocks lose their packed layers, which gain more than fused kernels do.
    """
    return device.type == "cuda" and find_spec("triton") is not None


def compiled(function: F, dynamic: bool = False) -> F:
    """A function compiled for each shape that it meets, at its first call there.

    If ``dynamic``, it is compiled once for all sizes above one, as suits what is short.
    """
    inner: Any = torch.compile(function, dynamic=dynamic)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with torch._dynamo.config.patch(cache_size_limit=GRAPHS):
            return inner(*args, **kwargs)

    return call  # type: ignore[return-value]


@cache
def compiled_mix() -> Mix:
    """The noise of candidates in one kernel, where Python launches more than a hundred."""
    return compiled(mixed, dynamic=True)


def product(x: Tensor, factor: Tensor, out: Tensor) -> Tensor:
    """``x`` times ``factor``, computed in the wider precision of the two and written to ``out``.

    One kernel either way: compilers fuse a product with a copy, and do not write to parts of memory.
    """
    if torch.compiler.is_compiling():
        return out.copy_(x * factor)
    return torch.mul(x, factor, out=out)
