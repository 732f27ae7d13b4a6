"""Parts of a batch: their sizes and weights, and dropout as in the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tts.scorers.parallel import Part, PartDropout, cut


@pytest.mark.parametrize("count", [1, 2, 3, 7, 128])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_cover_the_batch_evenly(count, parts):
    pieces = cut(count, parts)
    assert len(pieces) == parts
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(count))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert sum(piece.weight for piece in pieces) == pytest.approx(1)
    assert [piece.borrowed for piece in pieces] == [size == 0 for size in sizes]


def test_a_part_without_pairs_borrows_the_first_and_weighs_nothing():
    part = Part(5, 5, 8)
    assert part.borrowed
    assert part.rows == (0, 1)
    assert part.weight == 0
    assert Part(2, 5, 8).rows == (2, 5)
    assert Part(2, 5, 8).weight == 3 / 8


def batch(groups=3, count=7):
    rows = torch.randn(groups, count, 4, 2, generator=torch.Generator().manual_seed(1))
    return rows, rows.flatten(0, 1)


@pytest.mark.parametrize("part", [Part(0, 7, 7), Part(0, 2, 7), Part(2, 5, 7), Part(6, 7, 7), Part(3, 3, 7)])
def test_rows_are_dropped_as_in_the_whole_batch(part):
    rows, whole = batch()
    torch.manual_seed(4)
    expected = nn.Dropout(0.3)(whole).unflatten(0, (3, 7))[:, slice(*part.rows)].flatten(0, 1)
    after = torch.rand(3)
    layer = PartDropout(0.3)
    layer.part = part
    torch.manual_seed(4)
    assert torch.equal(layer(rows[:, slice(*part.rows)].flatten(0, 1)), expected)
    assert torch.equal(torch.rand(3), after)  # and draws as much


def test_half_precision_stays_half_precision():
    layer = PartDropout(0.3)
    layer.part = Part(0, 2, 7)
    assert layer(torch.ones(6, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_without_a_part_and_in_evaluation_it_is_plain_dropout():
    _, whole = batch()
    layer = PartDropout(0.3)
    torch.manual_seed(4)
    expected = nn.Dropout(0.3)(whole)
    torch.manual_seed(4)
    assert torch.equal(layer(whole), expected)
    layer.part = Part(0, 2, 7)
    assert torch.equal(layer.eval()(whole), whole)
    assert not layer.state_dict()
