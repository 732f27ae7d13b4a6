"""Resamples as functions of the seed and of their number."""

from __future__ import annotations

import pytest
import torch

from tts.evaluation.resampling import halves, order, without_groups


def test_a_half_depends_on_seed_and_number_alone() -> None:
    torch.manual_seed(0)
    few = halves(100, 3, 5)
    torch.manual_seed(1)
    many = halves(100, 8, 5)
    assert torch.equal(many[:3], few)
    assert len({tuple(row.tolist()) for row in many}) == 8
    assert not torch.equal(halves(100, 3, 6), few)
    assert not torch.equal(halves(100, 3, 5 + (1 << 32)), few)


def test_a_half_has_half_of_the_images() -> None:
    for images in (4, 5, 1000):
        assert halves(images, 3, 0).sum(dim=1).tolist() == [images // 2] * 3
    shares = halves(50, 1000, 2).double().mean(dim=0)
    assert float((shares - 0.5).abs().max()) < 0.08  # five standard errors


@pytest.mark.parametrize(("images", "most", "size"), [(12, 20, 1), (12, 4, 3), (130, 100, 2), (103, 10, 11)])
def test_every_group_is_as_large_and_left_out_once(images: int, most: int, size: int) -> None:
    left = ~without_groups(images, most, 3)
    assert len(left) == images // size <= most
    assert set(left.sum(dim=1).tolist()) == {size}
    assert int(left.sum(dim=0).max()) == 1
    assert not torch.equal(left, ~without_groups(images, most, 4)) or size == 1


def test_an_order_has_every_image() -> None:
    found = order(101, 0, 3)
    assert found.sort().values.tolist() == list(range(101))
    assert not torch.equal(found, order(101, 1, 3))
