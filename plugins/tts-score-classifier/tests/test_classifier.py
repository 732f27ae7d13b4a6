"""Classifiers of both libraries judge images; the models are made here, at random."""

from __future__ import annotations

import hashlib
import json
import sys
import types

import pytest
import torch
from torch import nn
from tts_score_classifier_models import Preprocessing, build, hash_weights

from tts.errors import UsageError
from tts.specs import ImageScorerRequest
from tts.testing import check_image_scorer

CPU = torch.device("cpu")


def request(argument, classes=3):
    return ImageScorerRequest(classes, 16, CPU, argument)


class Mean(nn.Module):
    """Logits are the mean of each channel."""

    def __init__(self):
        super().__init__()
        self.num_classes = 3
        self.pretrained_cfg = {
            "input_size": (3, 8, 8),
            "crop_pct": 0.5,
            "mean": (0.0,) * 3,
            "std": (0.5,) * 3,
        }

    def forward(self, pixels):
        assert pixels.shape[1:] == (3, 8, 8)
        return pixels.mean(dim=(2, 3))


@pytest.fixture
def fake_timm(monkeypatch):
    module = types.ModuleType("timm")
    module.create_model = lambda name, pretrained: Mean()
    monkeypatch.setitem(sys.modules, "timm", module)


def test_the_score_is_the_log_probability_of_the_label(fake_timm):
    scorer = build(request("timm:mean"))
    images = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(2, 3, 16, 16)
    expected = (torch.tensor([0.2, 0.5, 0.9]) / 0.5).log_softmax(0)[[2, 0]]
    torch.testing.assert_close(scorer.score(images, torch.tensor([2, 0])), expected)
    assert scorer.describe() == {"model": "timm:mean", "sha256": hashlib.sha256().hexdigest()}


def test_the_contract_is_kept(fake_timm):
    check_image_scorer(build(request("timm:mean")), classes=3)


def test_the_hash_is_that_of_the_weights():
    def norm(shift):
        network = nn.BatchNorm2d(2)
        with torch.no_grad():
            network.bias.add_(shift)
        return network

    assert hash_weights(norm(0.0)) == hash_weights(norm(0.0))
    assert hash_weights(norm(0.0)) != hash_weights(norm(0.1))
    assert hash_weights(norm(0.0)) != hash_weights(norm(0.0).half())


def test_the_middle_is_cropped():
    images = torch.zeros(1, 3, 16, 16)
    images[:, :, 4:12, 4:12] = 1.0
    prepared = Preprocessing(8, 0.5, (0.0,) * 3, (1.0,) * 3)(images)
    assert prepared.shape == (1, 3, 8, 8)
    assert bool((prepared == 1).all())


def test_other_classes_are_refused(fake_timm):
    with pytest.raises(UsageError, match="knows 3 classes, the backbone draws 10"):
        build(request("timm:mean", classes=10))


@pytest.mark.parametrize("argument", [None, "resnet", "keras:x", "hf:"])
def test_a_name_without_library_is_one_line(argument):
    with pytest.raises(UsageError, match="names no model; write classifier:timm"):
        build(request(argument))


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install 'tts-score-classifier\[timm\]'"):
        build(request("timm:resnet18"))


def test_a_hugging_face_folder_is_loaded(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_labels=3,
    )
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": 8, "width": 8},
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
            }
        )
    )
    images = torch.rand(2, 3, 8, 8)
    labels = torch.tensor([1, 2])
    with torch.no_grad():
        expected = model(pixel_values=images * 2 - 1).logits.log_softmax(1)[[0, 1], [1, 2]]
    scorer = build(request(f"hf:{tmp_path}"))
    torch.testing.assert_close(scorer.score(images, labels), expected, atol=1e-5, rtol=1e-4)
    assert scorer.describe() == {"model": f"hf:{tmp_path}", "sha256": hash_weights(model)}


def test_a_folder_that_is_none_is_one_line(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(UsageError, match="cannot load the classifier hf:"):
        build(request(f"hf:{tmp_path}"))
