"""VAR as a backbone: the cache, proposals, guidance, precision, and the tokenizer around it."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.build import build_embedded
from tts.backbones.presets import SPECS
from tts.backbones.var_adapter import VarBackbone, make_info
from tts.backbones.var_weights import (
    build_tokenizer,
    build_transformer,
    infer_var_config,
    infer_vqvae_config,
)
from tts.specs import BackboneRequest, SamplingDefaults

CPU = torch.device("cpu")
NAMES = ("var_tiny", "var_tiny_shared_aln")
LABELS = torch.tensor([3, 7, 0])
SCALES = range(4)
# Products in the longest sum, and sums in a row: what ``rounding`` takes.
LATENT = (72, 4)  # convolutions of 8 channels, added up over 4 scales
LOGITS = (512, 10)  # 5 matrices in each of 2 blocks
IMAGE = (1152, 50)  # 3 x 3 convolutions of 128 channels


@pytest.fixture(scope="module")
def make(synthetic_state, as_form):
    """Builds a tiny backbone by name and dtype."""

    def build(name="var_tiny", dtype=torch.float32):
        transformer, tokenizer = synthetic_state(name), synthetic_state("vae_tiny")
        var = infer_var_config(transformer)
        vqvae = infer_vqvae_config(tokenizer, var.schedule)
        info = make_info("var-test", var, vqvae, SamplingDefaults(1.5, 900, 0.96))
        parts = build_transformer(transformer, var), build_tokenizer(tokenizer, vqvae)
        return as_form(VarBackbone(info, *parts, (), CPU, dtype))

    return build


@pytest.fixture(scope="module")
def tiny(make):
    return make()


@pytest.fixture(scope="module")
def maps():
    """Random token maps (3, 30) of the tiny models."""
    return torch.randint(64, (3, 30), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def walk(backbone, labels, cfg, maps):
    """The state at each scale with its logits, following given token maps (B, 30)."""
    state = backbone.begin(labels, cfg)
    for tokens in maps.split(backbone.info.lengths, dim=1):
        yield state, state.logits()
        state.commit(tokens)


# Logits


@pytest.mark.parametrize("name", NAMES)
def test_cached_logits_equal_teacher_forced_ones_at_every_scale(make, maps, error, rounding, name):
    backbone = make(name)
    quantize = backbone.tokenizer.quantize
    inputs = [quantize.next_input(view, k) for k, view in enumerate(backbone.views(maps)[:-1], start=1)]
    forced = backbone.transformer(LABELS, torch.cat(inputs, dim=1)).split(backbone.info.lengths, dim=1)
    for (_, logits), expected in zip(walk(backbone, LABELS, 0.0, maps), forced, strict=True):
        assert error(logits, expected) < rounding(*LOGITS)


@pytest.mark.parametrize("name", NAMES)
def test_no_guidance_is_the_conditional_half(make, maps, error, rounding, name):
    backbone = make(name)
    runs = [walk(backbone, LABELS, cfg, maps) for cfg in (0.0, 1.0, 2.0)]
    for scale, ((_, plain), (_, one), (_, two)) in enumerate(zip(*runs, strict=True)):
        # cond + t (cond - uncond) with t in proportion to cfg
        assert error(2 * one - two, plain) < rounding(*LOGITS)
        assert (error(one, plain) < rounding(*LOGITS)) is (scale == 0)


def test_no_guidance_needs_half_the_rows(tiny):
    assert tiny.begin(LABELS, 0.0).session.condition.shape[0] == 3
    assert tiny.begin(LABELS, 1.5).session.condition.shape[0] == 6


def test_logits_have_their_shape_and_can_be_asked_for_again(tiny, maps):
    for scale, (state, logits) in enumerate(walk(tiny, LABELS, 1.5, maps)):
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


def test_an_image_does_not_depend_on_its_batch(tiny, maps, error, rounding):
    together = list(walk(tiny, LABELS, 1.5, maps))
    images = together[-1][0].decode()
    for row in range(3):
        part = slice(row, row + 1)
        alone = list(walk(tiny, LABELS[part], 1.5, maps[part]))
        for (_, ours), (_, theirs) in zip(alone, together, strict=True):
            assert error(ours, theirs[part]) < rounding(*LOGITS)
        assert error(alone[-1][0].decode(), images[part]) < rounding(*IMAGE)
        assert error(tiny.decode(maps[part]), images[part]) < rounding(*IMAGE)


# Proposals


@pytest.mark.parametrize("scale", SCALES)
def test_a_proposal_is_the_latent_after_committing_it(tiny, maps, error, rounding, scale):
    length = tiny.info.lengths[scale]
    candidates = torch.randint(64, (3, 5, length), generator=torch.Generator().manual_seed(scale))
    for m in range(5):
        state = tiny.begin(LABELS, 1.5)
        for tokens in maps.split(tiny.info.lengths, dim=1)[:scale]:
            state.logits()
            state.commit(tokens)
        proposed = state.propose(candidates)
        assert proposed.shape == (3, 5, 8, 4, 4)
        assert proposed.dtype == torch.float32
        state.commit(candidates[:, m])
        assert error(proposed[:, m], state.f_hat) < rounding(*LATENT)
    before = maps.split(tiny.info.lengths, dim=1)[:scale]
    rest = maps.split(tiny.info.lengths, dim=1)[scale + 1 :]
    whole = torch.cat((*before, candidates[:, 4], *rest), dim=1)
    assert error(tiny.views(whole)[scale], proposed[:, 4]) < rounding(*LATENT)


def test_proposing_changes_nothing(tiny, maps):
    plain = [logits for _, logits in walk(tiny, LABELS, 1.5, maps)]
    for scale, (state, logits) in enumerate(walk(tiny, LABELS, 1.5, maps)):
        assert torch.equal(logits, plain[scale])
        latent, keys = state.f_hat.clone(), [cache.keys.clone() for cache in state.session.caches]
        candidates = torch.full((3, 4, tiny.info.lengths[scale]), 7)
        first, second = state.propose(candidates), state.propose(candidates)
        assert torch.equal(first, second)
        assert torch.equal(candidates, torch.full_like(candidates, 7))
        assert torch.equal(state.f_hat, latent)
        assert state.scale == scale
        stop = sum(tiny.info.lengths[: scale + 1])  # the rest is not written yet
        for cache, before in zip(state.session.caches, keys, strict=True):
            assert torch.equal(cache.keys[:, :, :stop], before[:, :, :stop])


def test_committing_leaves_the_callers_tensors_alone(tiny, maps):
    labels, given = LABELS.clone(), maps.clone()
    list(walk(tiny, labels, 1.5, given))
    assert torch.equal(labels, LABELS)
    assert torch.equal(given, maps)


def test_views_are_the_latents_of_every_scale(tiny, maps, error, rounding):
    views = tiny.views(maps)
    state = tiny.begin(LABELS, 0.0)
    for view, tokens in zip(views, maps.split(tiny.info.lengths, dim=1), strict=True):
        state.logits()
        state.commit(tokens)
        assert error(state.f_hat, view) < rounding(*LATENT)


# Precision


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float16, 0.003)])
def test_half_precision_stays_close_to_float32(make, maps, error, rounding, name, dtype, tolerance):
    one = (LABELS[:1], 1.5, maps[:1])  # half-precision convolutions are slow on a CPU
    half, full = (list(walk(make(name, d), *one)) for d in (dtype, torch.float32))
    for (_, ours), (_, reference) in zip(half, full, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < error(ours, reference) < tolerance
    assert error(half[-1][0].f_hat, full[-1][0].f_hat) < rounding(
        *LATENT
    )  # tokens and latents are in float32
    ours, reference = half[-1][0].decode(), full[-1][0].decode()
    assert ours.dtype == torch.float32
    assert float((ours - reference).abs().max()) < 10 * tolerance


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_head_the_encoder_and_the_quantizer_keep_their_float32_weights(make, synthetic_state, dtype):
    backbone = make(dtype=dtype)
    transformer, tokenizer = synthetic_state("var_tiny"), synthetic_state("vae_tiny")
    for key, value in backbone.transformer.state_dict().items():
        expected = transformer[key] if key.startswith("head.") else transformer[key].to(dtype)
        assert value.dtype == expected.dtype, key
        assert torch.equal(value, expected), key
    for key, value in (backbone.exact or backbone).tokenizer.state_dict().items():
        half = key.startswith(("decoder.", "post_quant_conv."))
        expected = tokenizer[key].to(dtype) if half else tokenizer[key]
        assert value.dtype == expected.dtype, key
        assert torch.equal(value, expected), key


def test_half_precision_encodes_the_same_tokens(make, golden, maps):
    images = (golden("var_tiny")["image"] + 1) / 2
    tokens = make().encode(images)
    assert torch.equal(make(dtype=torch.bfloat16).encode(images), tokens)


# The tokenizer


def test_encode_and_decode_give_shapes_and_ranges(tiny, maps):
    images = tiny.decode(maps)
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == torch.float32
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    tokens = tiny.encode(images)
    assert tokens.shape == (3, 30)
    assert tokens.dtype == torch.int64
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 64


def test_encoding_does_not_depend_on_the_batch(tiny, golden):
    images = (golden("var_tiny")["image"] + 1) / 2
    together = tiny.encode(images)
    assert torch.equal(torch.cat([tiny.encode(image[None]) for image in images]), together)
    assert torch.equal(tiny.encode(images.flip(0)).flip(0), together)


def test_extreme_images_stay_in_range(tiny):
    images = torch.stack((torch.zeros(3, 64, 64), torch.ones(3, 64, 64)))
    decoded = tiny.decode(tiny.encode(images))
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
def test_an_embedded_model_draws_and_reads_digits(name):
    pytest.importorskip("sklearn")
    from tts.data.digits import load_digits_split
    from tts.evaluation.digits import load_digits_classifier

    spec = {spec.name: spec for spec in SPECS}[name]
    backbone = build_embedded(BackboneRequest(spec, CPU, torch.float32))
    classifier = load_digits_classifier()
    images, labels = load_digits_split("heldout")
    copies = backbone.decode(backbone.encode(images))
    assert float((copies - images).abs().mean()) < 0.05
    assert float((classifier(copies).argmax(1) == labels).float().mean()) > 0.9
    state = backbone.begin(torch.arange(10), spec.sampling.cfg)
    for _ in backbone.info.schedule:
        state.commit(state.logits().argmax(dim=-1))
    drawn = classifier(state.decode()).argmax(dim=1)
    assert int((drawn == torch.arange(10)).sum()) >= 7
