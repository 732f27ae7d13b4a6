"""CUDA graphs: the kernels of a step of fixed shapes, recorded once and launched together.

A step on few tokens has thousands of short kernels, which Python launches more slowly than a GPU runs them.
A recording reads and writes the same memory at every replay, so that inputs are copied to where it reads. It
is replayed once when it is made, and used only if it computes what the step did.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor], Tensor]
Record = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], object]]]
"""Runs a step, and gives the memory of its output and what computes that again."""

FEW = 4096
"""Most tokens in all rows for which a recording pays: with more a GPU takes longer than the launches."""

TOLERANCE = 1e-3
"""Largest difference of a replay from the step, in parts of the output's largest value."""


class CudaRecorder:
    """Records CUDA graphs, which share the memory of what they compute on the way."""

    def __init__(self) -> None:
        self.pool: Any = None

    def __call__(self, step: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], object]]:
        """Record a step that has run at least once before."""
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            out = step()  # while other threads may copy images to the CPU
        return out, graph.replay


class Recorded:
    """A step on inputs of one shape. Raises ``ArithmeticError`` if its replay computes something else."""

    def __init__(self, step: Step, x: Tensor, record: Record) -> None:
        self.x = x.clone()
        wanted = step(self.x).clone()  # also what libraries set up at a first call, outside of the recording
        self.out, self.replay = record(lambda: step(self.x))
        self.replay()
        error = (self.out.float() - wanted.float()).abs().amax() / wanted.float().abs().amax()
        if not bool(error <= TOLERANCE):
            raise ArithmeticError(f"a replay is {float(error):.2g} of the largest value off its step")

    def __call__(self, x: Tensor) -> Tensor:
        """The step's output for an input of the same shape."""
        self.x.copy_(x)
        self.replay()
        return self.out.clone()


class Graphs:
    """Recordings of steps by what tells them apart; ``record`` makes them, and none are made without it.

    After a step that cannot be recorded, or whose replay is wrong, all steps run as they are.
    """

    def __init__(self, record: Record | None, few: int = FEW) -> None:
        self.record = record
        self.few = few
        self.failed = False
        self.recorded: dict[Hashable, Recorded] = {}

    def run(self, key: Hashable, step: Step, x: Tensor, size: int) -> Tensor:
        """A step's output; it is recorded for ``key`` where its size is at most that of ``few`` tokens."""
        if self.record is None or size > self.few:
            return step(x)
        if key not in self.recorded:
            try:
                self.recorded[key] = Recorded(step, x, self.record)
            except (RuntimeError, ArithmeticError) as error:
                self._give_up(error)
                return step(x)
        return self.recorded[key](x)

    def _give_up(self, error: Exception) -> None:
        self.record, self.failed = None, True
        self.recorded.clear()
        line = str(error).partition("\n")[0]
        warnings.warn(f"going on without CUDA graphs, which failed: {line}", RuntimeWarning, stacklevel=4)


def recorder(device: torch.device) -> Record | None:
    """What records on a device, or nothing."""
    return CudaRecorder() if device.type == "cuda" else None
