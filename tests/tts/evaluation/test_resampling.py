"""Resamples as functions of the seed and of their number."""

from __future__ import annotations

import torch

from tts.evaluation.resampling import all_weights, half_of, order, weights


def test_a_resample_depends_on_seed_and_number_alone() -> None:
    torch.manual_seed(0)
    few = all_weights(100, 3, 5)
    torch.manual_seed(1)
    many = all_weights(100, 8, 5)
    torch.testing.assert_close(many[:3], few, rtol=0, atol=0)
    torch.testing.assert_close(weights(100, 7, 5).to(torch.int16), many[7], rtol=0, atol=0)
    assert len({tuple(row.tolist()) for row in many}) == 8
    assert not torch.equal(all_weights(100, 3, 6), few)
    assert not torch.equal(all_weights(100, 3, 5 + (1 << 32)), few)


def test_a_resample_has_as_many_images() -> None:
    for images in (2, 5, 1000):
        assert bool((all_weights(images, 20, 0).sum(dim=1) == images).all())


def test_images_are_drawn_evenly() -> None:
    found = all_weights(50, 2000, 1).double()
    assert float((found.mean(dim=0) - 1).abs().max()) < 0.12  # five standard errors
    assert abs(float(found.var(dim=1).mean()) - 1) < 0.03


def test_a_half_has_half_of_the_images_and_no_copies() -> None:
    for images in (4, 5, 1000):
        assert int(half_of(images, 3, 0).sum()) == images // 2
    shares = torch.stack([half_of(50, number, 2) for number in range(1000)]).double().mean(dim=0)
    assert float((shares - 0.5).abs().max()) < 0.08


def test_an_order_has_every_image() -> None:
    found = order(101, 0, 3)
    assert found.sort().values.tolist() == list(range(101))
    assert not torch.equal(found, order(101, 1, 3))
