"""The place of a process among those that ``torchrun`` started together."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from tts.errors import PeerError, RunError, TtsError, UsageError, reason

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import PrefixStore

T = TypeVar("T")

GONE = "torchrun is gone; start the run again"

PARTING = 0.2
"""Seconds between the last exchange of a meeting and its end."""


class PeerLostError(RunError):
    """Another process of the launch is gone."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__(f"another process is gone ({reason(error)[:200]}); run the same command again")


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
_agent = os.getppid()


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

    _check_agent(launch)
    try:
        with _watching_agent(launch):
            store, rank, world = next(rendezvous("env://"))
            store = PrefixStore(f"meeting-{launch.restarts}-{next(_meetings)}", store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    except RuntimeError as error:  # torch.distributed's own
        _check_agent(launch)  # whose store goes with it
        raise RunError(
            f"the {launch.world} processes could not meet ({reason(error)[:200]}); start the run again"
        ) from error
    try:
        yield store
    finally:
        time.sleep(PARTING)
        dist.destroy_process_group()


def _check_agent(launch: Launch) -> None:
    """See that torchrun's agent, which was there before this process, still is: others would wait long."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection(address, timeout=20).close()
    except OSError as error:
        raise RunError(GONE) if launch.local_rank == 0 else PeerError(RunError.exit_code) from error


@contextmanager
def _watching_agent(launch: Launch) -> Iterator[None]:
    """End this process if torchrun's agent dies while it waits for others in C++, which nothing else ends."""
    met = Event()

    def watch() -> None:
        while not met.wait(0.2):
            if os.getppid() != _agent:
                if launch.local_rank == 0:
                    print(f"error: {GONE}", file=sys.stderr, flush=True)
                os._exit(RunError.exit_code)

    if "TORCHELASTIC_RUN_ID" in os.environ:  # others may start processes and leave them
        Thread(target=watch, name="agent", daemon=True).start()
    try:
        yield
    finally:
        met.set()


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
    try:
        dist.broadcast_object_list(box, src=0)
    except RuntimeError as error:
        raise failure or PeerLostError(error) from error
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise PeerError(box[1])
    return box[0]
