"""The place among torchrun's processes."""

from __future__ import annotations

import pytest
import torch

from tts.engine.launch import Launch, agree
from tts.errors import UsageError
from tts.resolve import torch_device

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_alone():
    launch = Launch.from_environment({})
    assert launch == Launch(0, 1, 0, 1, 0)
    assert launch.main
    assert not launch.together
    assert Launch.from_environment({"RANK": "0"}) == launch  # of something else


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


@pytest.mark.parametrize(("local_rank", "device"), [(0, "cuda:0"), (1, "cuda:1"), (2, "cuda:0")])
@pytest.mark.parametrize("text", ["auto", "cuda"])
def test_each_process_has_the_gpu_of_its_local_rank(monkeypatch, text, local_rank, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {**TORCHRUN, "LOCAL_RANK": str(local_rank)}.items():
        monkeypatch.setenv(name, value)
    assert torch_device(text) == torch.device(device)
    assert torch_device("cuda:1") == torch.device("cuda:1")  # as asked for
