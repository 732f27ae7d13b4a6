"""Kernels, bytes and floating-point operations of a piece of work, counted on tensors without values.

The work runs on the device ``meta``, at any size and in little time. What is counted is what eager PyTorch
would launch on a GPU, where attention is one kernel; ``torch.compile`` fuses more than a count can see.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
SCALARS = (aten._local_scalar_dense, aten.item, aten.is_nonzero)
MEMORY_ONLY = (aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default)
WHOLE = (aten.upsample_bicubic2d, aten.upsample_bilinear2d, aten.upsample_nearest2d)
"""Operations of one kernel that ``meta`` tensors take apart."""


@dataclass(frozen=True)
class Count:
    """Kernels launched, bytes read and written by them, FLOPs (2 a multiply-add), and most bytes alive."""

    kernels: int
    bytes: int
    flops: int
    peak: int

    def __sub__(self, other: Count) -> Count:
        """What this has beyond another count."""
        return Count(
            self.kernels - other.kernels,
            self.bytes - other.bytes,
            self.flops - other.flops,
            self.peak - other.peak,
        )


class Counter(TorchDispatchMode):
    """Counts the operations on ``meta`` tensors; ``by_name`` has the kernels of each.

    A question about values has the answer of work that goes well: ``all`` is true, ``any`` is false. What is
    copied to the CPU is zeros there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.bytes = self.flops = self.peak = 0
        self.by_name: dict[str, int] = {}
        self._alive: dict[StorageWeakRef, int] = {}
        self._answers: dict[StorageWeakRef, bool] = {}

    @property
    def count(self) -> Count:
        """What was counted so far."""
        return Count(self.kernels, self.bytes, self.flops, self.peak)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count it."""
        kwargs = kwargs or {}
        if func.overloadpacket in SCALARS and args[0].is_meta:
            return self._answers.get(_storage(args[0]), False)
        if func is aten._to_copy.default and args[0].is_meta and _leaves(kwargs.get("device")):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if func.overloadpacket not in WHOLE:
            with self:  # in inference mode composed operations come whole
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if func.overloadpacket in (aten.all, aten.any) and isinstance(out, Tensor):
            self._answers[_storage(out)] = func.overloadpacket is aten.all
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_meta]
        if made:
            self._account(func, args, kwargs, out, made)
        return out

    def attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """One kernel that makes no matrix of weights: (B, A, L, D) from queries, keys and values."""
        out = torch.empty_like(query)  # B A L D
        self._launch("attention", sum(map(touched, (query, key, value, out))))
        self.flops += 4 * query.numel() * key.shape[-2]
        return out

    def _account(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, made: list[Tensor]
    ) -> None:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        shared = {_storage(tensor) for tensor in given}
        for tensor in made:
            self._alive[_storage(tensor)] = tensor.untyped_storage().nbytes()
        self._alive = {ref: size for ref, size in self._alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._alive.values()))
        view = not func._schema.is_mutable and all(_storage(tensor) in shared for tensor in made)
        if view or func in MEMORY_ONLY:
            return
        name = str(func.overloadpacket).removeprefix("aten.")
        self._launch(name, sum(map(touched, given)) + sum(map(touched, made)))
        if func.overloadpacket in flop_registry:
            self.flops += int(flop_registry[func.overloadpacket](*args, **kwargs, out_val=out))

    def _launch(self, name: str, size: int) -> None:
        self.kernels += 1
        self.bytes += size
        self.by_name[name] = self.by_name.get(name, 0) + 1


class WholeAttention(TorchFunctionMode):
    """Keeps attention whole, which ``meta`` tensors would compute in parts."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count attention; let everything else through."""
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            return self.counter.attention(*args[:3])
        return func(*args, **(kwargs or {}))


def touched(tensor: Tensor) -> int:
    """Bytes of a tensor's different elements: those that an expanded axis repeats count once."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in pairs if stride) * tensor.element_size()


def count(work: Callable[[], object]) -> Count:
    """Count some work on ``meta`` tensors."""
    with Counter() as counter, WholeAttention(counter):
        work()
    return counter.count


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _leaves(device: torch.device | None) -> bool:
    """Whether a copy goes from ``meta`` to a device with memory."""
    return device is not None and torch.device(device).type != "meta"
