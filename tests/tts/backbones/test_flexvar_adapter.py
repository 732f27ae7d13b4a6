"""FlexVAR as a backbone: the cache, guidance forms, proposals, images, precision, greedy sides, schedules."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from tts.backbones.flexvar import upsampled_inputs
from tts.backbones.flexvar_adapter import FlexVarBackbone, make_info
from tts.backbones.flexvar_weights import (
    build_tokenizer,
    build_transformer,
    infer_flexvae_config,
    infer_flexvar_config,
)
from tts.backbones.presets import FLEXVAR_SCHEDULES
from tts.specs import FLEXVAR_GUIDANCE, LLAMAGEN_GUIDANCE, BackboneOptions, SamplingDefaults

CPU = torch.device("cpu")
TINY = (1, 2, 3, 4)
LONG = (*range(1, 11), 12, 14, 17)
SCHEDULES = (TINY, (1, 2, 4, 5), (1, 3, 7, 12), (1, 18), LONG)
SCALES = range(4)
# Products in the longest sum, and sums in a row: what ``rounding`` takes.
MAPS = (32, 8)  # codes of 32 channels of length one, scaled up by bicubic interpolation in both directions
LOGITS = (512, 10)  # 5 matrices in each of 2 blocks
IMAGE = (4608, 58)  # 3 x 3 convolutions of 512 channels
LABELS = torch.tensor([3, 7, 0])
NOBODY = 10
"""The unconditional class of the tiny model."""
PUBLISHED = SamplingDefaults(2.5, 900, 0.95)


@pytest.fixture(scope="module")
def parts(synthetic_state):
    """States and configurations of the tiny model."""
    transformer, tokenizer = synthetic_state("flexvar_tiny"), synthetic_state("flexvae_tiny")
    net, code = infer_flexvar_config(transformer, TINY), infer_flexvae_config(tokenizer)
    return SimpleNamespace(transformer=transformer, tokenizer=tokenizer, net=net, code=code)


@pytest.fixture(scope="module")
def make(parts, as_form):
    """Builds the tiny backbone for a schedule, a guidance form, a trained side and a dtype."""

    def build(schedule=None, guidance=None, trained_side=16, dtype=torch.float32):
        net = replace(parts.net, trained_side=trained_side)
        info = make_info("flexvar-test", net, parts.code, PUBLISHED, BackboneOptions(schedule, guidance))
        nets = build_transformer(parts.transformer, net), build_tokenizer(parts.tokenizer, parts.code)
        return as_form(FlexVarBackbone(info, *nets, (), CPU, dtype))

    return build


@pytest.fixture(scope="module")
def tiny(make):
    return make()


@pytest.fixture(scope="module")
def maps():
    """Random token maps (3, 30) at the default schedule."""
    return draw(TINY)


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def draw(schedule, seed=1):
    """Random token maps (3, sum L_k) of a schedule."""
    tokens = sum(side * side for side in schedule)
    return torch.randint(64, (3, tokens), generator=torch.Generator().manual_seed(seed))


def walk(backbone, labels, cfg, maps):
    """The state at each scale with its logits, following given token maps (B, sum L_k)."""
    state = backbone.begin(labels, cfg)
    for tokens in maps.split(backbone.info.lengths, dim=1):
        yield state, state.logits()
        state.commit(tokens)


def forced(backbone, labels, maps):
    """Teacher-forced logits of each scale, without guidance."""
    schedule = backbone.info.schedule
    inputs = upsampled_inputs(backbone.tokenizer.code_maps(maps, schedule))
    return backbone.transformer(labels, inputs, schedule).split(backbone.info.lengths, dim=1)


def both(backbone, maps):
    """Conditional and unconditional logits of each scale."""
    halves = (forced(backbone, labels, maps) for labels in (LABELS, torch.full_like(LABELS, NOBODY)))
    return list(zip(*halves, strict=True))


def make_facts(parts, schedule, trained_side=16, **options):
    """The facts of the tiny model at a schedule."""
    net = replace(parts.net, trained_side=trained_side)
    return make_info("flexvar-test", net, parts.code, PUBLISHED, BackboneOptions(schedule, **options))


# Logits


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_cached_logits_equal_teacher_forced_ones_at_every_scale(make, error, rounding, schedule):
    backbone, maps = make(schedule), draw(schedule)
    expected = forced(backbone, LABELS, maps)
    for (_, logits), reference in zip(walk(backbone, LABELS, 0.0, maps), expected, strict=True):
        assert error(logits, reference) < rounding(*LOGITS)


def test_logits_have_their_shape_and_can_be_asked_for_again(tiny, maps):
    for scale, (state, logits) in enumerate(walk(tiny, LABELS, 2.5, maps)):
        assert logits.shape == (3, tiny.info.lengths[scale], 64)
        assert logits.dtype == torch.float32
        assert torch.equal(state.logits(), logits)


def test_the_class_and_the_tokens_matter(tiny, maps):
    for _, logits in walk(tiny, LABELS, 0.0, maps[:1].expand(3, -1)):
        assert not torch.allclose(logits[0], logits[1])
    other = maps.clone()
    other[:, 0] = (other[:, 0] + 1) % 64
    pairs = zip(walk(tiny, LABELS, 0.0, maps), walk(tiny, LABELS, 0.0, other), strict=True)
    assert [torch.equal(a, b) for (_, a), (_, b) in pairs] == [True, False, False, False]


def test_a_scale_sees_earlier_scales_by_the_cache_though_the_map_replaces_them(tiny, maps):
    other = maps.clone()
    other[:, 1:5] = (other[:, 1:5] + 1) % 64  # the second scale; the third is the input of the last
    pairs = zip(walk(tiny, LABELS, 0.0, maps), walk(tiny, LABELS, 0.0, other), strict=True)
    assert [torch.equal(a, b) for (_, a), (_, b) in pairs] == [True, True, False, False]


def test_an_image_does_not_depend_on_its_batch(tiny, maps, error, rounding):
    together = list(walk(tiny, LABELS, 2.5, maps))
    images = together[-1][0].decode()
    for row in range(3):
        part = slice(row, row + 1)
        alone = list(walk(tiny, LABELS[part], 2.5, maps[part]))
        for (_, ours), (_, theirs) in zip(alone, together, strict=True):
            assert error(ours, theirs[part]) < rounding(*LOGITS)
        assert error(alone[-1][0].decode(), images[part]) < rounding(*IMAGE)
        assert error(tiny.decode(maps[part]), images[part]) < rounding(*IMAGE)


# Guidance


@pytest.mark.parametrize(("form", "off"), [(FLEXVAR_GUIDANCE, 0.0), (LLAMAGEN_GUIDANCE, 1.0)])
def test_guidance_that_is_off_is_the_conditional_half_and_needs_half_the_rows(
    make, maps, error, rounding, form, off
):
    backbone = make(guidance=form)
    assert backbone.info.guidance.off == off
    rows = {cfg: backbone.begin(LABELS, cfg).session.condition.shape[0] for cfg in (0.0, 1.0, 2.5)}
    assert rows == {0.0: 6, 1.0: 6, 2.5: 6, off: 3}
    for (_, logits), (cond, _) in zip(walk(backbone, LABELS, off, maps), both(backbone, maps), strict=True):
        assert error(logits, cond) < rounding(*LOGITS)
    nearly = walk(backbone, LABELS, off + 1e-6, maps)  # the guided computation tends to the plain one
    for (_, logits), (cond, _) in zip(nearly, both(backbone, maps), strict=True):
        assert error(logits, cond) < 1e-4


def test_llamagen_guidance_of_zero_is_the_unconditional_model(make, maps, error, rounding):
    backbone = make(guidance=LLAMAGEN_GUIDANCE)
    steps = walk(backbone, LABELS, 0.0, maps)
    for (_, logits), (cond, uncond) in zip(steps, both(backbone, maps), strict=True):
        assert error(logits, uncond) < rounding(*LOGITS)
        assert error(logits, cond) > 1e-3


@pytest.mark.parametrize("schedule", [TINY, (1, 3, 18)], ids=str)
@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_llamagen_guidance_is_the_other_form_at_constant_strength(make, error, rounding, schedule, strength):
    backbone, maps = make(schedule, LLAMAGEN_GUIDANCE), draw(schedule)
    t = strength - 1
    steps = walk(backbone, LABELS, strength, maps)
    for (_, logits), (cond, uncond) in zip(steps, both(backbone, maps), strict=True):
        assert error(logits, (1 + t) * cond - t * uncond) < rounding(*LOGITS)


RAMPS = [
    ((1, 4), 16, (0, 2.5)),
    (TINY, 16, (0, 2.5 / 3, 5 / 3, 2.5)),
    (tuple(range(1, 11)), 16, tuple(2.5 * k / 9 for k in range(10))),
    # eleven scales: the ramp ends at index 9 and goes on above cfg
    (tuple(range(1, 12)), 16, tuple(2.5 * k / 9 for k in range(11))),
    (LONG, 16, (*(2.5 * k / 9 for k in range(12)), 2.5)),
    ((1, 2, 17, 18), 16, (0, 2.5 / 3, 2.5, 2.5)),
    ((1, 2, 4, 5), 2, (0, 2.5 / 3, 2.5, 2.5)),
    ((1, 16, 18), 32, (0, 1.25, 2.5)),
]


@pytest.mark.parametrize(("schedule", "trained_side", "strengths"), RAMPS)
def test_the_published_guidance_grows_with_the_scale(
    make, error, rounding, schedule, trained_side, strengths
):
    backbone, maps = make(schedule, trained_side=trained_side), draw(schedule)
    assert backbone.info.guidance == FLEXVAR_GUIDANCE
    steps = walk(backbone, LABELS, 2.5, maps)
    for (_, logits), (cond, uncond), t in zip(steps, both(backbone, maps), strengths, strict=True):
        assert error(logits, (1 + t) * cond - t * uncond) < rounding(*LOGITS)


# Proposals


@pytest.mark.parametrize("scale", SCALES)
def test_a_proposal_is_the_upsampled_code_map_of_the_candidate_alone(
    tiny, parts, maps, error, rounding, scale
):
    side = TINY[scale]
    candidates = torch.randint(64, (3, 5, side * side), generator=torch.Generator().manual_seed(scale))
    codes = F.normalize(parts.tokenizer["quantize.embedding.weight"], dim=-1)
    rows = codes[candidates].movedim(-1, 2).reshape(15, 32, side, side)
    expected = F.interpolate(rows, size=(4, 4), mode="bicubic").unflatten(0, (3, 5))
    for labels, before in ((LABELS, maps), (LABELS + 1, draw(TINY, seed=2))):
        state = tiny.begin(labels, 2.5)
        for tokens in before.split(tiny.info.lengths, dim=1)[:scale]:
            state.logits()
            state.commit(tokens)
        proposed = state.propose(candidates)
        assert proposed.shape == (3, 5, 32, 4, 4)
        assert proposed.dtype == torch.float32
        assert error(proposed, expected) < rounding(*MAPS)
    given = list(maps.split(tiny.info.lengths, dim=1))
    for m in range(5):
        given[scale] = candidates[:, m]
        assert torch.equal(tiny.views(torch.cat(given, dim=1))[scale], proposed[:, m])


def test_proposing_changes_nothing(tiny, maps):
    plain = [logits for _, logits in walk(tiny, LABELS, 2.5, maps)]
    for scale, (state, logits) in enumerate(walk(tiny, LABELS, 2.5, maps)):
        assert torch.equal(logits, plain[scale])
        code_map = None if state.code_map is None else state.code_map.clone()
        keys = [cache.keys.clone() for cache in state.session.caches]
        candidates = torch.full((3, 4, tiny.info.lengths[scale]), 7)
        first, second = state.propose(candidates), state.propose(candidates)
        assert torch.equal(first, second)
        assert torch.equal(candidates, torch.full_like(candidates, 7))
        assert (state.code_map is None) is (code_map is None) is (scale == 0)
        assert code_map is None or torch.equal(state.code_map, code_map)
        assert state.scale == scale
        stop = sum(tiny.info.lengths[: scale + 1])  # the rest is not written yet
        for cache, before in zip(state.session.caches, keys, strict=True):
            assert torch.equal(cache.keys[:, :, :stop], before[:, :, :stop])


def test_committing_keeps_the_last_map_and_leaves_the_callers_tensors_alone(tiny, maps):
    labels, given = LABELS.clone(), maps.clone()
    expected = tiny.tokenizer.code_maps(maps, TINY)
    state = tiny.begin(labels, 2.5)
    for scale, tokens in enumerate(given.split(tiny.info.lengths, dim=1)):
        state.logits()
        state.commit(tokens)
        assert state.scale == scale + 1
        assert torch.equal(state.code_map, expected[scale])
    assert torch.equal(labels, LABELS)
    assert torch.equal(given, maps)


@pytest.mark.parametrize("schedule", [TINY, (1, 2, 4, 5), (1, 7)], ids=str)
def test_views_are_proposals_at_every_scale(make, schedule):
    backbone, maps = make(schedule), draw(schedule)
    views = backbone.views(maps)
    state = backbone.begin(LABELS, 0.0)
    for view, tokens in zip(views, maps.split(backbone.info.lengths, dim=1), strict=True):
        assert view.shape == (3, 32, schedule[-1], schedule[-1])
        state.logits()
        assert torch.equal(state.propose(tokens[:, None])[:, 0], view)
        state.commit(tokens)


# Images


def test_an_image_depends_on_the_last_map_alone(tiny, maps):
    images = tiny.decode(maps)
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == torch.float32
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    other = draw(TINY, seed=2)
    other[:, 14:] = maps[:, 14:]
    assert torch.equal(tiny.decode(other), images)
    state = tiny.begin(LABELS + 1, 0.0)
    for tokens in other.split(tiny.info.lengths, dim=1):
        state.commit(tokens)
    assert torch.equal(state.decode(), images)
    other[:, -1] = (other[:, -1] + 1) % 64
    assert not torch.equal(tiny.decode(other), images)


def test_values_out_of_range_are_clamped(tiny, maps):
    raw = tiny.tokenizer.decode(tiny.tokenizer.code_maps(maps, TINY)[-1])
    assert float(raw.abs().max()) > 1
    assert torch.equal(tiny.decode(maps), (raw.clamp(-1, 1) + 1) / 2)


@pytest.mark.parametrize("schedule", [(1, 2), TINY, (1, 2, 4, 5)], ids=str)
def test_the_last_side_decides_the_size_of_the_image(make, schedule):
    backbone = make(schedule)
    side = backbone.info.image_size
    assert side == 16 * schedule[-1]
    images = backbone.decode(draw(schedule))
    assert images.shape == (3, 3, side, side)
    tokens = backbone.encode(images)
    assert tokens.shape == (3, backbone.info.tokens)
    assert tokens.dtype == torch.int64
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 64


def test_encoding_does_not_depend_on_the_batch(tiny, golden):
    images = (golden("flexvar_tiny")["image"] + 1) / 2
    together = tiny.encode(images)
    assert torch.equal(torch.cat([tiny.encode(image[None]) for image in images]), together)
    assert torch.equal(tiny.encode(images.flip(0)).flip(0), together)


def test_scales_are_encoded_each_by_itself(tiny, make, golden):
    images = (golden("flexvar_tiny")["image"] + 1) / 2
    sides = dict(zip(TINY, tiny.encode(images).split(tiny.info.lengths, dim=1), strict=True))
    shorter = make((1, 3, 4))
    for side, tokens in zip(
        (1, 3, 4), shorter.encode(images).split(shorter.info.lengths, dim=1), strict=True
    ):
        assert torch.equal(tokens, sides[side])


def test_extreme_images_stay_in_range(tiny):
    images = torch.stack((torch.zeros(3, 64, 64), torch.ones(3, 64, 64)))
    decoded = tiny.decode(tiny.encode(images))
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


# Precision


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float16, 0.003)])
def test_half_precision_stays_close_to_float32(make, tiny, maps, error, dtype, tolerance):
    one = (LABELS[:1], 2.5, maps[:1])  # half-precision convolutions are slow on a CPU
    half, full = (list(walk(backbone, *one)) for backbone in (make(dtype=dtype), tiny))
    for (_, ours), (_, reference) in zip(half, full, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < error(ours, reference) < tolerance
    assert torch.equal(half[-1][0].code_map, full[-1][0].code_map)  # tokens and maps are in float32
    corner = full[-1][0].code_map[..., :1, :1]
    ours, reference = (steps[-1][0].tokenizer.decode(corner) for steps in (half, full))
    assert ours.dtype == torch.float32
    assert 0 < error(ours, reference) < 10 * tolerance


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_head_the_encoder_and_the_codebook_keep_their_float32_weights(make, parts, golden, tiny, dtype):
    backbone = make(dtype=dtype)
    for key, value in backbone.transformer.state_dict().items():
        exact = key.startswith("head.")
        expected = parts.transformer[key] if exact else parts.transformer[key].to(dtype)
        assert value.dtype == expected.dtype, key
        assert torch.equal(value, expected), key
    for key, value in (backbone.exact or backbone).tokenizer.state_dict().items():
        half = key.startswith(("decoder.", "post_quant_conv."))
        expected = parts.tokenizer[key].to(dtype) if half else parts.tokenizer[key]
        assert value.dtype == expected.dtype, key
        assert torch.equal(value, expected), key
    images = (golden("flexvar_tiny")["image"] + 1) / 2
    assert torch.equal(backbone.encode(images), tiny.encode(images))


# Facts


def test_the_facts_follow_the_schedule(parts):
    info = make_facts(parts, None)
    assert (info.name, info.family, info.schedule) == ("flexvar-test", "flexvar", TINY)
    assert (info.grid, info.image_size, info.uint8) == (4, 64, "round")
    assert (info.codebook_size, info.channels, info.classes) == (64, 32, 10)
    assert (info.sampling, info.guidance) == (PUBLISHED, FLEXVAR_GUIDANCE)
    for schedule in ((1, 2, 4, 5), FLEXVAR_SCHEDULES["512"], (1, 32)):
        info = make_facts(parts, schedule, guidance=LLAMAGEN_GUIDANCE)
        assert (info.schedule, info.grid, info.image_size) == (schedule, schedule[-1], 16 * schedule[-1])
        assert info.tokens == sum(side**2 for side in schedule)
        assert info.guidance == LLAMAGEN_GUIDANCE


def greedy_sides(info):
    return {side for side, random in zip(info.schedule, info.stochastic, strict=True) if not random}


SIDES = tuple(range(1, 33))


def test_the_published_sampler_is_greedy_at_some_sides(parts):
    info = make_facts(parts, SIDES)
    assert greedy_sides(info) == {7, 9, 11, 12, 14, 15, *range(17, 33)}
    assert greedy_sides(make_facts(parts, SIDES, trained_side=32)) & {16, 23, 24, 32} == set()
    assert {22, 25, 31} < greedy_sides(make_facts(parts, SIDES, trained_side=32))
    assert greedy_sides(make_facts(parts, SIDES, trained_side=23)) >= {24, 32}
    assert 23 not in greedy_sides(make_facts(parts, SIDES, trained_side=23))


@pytest.mark.parametrize("trained_side", [4, 16, 32])
def test_every_scale_can_be_sampled(parts, trained_side):
    assert make_facts(parts, SIDES, trained_side, sample_all_scales=True).stochastic == (True,) * 32


@pytest.mark.parametrize(
    ("name", "greedy"),
    [
        ("6", set()),
        ("8", {7}),
        ("9", {7}),
        ("10", set()),
        ("11", {7, 9, 11}),
        ("12", {7, 12, 14}),
        ("13", {7, 9, 12, 14}),
        ("512", {7, 9, 12, 14, 23, 32}),
    ],
)
def test_greedy_sides_of_the_published_schedules(parts, name, greedy):
    assert greedy_sides(make_facts(parts, FLEXVAR_SCHEDULES[name])) == greedy


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ((1, 2, 33), ("schedule 1,2,33 ends at side 33", "position table has 32", "32 or below")),
        ((1, 3, 3), ("does not increase from 3 to 3",)),
        ((2, 4), ("must start at side 1",)),
        ((1,), ("it needs two at least",)),
    ],
    ids=str,
)
def test_a_schedule_that_does_not_fit_is_refused(parts, refused, schedule, words):
    with refused(*words):
        make_facts(parts, schedule)


def test_the_table_bounds_the_schedule(parts, refused):
    net = replace(parts.net, table=5)
    make_info("flexvar-test", net, parts.code, PUBLISHED, BackboneOptions((1, 5)))
    with refused("schedule 1,6 ends at side 6", "position table has 5"):
        make_info("flexvar-test", net, parts.code, PUBLISHED, BackboneOptions((1, 6)))
