"""The parts that the transformers of both families share."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.blocks import KVCache, ScaleTransformer, TransformerSizes, block_causal_mask

SIZES = TransformerSizes(
    schedule=(1, 2, 3), depth=2, width=128, heads=2, classes=3, codebook_size=7, channels=4
)
LENGTHS = (1, 4, 9)


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = ScaleTransformer(SIZES, shared_adaln=False)
        torch.nn.init.normal_(made.pos_start)
    return made.eval().requires_grad_(False)


@pytest.fixture
def tokens():
    return torch.randn(2, sum(LENGTHS), 128, generator=torch.Generator().manual_seed(1))


def test_a_token_sees_its_own_scale_and_those_before():
    mask = block_causal_mask(LENGTHS, torch.device("cpu"))
    assert mask.dtype == torch.bool
    scale = [0] + 4 * [1] + 9 * [2]
    assert mask.tolist() == [[theirs <= mine for theirs in scale] for mine in scale]


def test_the_cache_gives_the_prefix_up_to_the_last_scale():
    cache = KVCache(2, 3, 5, torch.zeros(1, dtype=torch.bfloat16))
    first, second = (torch.randn(2, 3, n, 64).bfloat16() for n in (1, 4))
    keys, values = cache.update(first, -first, 0)
    assert torch.equal(keys, first)
    keys, values = cache.update(second, -second, 1)
    assert torch.equal(keys, torch.cat((first, second), dim=2))
    assert torch.equal(values, -keys)


def test_scale_by_scale_equals_all_at_once(net, tokens, error, rounding):
    condition = net.condition(torch.tensor([2, 3]))
    modulations, caches = net.modulations(condition), net.new_caches(2, sum(LENGTHS))
    parts, start = [], 0
    for part in tokens.split(LENGTHS, dim=1):
        parts.append(net.cached(part, condition, modulations, caches, start))
        start += part.shape[1]
    assert error(torch.cat(parts, dim=1), net.teacher_forced(tokens, condition, LENGTHS)) < rounding(256, 8)


def test_later_scales_change_nothing_before_them(net, tokens):
    condition = net.condition(torch.tensor([0, 1]))
    changed = tokens.clone()
    changed[:, 5:] += 1
    before, after = (net.teacher_forced(x, condition, LENGTHS) for x in (tokens, changed))
    torch.testing.assert_close(before[:, :5], after[:, :5], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_the_unconditional_class_comes_last(net):
    assert net.condition(torch.tensor([3])).shape == (1, 128)
    with pytest.raises(IndexError):
        net.condition(torch.tensor([4]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_spares_the_head(dtype):
    made = ScaleTransformer(SIZES, shared_adaln=True).half_precision_(dtype)
    for name, parameter in made.named_parameters():
        assert parameter.dtype == (torch.float32 if name.startswith("head.") else dtype), name
    assert made.new_caches(1, 2)[0].keys.dtype == dtype
