"""The checks say what is wrong with what is no part at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tts import testing
from tts.errors import TtsError
from tts.selectors import GreedySelector

CHECKS = [name for name in testing.__all__ if name.startswith("check_")]
THINGS = {
    "nothing": None,
    "name": "greedy",
    "class": GreedySelector,
    "tensor": torch.ones(2),
    "function": lambda *arguments, **options: None,
}


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("check", CHECKS)
def test_what_is_no_part_breaks_the_contract(check: str, thing: str) -> None:
    with pytest.raises(testing.ConformanceError) as error:
        getattr(testing, check)(THINGS[thing])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": 4}, "scale 4 must be from 0 to 3"),
        ({"scale": -1}, "scale -1 must"),
        ({"labels": (99,)}, "labels must be from 0 to"),
        ({"labels": ()}, "labels must be"),
        ({"candidates": 10**9}, "must be that of a candidate"),
        ({"candidates": 0}, "must be that of a candidate"),
        ({"backbone": None}, "backbone must be an object with info and begin"),
    ],
)
def test_proposals_of_what_there_is_not_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TtsError) as error:
        testing.proposals_of(**{"backbone": testing.ToyBackbone(), "scale": 1, **changes})
    assert words in str(error.value)
