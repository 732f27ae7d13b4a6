"""The processes of a training and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tts.engine.launch import Launch, PeerLostError, lead, meeting
from tts.errors import PeerError, RunError, TtsError, UsageError, reason

T = TypeVar("T")


class Team:
    """One process, or those that ``torchrun`` started, joined in a ``with`` block; rank 0 leads.

    An error ends all: rank 0 says why, the others end in silence with the same exit code.
    """

    def __init__(self, launch: Launch | None = None, device: torch.device | None = None) -> None:
        self.launch = launch or Launch()
        self.rank, self.world, self.main = self.launch.rank, self.launch.world, self.launch.main
        self.together, self.device = self.launch.together, device or torch.device("cpu")
        self._meeting = ExitStack()

    def __enter__(self) -> Team:
        """Meet the others; gradients go by nccl between GPUs, everything else by gloo."""
        if self.together:
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            self._meeting.enter_context(meeting(self.launch, backend))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Part."""
        self._meeting.close()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over the processes."""
        if not self.together:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def exchanging(self, network: nn.Module, now: bool) -> AbstractContextManager[Any]:
        """Exchange gradients in the backward pass only if ``now``, that is once a step."""
        if isinstance(network, DistributedDataParallel) and not now:
            return network.no_sync()
        return nullcontext()

    def total(self, loss: float, signal: int | None) -> tuple[float, int | None]:
        """The sum of all processes' parts of the loss, and the signal that any of them got."""
        if not self.together:
            return loss, signal
        table = torch.zeros(self.world, 2, dtype=torch.float64)
        table[self.rank] = torch.tensor([loss, signal or 0], dtype=torch.float64)
        dist.all_reduce(table)
        return float(table[:, 0].sum()), int(table[:, 1].max()) or None

    def lead(self, work: Callable[[], T]) -> T:
        """Do something in rank 0 and give the result to all; an error of it ends all of them."""
        return lead(self.main, work) if self.together else work()

    def error(self, error: TtsError) -> TtsError:
        """What to raise where all processes see the same error."""
        return error if self.main else PeerError(error.exit_code)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Turn the loss of another process, which shows as a failed exchange, into one line."""
        try:
            yield
        except (RuntimeError, PeerLostError) as lost:
            error = lost.__cause__ if isinstance(lost, PeerLostError) else lost
            if not self.together or not isinstance(error, RuntimeError) or not _is_about_peers(error):
                raise
            message = f"another process of this training is gone ({_brief(error)}); pass --resume to go on"
            raise self.error(RunError(message)) from error


def _brief(error: RuntimeError) -> str:
    """The first sentence, without the place in gloo's sources."""
    text = str(error)
    sentence = text.partition("] ")[2] if text.startswith("[") else text
    return reason(RuntimeError(sentence.partition(". ")[0][:200]))


def _is_about_peers(error: RuntimeError) -> bool:
    """Whether an exchange has failed; gloo says so in plain runtime errors."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def check_devices(device: torch.device, named: str, launch: Launch, gpus: Callable[[], int]) -> None:
    """Refuse more processes on a machine than its GPUs can serve; ``named`` is what the user asked for."""
    here = launch.local_world
    if not launch.together or device.type == "cpu":
        return
    if device.type != "cuda":
        raise UsageError(f"device {device.type} serves one process, got {launch.world}; leave out torchrun")
    if ":" in named and here > 1:
        raise UsageError(f"device {named} is one GPU for {here} processes; pass --device cuda")
    if here > gpus():
        raise UsageError(f"{here} processes for {gpus()} GPUs; start torchrun with one process a GPU")
