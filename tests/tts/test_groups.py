"""Groups of images by their number of candidates."""

from __future__ import annotations

import pytest
import torch

from tts.checks import check_counts
from tts.errors import ShapeError
from tts.groups import EVERY, grouped, portions, unscored

CPU = torch.device("cpu")


def listed(found, batch):
    return [(list(part), torch.arange(batch)[rows].tolist()) for part, rows in found]


def test_equal_numbers_are_one_group_of_all():
    (group,) = grouped((4, 4, 4), CPU)
    assert (group.count, group.rows) == (4, EVERY)


def test_groups_come_by_their_number():
    found = [(group.count, group.rows.tolist()) for group in grouped((8, 1, 3, 8, 3), CPU)]
    assert found == [(1, [1]), (3, [2, 4]), (8, [0, 3])]


def test_portions_hold_the_images_that_have_all_of_them():
    groups = grouped((5, 1, 3, 5, 3), CPU)
    assert listed(portions(groups, 100), 5) == [([0, 1, 2], [0, 2, 3, 4]), ([3, 4], [0, 3])]
    assert listed(portions(groups, 2), 5) == [
        ([0, 1], [0, 2, 3, 4]),
        ([2], [0, 2, 3, 4]),
        ([3, 4], [0, 3]),
    ]


def test_portions_of_all_images_need_no_list_of_them():
    assert [rows for _, rows in portions(grouped((4, 4), CPU), 3)] == [EVERY, EVERY]
    rows = [rows for _, rows in portions(grouped((2, 4), CPU), 3)]
    assert rows[0] == EVERY
    assert rows[1].tolist() == [1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_portions_cover_every_choice_once(size):
    counts = (1, 9, 2, 4, 4, 1, 30)
    seen = torch.zeros(7, 30, dtype=torch.int64)
    for part, rows in portions(grouped(counts, CPU), size):
        assert 1 <= len(part) <= size
        seen[rows, part.start : part.stop] += 1
    wanted = [[int(m < count and count > 1) for m in range(30)] for count in counts]
    assert seen.tolist() == wanted


def test_scores_of_absent_candidates_are_minus_infinity():
    scores = unscored(grouped((1, 3, 2), CPU), 3, CPU)
    assert scores.isneginf().tolist() == [[False, True, True], [False] * 3, [False, False, True]]
    assert scores.isnan().equal(~scores.isneginf())


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([(1, 2)], ("shape (2, 3)", "got (1, 2)")),
        ([(1, 2, 3)], ("shape (2, 3)", "got (1, 3)")),
        ([(1, 2), (1, 2, 3)], ("got (2, 2 or 3)",)),
    ],
)
def test_numbers_that_fit_no_batch_are_refused(refused, counts, words):
    with refused(*words, kind=ShapeError, code=1):
        check_counts(counts, 2, 3)


@pytest.mark.parametrize("bad", [0, -1, 4097, 2.0, True])
def test_numbers_out_of_range_are_refused(refused, bad):
    with refused(f"candidates must be whole numbers from 1 to 4096, got {bad};"):
        check_counts([(1, 2, 3), (1, bad, 3)], 2, 3)
