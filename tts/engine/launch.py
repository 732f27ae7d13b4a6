"""The place of a process among those that ``torchrun`` started together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tts.errors import PeerError, TtsError, UsageError

T = TypeVar("T")


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
        """Read the variables that ``torchrun`` sets."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
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


def agree(launch: Launch, decide: Callable[[], T]) -> T:
    """Run ``decide`` in rank 0 and give its result to all ranks; an error of it ends all of them.

    The other ranks raise ``PeerError``, which prints nothing, with the same exit code.
    """
    if not launch.together:
        return decide()
    import torch.distributed as dist

    dist.init_process_group("gloo")
    try:
        box: list[Any] = [None, None]
        failure: Exception | None = None
        if launch.main:
            try:
                box = [decide(), None]
            except Exception as error:
                failure, box = error, [None, getattr(error, "exit_code", TtsError.exit_code)]
        dist.broadcast_object_list(box, src=0)
    finally:
        dist.destroy_process_group()
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise PeerError(box[1])
    return box[0]
