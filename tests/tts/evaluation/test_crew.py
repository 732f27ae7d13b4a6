"""Processes that judge images together; here threads stand for them, with a store in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore

from tts.engine.launch import Launch
from tts.errors import PeerError, RunError, UsageError
from tts.evaluation.crew import Crew


class Member(Crew):
    """A process that has met the others already."""

    def __init__(self, rank: int, world: int, store: PrefixStore) -> None:
        super().__init__(Launch(rank, world))
        self.met = store

    def __enter__(self) -> Crew:
        """Take the common store."""
        self._store = self.met
        return self


def members(world: int) -> list[Member]:
    store = PrefixStore("test", dist.HashStore())
    return [Member(rank, world, store) for rank in range(world)]


def together(crew: list[Member], work: Callable[[Crew], object]) -> list[BaseException | None]:
    """What each process ends with."""

    def run(member: Member) -> BaseException | None:
        try:
            with member:
                work(member)
        except BaseException as error:
            return error
        return None

    with ThreadPoolExecutor(len(crew)) as threads:
        return list(threads.map(run, crew))


def test_a_process_alone_waits_for_nobody() -> None:
    with Crew() as crew:
        crew.wait()
        crew.check()
        assert list(crew.part(5)) == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="mine"), Crew():
        raise UsageError("mine")


def test_all_wait_for_the_last() -> None:
    arrived: list[int] = []
    seen: list[int] = []

    def work(crew: Crew) -> None:
        time.sleep(0.1 * crew.launch.rank)
        arrived.append(crew.launch.rank)
        crew.wait()
        seen.append(len(arrived))

    assert together(members(3), work) == [None] * 3
    assert seen == [3, 3, 3]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_of_one_ends_the_others_in_silence(failing: int) -> None:
    def work(crew: Crew) -> None:
        if crew.launch.rank == failing:
            raise UsageError("no such file")
        crew.wait()

    ends = together(members(3), work)
    for rank, end in enumerate(ends):
        if rank == failing:
            assert str(end) == "no such file"
        else:
            assert isinstance(end, PeerError)
            assert (str(end), end.exit_code) == ("", 2)


def test_work_ends_at_its_next_step_when_another_has_failed() -> None:
    failed = threading.Event()

    def work(crew: Crew) -> None:
        if crew.main:
            failed.set()
            raise RunError("full")
        failed.wait(10)
        for _ in range(500):
            crew.check()
            time.sleep(0.01)

    said, silent = together(members(2), work)
    assert str(said) == "full"
    assert isinstance(silent, PeerError)
    assert silent.exit_code == 1


def test_an_error_that_all_see_is_said_once() -> None:
    def work(crew: Crew) -> None:
        raise UsageError("for all")

    ends = together(members(4), work)
    assert sorted(str(end) for end in ends) == ["", "", "", "for all"]
    assert all(getattr(end, "exit_code", None) == 2 for end in ends)


def test_a_bug_keeps_its_traceback_everywhere() -> None:
    def work(crew: Crew) -> None:
        raise KeyError("bug")

    assert all(isinstance(end, KeyError) for end in together(members(2), work))


def test_the_loss_of_a_process_is_one_line(monkeypatch: pytest.MonkeyPatch, refused: Any) -> None:
    def closed(*args: object) -> None:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")

    monkeypatch.setattr(dist, "send", closed)
    monkeypatch.setattr(dist, "recv", closed)
    with refused("another process is gone", "run the same command again", kind=RunError, code=1):
        Crew().send(torch.zeros(2))
    with refused("another process is gone", kind=RunError, code=1):
        Crew().receive(torch.zeros(2), 1)
