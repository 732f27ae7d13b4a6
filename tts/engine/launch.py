"""The place of a process among those that ``torchrun`` started together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from tts.errors import PeerError, TtsError, UsageError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import PrefixStore

T = TypeVar("T")

PARTING = 0.2
"""Seconds between the last exchange of a meeting and its end."""


@dataclass(frozen=True)
class Launch:
    """Rank of ``world`` processes, ``local_rank`` of the ``local_world`` on this machine; alone, 0 of 1.

    ``restarts`` counts how often ``torchrun --max-restarts`` has started these processes anew.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    restarts: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Launch:
        """Read the variables that ``torchrun`` sets; without an address to meet at, a process is alone."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
        if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= set(environment):
            return cls()
        try:
            launch = cls(*(int(environment.get(name, name == "LOCAL_WORLD_SIZE")) for name in names))
        except ValueError as error:
            raise UsageError(f"{', '.join(names)} must be whole numbers, as torchrun sets them") from error
        if not 0 <= launch.rank < launch.world:
            raise UsageError(f"RANK {launch.rank} must be from 0 to below WORLD_SIZE {launch.world}")
        return launch

    @property
    def main(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    @property
    def together(self) -> bool:
        """Whether there are others."""
        return self.world > 1


_meetings = count()


@contextmanager
def meeting(launch: Launch, backend: str = "gloo") -> Iterator[PrefixStore]:
    """Let the processes of a launch talk to each other inside the block, which gets the meeting's store.

    Each meeting has names of its own in torchrun's store, which keeps the addresses of earlier ones. Parting
    waits until gloo's threads have let go of the last exchange: they need Python's lock for that, which the
    end of a group holds while it waits for them.
    """
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, rank, world = next(rendezvous("env://"))
    store = PrefixStore(f"meeting-{launch.restarts}-{next(_meetings)}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield store
    finally:
        time.sleep(PARTING)
        dist.destroy_process_group()


def agree(launch: Launch, decide: Callable[[], T]) -> T:
    """Run ``decide`` in rank 0 and give its result to all ranks; an error of it ends all of them.

    The other ranks raise ``PeerError``, which prints nothing, with the same exit code.
    """
    if not launch.together:
        return decide()
    with meeting(launch):
        return lead(launch.main, decide)


def lead(main: bool, work: Callable[[], T]) -> T:
    """In a meeting: do something in rank 0 and give the result to all; an error of it ends all of them."""
    import torch.distributed as dist

    box: list[Any] = [None, None]
    failure: BaseException | None = None
    if main:
        try:
            box[0] = work()
        except BaseException as error:  # the others must hear of any end
            failure, box = error, [None, getattr(error, "exit_code", TtsError.exit_code)]
    dist.broadcast_object_list(box, src=0)
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise PeerError(box[1])
    return box[0]
