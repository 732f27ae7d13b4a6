"""The Frechet distance of weighted images against that of repeated ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tts.evaluation import frechet_spread
from tts.evaluation.frechet import FrechetStatistics, frechet_parts
from tts.evaluation.frechet_spread import resampled_parts

D = 12


def _features(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, D, generator=generator) * torch.logspace(0, -2, D) + shift


REFERENCES = {
    "of many images": FrechetStatistics.of(_features(200, 0)),
    "of few images": FrechetStatistics.of(_features(7, 1)),
    "stored": FrechetStatistics.stored(np.ones(D), np.eye(D)),
}


@pytest.mark.parametrize("images", [6, 150])
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("block", [13, 8192])
@pytest.mark.parametrize("left_out", [0, 3])
def test_weights_serve_as_copies_do(
    name: str, images: int, block: int, left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frechet_spread, "BLOCK", block)
    reference, features = REFERENCES[name], _features(images, 2, shift=3.0)
    weights = torch.randint(1, 4, (5, images), generator=torch.Generator().manual_seed(0), dtype=torch.int16)
    weights[:, :left_out] = 0  # so that resamples differ in the number of their images
    for found, chosen in zip(resampled_parts(features, reference, weights), weights, strict=True):
        repeated = FrechetStatistics.of(features.repeat_interleave(chosen.long(), dim=0))
        expected = frechet_parts(reference, repeated)
        assert found.mean_diff2 == pytest.approx(expected.mean_diff2, rel=1e-9)
        assert found.trace_a == pytest.approx(expected.trace_a, rel=1e-12)
        assert found.trace_b == pytest.approx(expected.trace_b, rel=1e-9)
        assert found.two_trace_sqrt == pytest.approx(expected.two_trace_sqrt, rel=1e-6)
