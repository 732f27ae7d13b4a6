"""The processes of a training: one alone, and two that torchrun starts."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest
import torch

from tts.engine.launch import Launch
from tts.errors import PeerError, RunError
from tts.scorers.team import Team, check_devices

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


def test_one_process_is_a_team():
    with Team() as team:
        assert (team.rank, team.world, team.main, team.together) == (0, 1, True, False)
        network = torch.nn.Linear(2, 1)
        assert team.wrap(network) is network
        assert team.total(0.5, 15) == (0.5, 15)
        assert team.total(0.5, None) == (0.5, None)
        assert team.lead(lambda: 7) == 7
        with team.exchanging(network, now=False):
            pass
    assert not torch.distributed.is_initialized()


def test_errors_that_all_see_are_told_by_the_first():
    error = RunError("the loss is nan")
    assert Team().error(error) is error
    silent = Team(Launch(1, 2)).error(error)
    assert isinstance(silent, PeerError)
    assert (str(silent), silent.exit_code) == ("", 1)


def test_a_lost_process_is_one_line_and_other_bugs_are_bugs(refused):
    both, alone = Team(Launch(0, 2)), Team()
    lost = RuntimeError("[/a/third_party/gloo/pair.cc:553] Connection closed by peer [::1]:24979. Typically")
    words = "another process of this training is gone (connection closed by peer [::1]:24979); pass --resume"
    with refused(words, kind=RunError, code=1), both.watching():
        raise lost
    with pytest.raises(RuntimeError, match="gloo"), alone.watching():
        raise lost
    with pytest.raises(RuntimeError, match="shape"), both.watching():
        raise RuntimeError("wrong shape")


@pytest.mark.parametrize(
    ("device", "named", "launch"),
    [
        (CPU, "cpu", Launch(0, 8, 0, 8)),
        (MPS, "mps", Launch()),
        (CUDA, "cuda:1", Launch()),
        (CUDA, "cuda", Launch(0, 2, 0, 2)),
        (CUDA, "cuda:1", Launch(0, 2, 0, 1)),
    ],
)
def test_devices_that_serve(device, named, launch):
    check_devices(device, named, launch, lambda: 2)


@pytest.mark.parametrize(
    ("device", "named", "launch", "words"),
    [
        (MPS, "auto", Launch(0, 2, 0, 2), "device mps serves one process, got 2; leave out torchrun"),
        (CUDA, "cuda:1", Launch(0, 2, 0, 2), "device cuda:1 is one GPU for 2 processes; pass --device cuda"),
        (CUDA, "auto", Launch(0, 3, 0, 3), "3 processes for 2 GPUs; start torchrun with one process a GPU"),
    ],
)
def test_devices_that_do_not(device, named, launch, words, refused):
    with refused(words):
        check_devices(device, named, launch, lambda: 2)


SCRIPT = """
import torch
from tts.engine.launch import Launch
from tts.errors import PeerError, RunError
from tts.scorers.team import Team

launch = Launch.from_environment()
for meeting in range(3):  # addresses of earlier meetings must not be found
    with Team(launch) as team:
        network = torch.nn.Linear(1, 1, bias=False)
        model = team.wrap(network)
        for part in (1, 2):
            with team.exchanging(model, now=part == 2):
                model(torch.tensor([[float(part * (team.rank + 1))]])).sum().backward()
        assert network.weight.grad.item() == (1 + 2 + 2 + 4) / 2, network.weight.grad
        assert team.total(team.rank + 0.5, None if team.rank == 0 else 15) == (2.0, 15)
        assert team.total(1.0, None) == (2.0, None)
        assert team.lead(lambda: launch.rank + 5) == 5

def fail():
    raise RunError("disk is full")

with Team(launch) as team:
    try:
        team.lead(fail)
    except RunError as error:
        assert team.main and str(error) == "disk is full"
    except PeerError as error:
        assert not team.main and error.exit_code == 1
    else:
        raise AssertionError
assert not torch.distributed.is_initialized()
print("done")
"""


@pytest.mark.slow
def test_two_processes_work_together(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(dedent(SCRIPT))
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        [sys.executable, *launch, str(script)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done") == 2
