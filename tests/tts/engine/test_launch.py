"""The place among torchrun's processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch.distributed  # noqa: F401  (a module of its own name is hidden by a function)

from tts.engine.launch import Launch, agree
from tts.errors import PeerError, RunError, UsageError

PLACE = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
TORCHRUN = {**PLACE, "MASTER_ADDR": "node0"}


def test_alone():
    launch = Launch.from_environment({})
    assert launch == Launch(0, 1, 0, 1, 0)
    assert launch.main
    assert not launch.together
    assert Launch.from_environment({"RANK": "0"}) == launch  # of something else
    assert Launch.from_environment(PLACE) == launch  # with nowhere to meet


def test_under_torchrun():
    launch = Launch.from_environment({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "2"})
    assert launch == Launch(rank=5, world=8, local_rank=1, local_world=4, restarts=2)
    assert launch.together
    assert not launch.main


@pytest.mark.parametrize("changes", [{"RANK": "x"}, {"RANK": "8"}, {"RANK": "-1"}, {"WORLD_SIZE": ""}])
def test_variables_that_make_no_sense(changes):
    with pytest.raises(UsageError, match="RANK"):
        Launch.from_environment({**TORCHRUN, **changes})


def test_one_process_decides_for_itself():
    assert agree(Launch(), lambda: 7) == 7
    with pytest.raises(UsageError, match="no"):
        agree(Launch(), lambda: (_ for _ in ()).throw(UsageError("no")))


AGENT = """
import os, subprocess, sys
worker = "from tts.engine.launch import *; import torch.distributed; print('here', flush=True);" \
    "agree(Launch.from_environment(), lambda: 1)"
subprocess.run([sys.executable, "-c", worker])
"""


def test_a_process_whose_agent_dies_before_the_meeting_ends():
    with socket.create_server(("127.0.0.1", 0)) as mute:  # the others never come
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(mute.getsockname()[1])}
        place = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "TORCHELASTIC_USE_AGENT_STORE": "True"}
        place["TORCHELASTIC_RUN_ID"] = "x"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT], env={**os.environ, **place, **meeting}, **pipes
        )
        assert agent.stdout.readline() == "here\n"
        agent.kill()
        _, stderr = agent.communicate(timeout=60)  # the end of the pipe, which the worker holds, too
    assert stderr.splitlines()[-1] == "error: torchrun is gone; start the run again"


def test_an_agent_that_was_gone_before_is_not_waited_for_long(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for name, value in {
        **PLACE,
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(RunError, match="torchrun is gone; start the run again"):
        agree(Launch.from_environment(), lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(PeerError):  # one a machine says so
        agree(Launch.from_environment(), lambda: 1)


def test_processes_that_cannot_meet_are_told_in_one_line(monkeypatch):
    def fail(url):
        raise RuntimeError("timed out\nframe #0")

    monkeypatch.setattr(sys.modules["torch.distributed.rendezvous"], "rendezvous", fail)
    with pytest.raises(RunError, match=r"the 8 processes could not meet .timed out frame #0.; start the run"):
        agree(Launch(5, 8, 1, 4), lambda: 1)
