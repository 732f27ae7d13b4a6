"""Philox 4x32-10 against its published known answers, and what the draws depend on."""

from __future__ import annotations

import pytest
import torch

from tts.noise import philox, random_tokens, selection_uniforms, to_uniform, token_uniforms
from tts.noise_streams import Stream

# Random123's kat_vectors: counter, key, expected words of philox4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_known_answers(counter, key, expected):
    words = philox(tuple(torch.tensor([c]) for c in counter), tuple(torch.tensor([k]) for k in key))
    assert tuple(int(w) for w in words) == expected


def test_a_draw_depends_on_seed_scale_candidate_and_position_only():
    seeds = torch.tensor([5, 2**40 + 7, 11])
    many = token_uniforms(seeds, Stream.SAMPLE, 3, range(128), 36)
    few = token_uniforms(seeds[1:2], Stream.SAMPLE, 3, range(2, 6), 36)
    short = token_uniforms(seeds, Stream.SAMPLE, 3, range(128), 5)
    assert torch.equal(few[0], many[1, 2:6])
    assert torch.equal(short, many[..., :5])


def test_each_image_may_have_candidates_of_its_own():
    seeds = torch.tensor([5, 2**40 + 7, 11])
    all_of_them = token_uniforms(seeds, Stream.SAMPLE, 3, range(9), 10)
    numbers = torch.tensor([[8, 0], [3, 3], [1, 7]])
    own = token_uniforms(seeds, Stream.SAMPLE, 3, numbers, 10)
    assert torch.equal(own, all_of_them[torch.arange(3)[:, None], numbers])


def test_seeds_scales_candidates_positions_and_streams_all_matter():
    seeds = torch.tensor([1, 2, 1 + 2**32])
    base = token_uniforms(seeds, Stream.SAMPLE, 2, range(3), 9)
    assert base.unique().numel() == base.numel()
    other_scale = token_uniforms(seeds, Stream.SAMPLE, 3, range(3), 9)
    other_stream = token_uniforms(seeds, Stream.COLLECT, 2, range(3), 9)
    selection = selection_uniforms(seeds, Stream.SAMPLE, 2, 3)
    for other in (other_scale, other_stream):
        assert not torch.isclose(other, base, atol=1e-6).any()
    assert not torch.isclose(selection, base[..., 0], atol=1e-6).any()


def test_uniforms_are_inside_the_open_interval_at_the_extremes():
    extremes = to_uniform(torch.tensor([0, 2**32 - 1]))
    assert 0 < extremes[0] < extremes[1] < 1


def test_uniforms_are_uniform():
    draws = token_uniforms(torch.arange(50), Stream.SAMPLE, 0, range(20), 100).flatten()
    counts = torch.histc(draws, bins=100, min=0, max=1)
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 160  # 99 degrees of freedom: p < 1e-4 above


def test_random_tokens_cover_the_codebook():
    tokens = random_tokens(torch.arange(200), Stream.SAMPLE, 1, 16, 64)
    assert tokens.shape == (200, 16)
    assert tokens.min() == 0
    assert tokens.max() == 63
