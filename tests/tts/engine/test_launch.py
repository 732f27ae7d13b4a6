"""The place among torchrun's processes."""

from __future__ import annotations

import pytest

from tts.engine.launch import Launch, agree
from tts.errors import UsageError

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
