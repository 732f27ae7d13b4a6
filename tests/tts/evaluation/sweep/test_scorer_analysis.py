"""What scorers tell apart: figures 5 and 7 and table 10."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone
from tts.building import Model
from tts.errors import RunError
from tts.evaluation.sweep import scorer_analysis
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.scorer_analysis import (
    analyse,
    judge,
    pairs,
    read_analysis,
    scorer_texts,
    scores,
    write_analysis,
)
from tts.evaluation.sweep.scorer_maps import Maps
from tts.interfaces import Proposals
from tts.io import read_json, write_json
from tts.manager import get_plugins
from tts.scorers.learned import build
from tts.specs import ScorerRequest

CPU = torch.device("cpu")
GREEDY = {"selector": "greedy", "start_scale": 2, "end_scale": 4}


def maps(first: int, labels: list[int]) -> Maps:
    """Maps of the fake backbone whose first token tells real (0) from generated (1)."""
    tokens = torch.arange(14).repeat(len(labels), 1) % 7
    tokens[:, 0] = first
    tokens[:, 1] = torch.arange(len(labels)) % 7
    return Maps(tokens, torch.tensor(labels))


REAL, GENERATED = maps(0, [0, 0, 1, 2]), maps(1, [0, 1, 1, 3])


def by_side(real: float, generated: float) -> Callable[[Proposals], Tensor]:
    """A rule that knows the side by the channel that the first token leaves in the latent."""
    values = torch.tensor([real, generated])

    def rule(proposals: Proposals) -> Tensor:
        if proposals.scale == 0:
            rule.sides = proposals.tokens[..., 0]  # type: ignore[attr-defined]
        return values[rule.sides]  # type: ignore[attr-defined]

    return rule


def test_pairs_are_of_one_class() -> None:
    rows, columns = pairs(REAL.labels, GENERATED.labels)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 1), (2, 2)]


def test_a_scorer_that_always_prefers_real_has_accuracy_1(fake_backbone: Any, fake_scorer: Any) -> None:
    found = judge(fake_scorer(by_side(2.0, -1.0)), fake_backbone(), REAL, GENERATED, CPU)
    assert found.accuracy == (1.0, 1.0, 1.0)
    assert found.loss == pytest.approx([math.log1p(math.exp(-3))] * 3)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert found.pointwise_loss == pytest.approx([expected] * 3)
    assert found.gap.gap == pytest.approx(3.0)
    assert found.gap.kl > 0


def test_a_scorer_that_prefers_generated_maps_has_accuracy_0(fake_backbone: Any, fake_scorer: Any) -> None:
    found = judge(fake_scorer(by_side(0.0, 1.0)), fake_backbone(), REAL, GENERATED, CPU)
    assert found.accuracy == (0.0, 0.0, 0.0)


def test_a_scorer_that_cannot_tell_has_the_loss_of_chance(fake_backbone: Any, fake_scorer: Any) -> None:
    found = judge(fake_scorer(by_side(0.5, 0.5)), fake_backbone(), REAL, GENERATED, CPU)
    assert found.accuracy == (0.0, 0.0, 0.0)  # a tie is no preference
    assert found.loss == pytest.approx([math.log(2)] * 3)
    assert found.gap.gap == 0


def test_the_histogram_leaves_the_first_scale_out(fake_backbone: Any, fake_scorer: Any) -> None:
    def rule(proposals: Proposals) -> Tensor:
        return torch.full(proposals.tokens.shape[:2], float(proposals.scale)) + proposals.labels[:, None]

    found = judge(fake_scorer(rule), fake_backbone(), REAL, GENERATED, CPU)
    assert (found.edges[0], found.edges[-1]) == (1.0, 5.0)
    assert sum(found.real_counts) == sum(found.generated_counts) == 2 * 4


def test_scores_are_those_of_the_maps_at_each_scale(fake_backbone: Any, fake_scorer: Any) -> None:
    scorer, backbone = fake_scorer(), fake_backbone()
    found = scores(scorer, backbone, REAL, CPU)
    assert found.shape == (4, 3)
    for scale, proposals in enumerate(scorer.calls):
        assert proposals.scale == scale
        assert (proposals.maps[:, 0] == backbone.views(REAL.tokens)[scale]).all()
        assert proposals.tokens.shape == (4, 1, backbone.info.lengths[scale])


def test_a_scorer_that_asks_for_probabilities_is_refused(
    fake_backbone: Any, fake_scorer: Any, refused: Any
) -> None:
    scorer = fake_scorer(lambda proposals: proposals.log_probs.sum(-1))
    with refused("scores that are not finite", kind=RunError, code=1):
        judge(scorer, fake_backbone(), REAL, GENERATED, CPU)


def test_maps_without_a_class_in_common_are_refused(
    fake_backbone: Any, fake_scorer: Any, refused: Any
) -> None:
    with refused("no class in common", kind=RunError, code=1):
        judge(fake_scorer(), fake_backbone(), maps(0, [0]), maps(1, [1]), CPU)


@pytest.fixture
def model(digits_backbone: VarBackbone, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The embedded model of digits, of which few maps are generated."""
    monkeypatch.setattr("tts.evaluation.sweep.scorer_maps.LEAST_GENERATED", 1)
    return Model(get_plugins().backbones.get("var-digits"), digits_backbone, CPU)


