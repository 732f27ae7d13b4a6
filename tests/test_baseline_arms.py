"""The baseline arms of ``benchmarks/``: the eager one, and the authors' own sampler from a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tts.bench.untrained import UntrainedScorer, untrained_var
from tts.config import SearchSettings
from tts.search import search
from tts.selectors import GreedySelector

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CPU = torch.device("cpu")
LABELS = torch.tensor([207, 3])
CHECKOUT = '''
import torch


class Half(torch.nn.Module):
    """Takes weights, and draws grey."""

    def __init__(self, names):
        super().__init__()
        for name in names:
            self.register_buffer(name.replace(".", "_"), torch.zeros(1))
        self.loaded = None

    def load_state_dict(self, state, strict):
        self.loaded = state
        return torch.nn.modules.module._IncompatibleKeys(["mask"], UNKNOWN)

    def autoregressive_infer_cfg(self, B, label_B, cfg, top_k, top_p, g_seed):
        self.asked = (B, label_B.tolist(), cfg, top_k, top_p, g_seed)
        return torch.full((B, 3, 8, 8), 0.5)


UNKNOWN = []
MADE = []


def build_vae_var(device, patch_nums, num_classes, depth, shared_aln):
    MADE.append((patch_nums, num_classes, depth, shared_aln))
    return Half(["a"]), Half(["b"])
'''


@pytest.fixture
def scripts(monkeypatch):
    """The folder of the scripts is on the path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("eager", "reference", "models"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def backbone():
    return untrained_var(1, torch.float32, CPU)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text(CHECKOUT)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["exact", "fast"])
def test_the_eager_arm_makes_the_same_image_of_the_most_probable_tokens(scripts, backbone, form):
    from eager import EagerSampler

    network = UntrainedScorer(False, torch.float32, CPU).network
    eager = EagerSampler(backbone.transformer, backbone.tokenizer, network, torch.float32)
    labels = LABELS[:1]
    wanted = eager.sample(labels, 1, 1.5, 1, 0.0)
    ours = backbone.fast() if form == "fast" else backbone
    settings = SearchSettings((1,) * 10, cfg=1.5, top_k=1, top_p=0.0, sampler=form)
    found = search(ours, None, GreedySelector(), settings, labels, labels).images
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


def test_the_eager_arm_draws_from_the_filtered_distribution_and_chooses_the_highest_score(scripts, backbone):
    from eager import EagerSampler

    network = UntrainedScorer(False, torch.float32, CPU).network
    eager = EagerSampler(backbone.transformer, backbone.tokenizer, network, torch.float32)
    tokens = eager._draw(torch.tensor([[[0.0, 5.0, 4.0, -9.0]]]), 500, 2, 0.0)
    assert tokens.shape == (1, 500, 1)
    assert set(tokens.flatten().tolist()) == {1, 2}
    latent = torch.zeros(2, 32, 16, 16)
    drawn = torch.randint(4096, (2, 6, 4))
    with torch.inference_mode():
        maps = torch.stack([eager.tokenizer.quantize.increment(row, 1) for row in drawn])
        rows = LABELS.repeat_interleave(6)
        best = network(maps.flatten(0, 1), rows, torch.ones_like(rows)).view(2, 6).argmax(dim=1)
        chosen = eager._chosen(latent, drawn, LABELS, 1)
    torch.testing.assert_close(chosen, maps[torch.arange(2), best])


def test_the_authors_sampler_gets_the_weights_and_the_settings(scripts, backbone, checkout):
    from reference import ReferenceSampler

    sampler = ReferenceSampler(checkout, backbone, torch.float32)
    images = sampler.sample(LABELS, 1, 1.5, 900, 0.96)
    assert images.shape == (2, 3, 8, 8)
    assert sampler.var.asked == (2, LABELS.tolist(), 1.5, 900, 0.96, 0)
    assert set(sampler.var.loaded) == set(backbone.transformer.state_dict())
    assert [(backbone.info.schedule, 1000, 1, False)] == sys.modules["models"].MADE


def test_a_folder_without_models_is_refused_in_one_line(scripts, backbone, tmp_path):
    from reference import ReferenceSampler

    with pytest.raises(SystemExit, match="no folder models"):
        ReferenceSampler(tmp_path, backbone, torch.float32)


def test_a_checkout_of_another_model_is_refused_in_one_line(scripts, backbone, checkout):
    from reference import ReferenceSampler

    other = CHECKOUT.replace("UNKNOWN = []", "UNKNOWN = ['x']")
    (checkout / "models" / "__init__.py").write_text(other)
    with pytest.raises(SystemExit, match="does not know x"):
        ReferenceSampler(checkout, backbone, torch.float32)


def test_candidates_are_not_for_the_authors_sampler(scripts, backbone, checkout):
    from reference import ReferenceSampler

    with pytest.raises(SystemExit, match="one candidate"):
        ReferenceSampler(checkout, backbone, torch.float32).sample(LABELS, 4, 1.5, 900, 0.96)
