"""The selector keeps what its threshold says."""

from __future__ import annotations

import pytest
import torch
from tts_select_accept import accept

import tts
from tts.errors import UsageError
from tts.testing import check_selector


def choose(scores, argument=None):
    scores = torch.tensor(scores)
    empty = torch.zeros(scores.shape)
    context = tts.SelectionContext(
        1, empty[:, 0], scores, empty, lambda: empty[..., None].long(), lambda: empty
    )
    return accept(tts.SelectorRequest(argument=argument)).select(context).tolist()


@pytest.mark.parametrize("argument", [None, "-1.5"])
def test_the_contract_is_kept(argument):
    check_selector(accept(tts.SelectorRequest(argument=argument)))


def test_the_first_candidate_above_the_threshold_is_kept():
    assert choose([[-1.0, 0.2, 3.0], [0.0, 5.0, 1.0]]) == [1, 0]
    assert choose([[-1.0, 0.2, 3.0]], "1.5") == [2]


def test_the_best_is_kept_if_none_passes():
    assert choose([[-3.0, -1.0, -2.0]]) == [1]


def test_a_threshold_that_is_no_number_is_one_line():
    with pytest.raises(UsageError, match="'high' is no number"):
        choose([[0.0]], "high")