def test_the_learned_scorers_of_a_sweep_are_judged(sweep: Any, model: Model, digits_scorer: Path) -> None:
    for text in ("learned", "likelihood", str(digits_scorer)):
        sweep.add(candidates="2", scorer=text, **GREEDY)
    found, remark = analyse(read_results(sweep.write()), model)
    assert remark is None
    assert [scorer.text for scorer in found.scorers] == ["learned", str(digits_scorer)]
    assert (found.reference, found.real, found.generated) == ("heldout", 364, 364)
    (shipped, good), (_, untrained) = found.judged
    assert shipped.trained_with == "pairwise"
    assert shipped.scales == (1, 2, 3, 4)
    assert shipped.parameters == 245_889
    assert min(good.accuracy[1:]) > 0.9
    assert max(untrained.accuracy) < 0.9
    assert good.gap.gap > untrained.gap.gap


def test_a_judgement_does_not_depend_on_the_batch(
    model: Model, digits_scorer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = build(ScorerRequest(model.backbone, CPU, str(digits_scorer)))
    tokens = torch.randint(256, (20, 30), generator=torch.Generator().manual_seed(0))
    some = Maps(tokens, torch.arange(20) % 10)
    whole = scores(scorer, model.backbone, some, CPU)
    monkeypatch.setattr(scorer_analysis, "default_batch", lambda tokens: 7)
    assert torch.allclose(scores(scorer, model.backbone, some, CPU), whole, rtol=1e-4, atol=1e-5)


def test_a_reference_without_labels_leaves_judgements_out(sweep: Any, model: Model, tmp_path: Path) -> None:
    import numpy as np

    from tts.io import save_npz

    save_npz(tmp_path / "reference.npz", arr_0=np.zeros((4, 16, 16, 3), np.uint8))
    sweep.reference = str(tmp_path / "reference.npz")
    sweep.add(candidates="2", scorer="learned", **GREEDY)
    found, remark = analyse(read_results(sweep.write()), model)
    assert remark is not None
    assert "no labels" in remark
    assert found.judged == ()
    assert found.scorers[0].parameters == 245_889
    assert found.parameters is not None


def test_what_was_found_is_read_again(sweep: Any, model: Model) -> None:
    sweep.add(candidates="2", scorer="learned", **GREEDY)
    results = read_results(sweep.write())
    found, _ = analyse(results, model)
    write_analysis(sweep.folder, found)
    texts = scorer_texts(results)
    assert read_analysis(sweep.folder, texts) == found
    assert read_analysis(sweep.folder, [*texts, "another"]) is None
    entry = read_json(sweep.folder / "scorers.json")["scorers"][0]
    assert (entry["name"], len(entry["judgement"]["accuracy"])) == ("learned", 4)


def test_a_damaged_file_is_made_again(sweep: Any, tmp_path: Path) -> None:
    assert read_analysis(tmp_path, []) is None
    for content in ([], {"format": "scalewise-tts-scorers-1"}, {"format": "other"}, {}):
        write_json(tmp_path / "scorers.json", content)
        assert read_analysis(tmp_path, []) is None


def test_scales_without_training_are_known(
    sweep: Any, model: Model, digits_scorer: Path, tmp_path: Path
) -> None:
    from tts.scorers.checkpoint import load_scorer, save_scorer

    network, card, _ = load_scorer(digits_scorer, 4)
    training = {"settings": {"scales": [1, 2, 3], "loss": "pointwise"}}
    save_scorer(tmp_path / "late.safetensors", network, replace(card, training=training))
    sweep.add(candidates="2", scorer=str(tmp_path / "late.safetensors"), **GREEDY)
    found, _ = analyse(read_results(sweep.write()), model)
    assert (found.scorers[0].scales, found.scorers[0].trained_with) == ((2, 3, 4), "pointwise")
