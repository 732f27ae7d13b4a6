"""Every part of the contract between the search and a backbone, method by method."""

from __future__ import annotations

import copy

import pytest
import torch
from tts_backbone_tiny import GUIDANCE, SPEC

from tts.config import SearchSettings
from tts.interfaces import SupportsFastBackbone, SupportsReindex
from tts.search import search
from tts.selectors import greedy
from tts.specs import SelectorRequest
from tts.testing import check_backbone

LABELS = torch.tensor([3, 7, 0])
COUNT = 5
CFGS = (GUIDANCE.off, 1.5)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def candidates():
    """Candidates (B, M, L_k) of each scale, drawn without regard to the model."""
    generator = torch.Generator().manual_seed(5)
    return [
        torch.randint(SPEC.codebook_size, (len(LABELS), COUNT, side * side), generator=generator)
        for side in SPEC.schedule
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_conformance_kit_agrees(make, dtype):
    check_backbone(make(dtype=dtype), tolerance=1e-4 if dtype == torch.float32 else 0.05)


def states(backbone, candidates, cfg):
    """The state at each scale, before ``logits``, where the first candidate is always committed."""
    state = backbone.begin(LABELS, cfg)
    for scale, tokens in enumerate(candidates):
        yield scale, state, tokens
        state.commit(tokens[:, 0])


def test_the_facts_are_those_of_the_spec(backbone):
    shared = ("name", "family", "schedule", "codebook_size", "channels", "classes", "image_size", "sampling")
    assert all(getattr(backbone.info, name) == getattr(SPEC, name) for name in shared)
    assert (backbone.info.grid, backbone.info.tokens, backbone.info.guidance) == (8, 85, GUIDANCE)
    assert backbone.info.stochastic == (True,) * 4


@pytest.mark.parametrize("cfg", CFGS)
def test_shapes_and_types(backbone, candidates, cfg):
    for scale, state, tokens in states(backbone, candidates, cfg):
        length = SPEC.schedule[scale] ** 2
        assert state.logits().shape == (3, length, 64)
        assert state.logits().dtype == torch.float32
        assert state.latent.shape == (3, 4, 8, 8)
        assert state.propose(tokens).shape == state.increments(tokens).shape == (3, COUNT, 4, 8, 8)
        assert state.propose(tokens).dtype == torch.float32
        assert state.preview(tokens).shape == (3, COUNT, 3, 16, 16)
    images = state.decode()
    assert images.shape == (3, 3, 16, 16)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_looking_at_candidates_changes_nothing(backbone, candidates):
    plain = backbone.begin(LABELS, 1.5)
    for _, state, tokens in states(backbone, candidates, 1.5):
        before, given = state.logits(), tokens.clone()
        state.propose(tokens)
        state.increments(tokens)
        state.preview(tokens)
        assert torch.equal(tokens, given)
        assert torch.equal(state.logits(), before)
        assert torch.equal(plain.logits(), before)
        plain.commit(tokens[:, 0])
    assert torch.equal(state.decode(), plain.decode())


def test_proposals_are_the_latent_and_what_a_candidate_adds(backbone, candidates):
    for _, state, tokens in states(backbone, candidates, 0.0):
        assert torch.equal(state.propose(tokens), state.latent[:, None] + state.increments(tokens))
        alone = torch.cat([state.propose(tokens[:, [i]]) for i in range(COUNT)], dim=1)
        torch.testing.assert_close(state.propose(tokens), alone)


def test_views_are_what_was_proposed_and_committed(backbone, candidates):
    proposed, committed = [], []
    state = backbone.begin(LABELS, 0.0)
    for tokens in candidates:
        proposed.append(state.propose(tokens)[:, 2])
        state.commit(tokens[:, 2])
        committed.append(state.latent)
    recorded = torch.cat([tokens[:, 2] for tokens in candidates], dim=1)
    for view, shown, taken in zip(backbone.views(recorded), proposed, committed, strict=True):
        torch.testing.assert_close(view, shown)
        torch.testing.assert_close(view, taken)
    torch.testing.assert_close(backbone.decode(recorded), state.decode())


def test_a_preview_is_the_image_so_far(backbone, candidates):
    for _, state, tokens in states(backbone, candidates, 0.0):
        shown = state.preview(tokens)
        maps = state.propose(tokens).flatten(0, 1)
        pixels = torch.pixel_shuffle(maps, 2).clamp(0, 1).unflatten(0, (3, COUNT))
        assert torch.equal(shown, pixels.expand(-1, -1, 3, -1, -1))
    torch.testing.assert_close(shown[:, 0], state.decode())


def test_encoding_takes_the_nearest_code_of_what_is_left(backbone):
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    tokens, codes = backbone.encode(images), backbone.tokenizer.codes
    assert (tokens.shape, tokens.dtype) == ((4, 85), torch.int64)
    rest = images.mean(dim=1, keepdim=True) - torch.pixel_shuffle(backbone.views(tokens)[-2], 2)
    patches = torch.pixel_unshuffle(rest, 2).flatten(2).transpose(1, 2)  # N L P, of the last scale
    assert torch.equal(torch.cdist(patches, codes[-1]).argmin(dim=-1), tokens[:, -64:])


def test_digits_survive_the_tokenizer(backbone):
    pytest.importorskip("sklearn")
    from tts.data.digits import load_digits_split

    images, _ = load_digits_split("heldout")
    tokens = backbone.encode(images)
    assert (backbone.decode(tokens) - images).square().mean() < 0.0012
    errors = [(torch.pixel_shuffle(e, 2) - images[:, :1]).square().mean() for e in backbone.views(tokens)]
    assert errors == sorted(errors, reverse=True)
    again = backbone.decode(backbone.encode(backbone.decode(tokens)))
    assert (again - backbone.decode(tokens)).square().mean() < 0.0012


def test_guidance_off_is_the_conditional_model(backbone, candidates):
    for scale, state, _ in states(backbone, candidates, GUIDANCE.off):
        patches = state.tokenizer.patches(state.image, scale)
        assert torch.equal(state.logits(), backbone.predictor(patches, LABELS, scale))


def test_guidance_fades_as_its_formula_says(backbone, candidates):
    nobody = torch.full_like(LABELS, SPEC.classes)
    for scale, state, _ in states(backbone, candidates, 2.0):
        patches = state.tokenizer.patches(state.image, scale)
        conditional = backbone.predictor(patches, LABELS, scale)
        unconditional = backbone.predictor(patches, nobody, scale)
        t = 2.0 * (4 - scale) / 4
        guided = conditional + t * (conditional - unconditional)
        torch.testing.assert_close(state.logits(), guided, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("between", [False, True], ids=["before logits", "between logits and commit"])
@pytest.mark.parametrize("cfg", CFGS)
def test_paths_are_kept_dropped_and_repeated(backbone, candidates, cfg, between):
    """From each scale on, rows that were kept go on as a batch that always had these labels and maps."""
    rows = torch.tensor([2, 0, 0, 1, 2])
    for change in range(backbone.info.scales):
        state, direct = backbone.begin(LABELS, cfg), backbone.begin(LABELS[rows], cfg)
        for scale, tokens in enumerate(candidates):
            if scale == change and not between:
                state.reindex(rows)
            logits = state.logits()
            if scale == change and between:
                state.reindex(rows)
                logits = logits[rows]
            kept = scale >= change
            torch.testing.assert_close(
                logits if kept else logits[rows], direct.logits(), atol=1e-4, rtol=1e-4
            )
            own = tokens[rows] if kept else tokens
            proposed = state.propose(own)
            torch.testing.assert_close(proposed if kept else proposed[rows], direct.propose(tokens[rows]))
            state.commit(own[:, 0])
            direct.commit(tokens[rows][:, 0])
        torch.testing.assert_close(state.decode(), direct.decode())


def test_paths_may_change_after_the_last_commit(backbone, candidates):
    state = backbone.begin(LABELS, 1.5)
    for tokens in candidates:
        state.commit(tokens[:, 0])
    images = state.decode()
    state.reindex(torch.tensor([1, 1]))
    assert torch.equal(state.decode(), images[[1, 1]])


def test_a_state_that_is_reindexed_leaves_other_states_alone(backbone):
    state = backbone.begin(LABELS, 1.5)
    assert isinstance(state, SupportsReindex)
    other = copy.copy(state)
    state.reindex(torch.tensor([2]))
    assert torch.equal(other.labels, LABELS)
    assert len(other.logits()) == 3


@pytest.mark.parametrize("cfg", CFGS)
def test_an_image_does_not_depend_on_its_batch(backbone, cfg):
    labels, seeds = torch.arange(6), torch.arange(100, 106)
    settings = SearchSettings(candidates=(1,) * 4, cfg=cfg, top_k=0, top_p=0.0)

    def images(rows):
        return search(backbone, None, greedy(SelectorRequest()), settings, labels[rows], seeds[rows])

    together = images(slice(None))
    for row in range(6):
        alone = images(slice(row, row + 1))
        assert torch.equal(alone.tokens[0], together.tokens[row])
        torch.testing.assert_close(alone.images[0], together.images[row])


def test_plain_images_are_the_digits_that_were_asked_for(backbone):
    from tts.evaluation.digits import load_digits_classifier

    labels, seeds = torch.arange(200) % 10, torch.arange(200)
    settings = SearchSettings(candidates=(1,) * 4, cfg=SPEC.sampling.cfg, top_k=0, top_p=0.0)
    images = search(backbone, None, greedy(SelectorRequest()), settings, labels, seeds).images
    assert (load_digits_classifier()(images).argmax(dim=1) == labels).float().mean() > 0.6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(make, backbone, candidates, dtype):
    half = make(dtype=dtype)
    assert half.predictor.position.weight.dtype == dtype
    other = half.begin(LABELS, 1.5)
    for _, state, tokens in states(backbone, candidates, 1.5):
        logits = other.logits()
        assert logits.dtype == torch.float32
        assert (logits - state.logits()).abs().mean() < 0.1
        assert torch.equal(other.propose(tokens), state.propose(tokens))
        other.commit(tokens[:, 0])


def test_there_is_no_fast_form(backbone):
    assert not isinstance(backbone, SupportsFastBackbone)
