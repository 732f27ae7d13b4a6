"""The processes that judge images together: each takes its part of every set, and rank 0 gathers.

They agree by torchrun's store, so that one may wait for another for hours, and exchange features by gloo.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore

from tts.engine.launch import Launch, PeerLostError, meeting
from tts.errors import PeerError, TtsError

PAUSE = 0.05
"""Seconds between two looks at the store."""

_FAILED, _CODE = "failed", "code"


class Crew:
    """One process, or those of a launch, joined in a ``with`` block; all of them must do the same steps.

    An error ends all: the process that fails first says why, the others end in silence with its exit code.
    """

    def __init__(self, launch: Launch | None = None) -> None:
        self.launch = launch or Launch()
        self.main, self.together = self.launch.main, self.launch.together
        self._meeting = ExitStack()
        self._store: PrefixStore | None = None
        self._steps = 0

    def __enter__(self) -> Crew:
        """Meet the others."""
        if self.together:
            self._store = self._meeting.enter_context(meeting(self.launch))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Part when all are done, or tell the others of an error."""
        try:
            if error is None:
                self.wait()
            elif self._store is not None and not isinstance(error, PeerError):
                self._tell(self._store, error)
        finally:
            self._meeting.close()

    def part(self, count: int, rank: int | None = None) -> range:
        """The rows of a process among ``count``: consecutive ones, whose numbers differ by one at most."""
        rank = self.launch.rank if rank is None else rank
        least, more = divmod(count, self.launch.world)
        first = rank * least + min(rank, more)
        return range(first, first + least + (rank < more))

    def check(self) -> None:
        """End this process too if another one has failed."""
        if self._store is not None and self._store.add(_FAILED, 0):
            raise PeerError(int(self._store.get(_CODE)))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self._store is None:
            return
        self._steps += 1
        name = f"step-{self._steps}"
        self._store.add(name, 1)
        while self._store.add(name, 0) < self.launch.world:
            self.check()
            time.sleep(PAUSE)
        self.check()

    def send(self, tensor: Tensor) -> None:
        """Send a tensor to rank 0, which must be receiving."""
        self._exchange(lambda: dist.send(tensor.contiguous(), 0))

    def receive(self, tensor: Tensor, rank: int) -> None:
        """Fill a contiguous tensor with what a process sends."""
        self._exchange(lambda: dist.recv(tensor, rank))

    def _exchange(self, transfer: Callable[[], object]) -> None:
        try:
            transfer()
        except RuntimeError as error:  # gloo's own, where a process has gone
            self.check()
            raise PeerLostError(error) from error

    def _tell(self, store: PrefixStore, error: BaseException) -> None:
        """Note a failure for the others; only the first one is said."""
        if store.add(_FAILED, 1) == 1:
            store.set(_CODE, str(getattr(error, "exit_code", TtsError.exit_code)))
        elif isinstance(error, TtsError):
            raise PeerError(int(store.get(_CODE))) from error
