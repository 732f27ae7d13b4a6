"""The paper's scorer at work in the search."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from tts.backbones.build import build_embedded
from tts.backbones.presets import SPECS
from tts.config import SearchSettings
from tts.errors import CheckpointError
from tts.interfaces import Proposals
from tts.io import sha256_file
from tts.scorers.checkpoint import load_scorer, save_scorer
from tts.scorers.learned import FusedScorer, LearnedScorer, build, shipped_scorer
from tts.search import search
from tts.selectors import GreedySelector, SoftmaxSelector
from tts.specs import BackboneOptions, BackboneRequest, ScorerRequest

CPU = torch.device("cpu")


@pytest.fixture
def scorer(digits_backbone, digits_scorer):
    return build(ScorerRequest(digits_backbone, CPU, str(digits_scorer)))


@torch.inference_mode()
def test_winners_score_what_the_network_gives_their_latents(scorer, digits_backbone):
    labels, seeds = torch.tensor([0, 3, 9]), torch.tensor([1, 2, 3])
    settings = SearchSettings((5, 5, 5, 5), cfg=1.5, top_k=0, top_p=0.0, decode=False)
    result = search(digits_backbone, scorer, GreedySelector(), settings, labels, seeds)
    views = digits_backbone.views(result.tokens)
    expected = [scorer.network(view, labels, torch.full((3,), k)) for k, view in enumerate(views)]
    torch.testing.assert_close(result.winner_scores, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)
    assert result.winner_index.any()


@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@pytest.mark.parametrize("selector", [GreedySelector(), SoftmaxSelector(1.0)])
def test_the_fast_form_chooses_the_same_candidates(name, selector):
    """Of the same draws, by the shipped scorers; a difference could only come of scores that nearly tie."""
    spec = next(spec for spec in SPECS if spec.name == name)
    backbone = build_embedded(BackboneRequest(spec, CPU, torch.float32, (), BackboneOptions()))
    scorer = build(ScorerRequest(backbone, CPU, None))
    labels, seeds = torch.arange(40) % 10, torch.arange(40)
    settings = SearchSettings((1, 16, 16, 16), cfg=1.5, top_k=0, top_p=0.0, decode=False)
    exact = search(backbone, scorer, selector, settings, labels, seeds)
    fast = search(backbone, FusedScorer(scorer), selector, settings, labels, seeds)
    assert torch.equal(fast.tokens, exact.tokens)
    assert torch.equal(fast.winner_index, exact.winner_index)
    torch.testing.assert_close(fast.winner_scores[:, 1:], exact.winner_scores[:, 1:], rtol=1e-4, atol=1e-4)


def test_the_fast_form_is_used_where_it_pays(scorer):
    assert scorer.fast(torch.float16) is scorer
    network = deepcopy(scorer.network).to("meta")
    elsewhere = LearnedScorer(network, scorer.path, scorer.card, scorer.rows)
    fast = elsewhere.fast(torch.float16)
    assert type(fast) is FusedScorer
    assert fast.fused.dtype == torch.float16
    assert fast.describe() == elsewhere.describe()


@torch.inference_mode()
def test_a_scorer_of_sides_is_told_the_side(digits_backbone, digits_scorer, tmp_path):
    network, card, _ = load_scorer(digits_scorer, 4)
    config = replace(card.config, sides=(1, 2, 3, 4))
    spec = next(spec for spec in SPECS if spec.name == "flexvar-digits")
    weights = build_embedded(BackboneRequest(spec, CPU, torch.float32)).weights_hash()
    card = replace(card, config=config, identity=replace(card.identity, weights=weights))
    maps = torch.randn(2, 3, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    labels, tokens = torch.tensor([4, 7]), torch.zeros(2, 3, 16, dtype=torch.int64)
    for schedule, row in (((1, 2, 3, 4), 2), ((1, 2, 4), 3), ((1, 3, 4), 3)):
        backbone = build_embedded(BackboneRequest(spec, CPU, torch.float32, (), BackboneOptions(schedule)))
        save_scorer(tmp_path / "s.safetensors", network, card)
        scorer = build(ScorerRequest(backbone, CPU, str(tmp_path / "s.safetensors")))
        scores = scorer.score(Proposals(2, labels, tokens, maps, torch.zeros(2, 3, 16)))
        expected = scorer.network(maps[:, 1], labels, torch.full((2,), row))
        torch.testing.assert_close(scores[:, 1], expected, rtol=1e-4, atol=1e-5)  # 6 rows and 2


def test_the_network_is_frozen_and_in_float32(scorer):
    assert not scorer.network.training
    assert {p.dtype for p in scorer.network.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in scorer.network.parameters())
    assert scorer.remarks == ()


def test_it_describes_its_file(scorer, digits_scorer):
    assert scorer.describe() == {
        "file": str(digits_scorer),
        "sha256": sha256_file(digits_scorer),
        "training": {"settings": {"seed": 3}},
    }


def test_a_training_folder_will_do(digits_backbone, digits_scorer):
    scorer = build(ScorerRequest(digits_backbone, CPU, str(digits_scorer.parent)))
    assert scorer.path == digits_scorer


def test_the_shipped_one_is_the_default(digits_backbone, digits_scorer, monkeypatch, tmp_path):
    monkeypatch.setattr("tts.scorers.learned.EMBEDDED", tmp_path)
    assert shipped_scorer("var-digits") == tmp_path / "var-digits-scorer.safetensors"
    shutil.copy(digits_scorer, shipped_scorer("var-digits"))
    assert build(ScorerRequest(digits_backbone, CPU)).path == shipped_scorer("var-digits")


def test_where_none_ships(digits_backbone, monkeypatch, tmp_path, refused):
    monkeypatch.setattr("tts.scorers.learned.EMBEDDED", tmp_path)
    with refused("no scorer ships with var-digits", "--scorer FILE", kind=CheckpointError):
        build(ScorerRequest(digits_backbone, CPU))


def test_a_scorer_of_another_backbone_is_refused(digits_backbone, digits_scorer, tmp_path, refused):
    network, card, _ = load_scorer(digits_scorer, 4)
    path = tmp_path / "other.safetensors"
    save_scorer(path, network, replace(card, identity=replace(card.identity, weights="cd" * 32)))
    with refused(
        "scorer was trained for other weights (var-digits, cdcdcdcdcdcd), got var-digits",
        kind=CheckpointError,
    ):
        build(ScorerRequest(digits_backbone, CPU, str(path)))


def test_the_authors_scorer_does_not_fit_the_digits(digits_backbone, synthetic_state, tmp_path, refused):
    path = tmp_path / "lsrs.pth"
    torch.save(synthetic_state("lsrs_reward_net"), path)
    with refused("lsrs.pth", kind=CheckpointError):
        build(ScorerRequest(digits_backbone, CPU, str(path)))
