"""Which files of weights are taken, how they are named in records, and how they are made."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tts_backbone_tiny_model import FORMAT, WEIGHTS, Pyramid

from tts.errors import CheckpointError, UsageError
from tts.io import load_tensors, save_tensors

TRAIN = Path(__file__).parent.parent / "train.py"


@pytest.fixture(scope="module")
def train():
    pytest.importorskip("sklearn")
    found = importlib.util.spec_from_file_location("tiny_train", TRAIN)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def state():
    return load_tensors(WEIGHTS)[0]


def test_the_hook_module_needs_no_torch():
    program = "import sys, tts_backbone_tiny as t; print(t.SPEC.name, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "tiny False\n"


def test_the_shipped_file_is_small_and_hashed(backbone):
    assert WEIGHTS.stat().st_size < 500_000
    assert backbone.weights_hash() == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_other_weights_have_another_hash(make, backbone, state, tmp_path):
    shutil.copy(WEIGHTS, tmp_path / "a.safetensors")
    save_tensors(tmp_path / "b.safetensors", {k: v * 2 for k, v in state.items()}, {"format": FORMAT})
    same, other = make(tmp_path / "a.safetensors"), make(tmp_path / "b.safetensors")
    assert same.weights_hash() == backbone.weights_hash() != other.weights_hash()
    assert torch.equal(other.tokenizer.codes, 2 * backbone.tokenizer.codes)


def test_other_files_are_refused_in_one_line(make, state, tmp_path):
    file = tmp_path / "other.safetensors"
    save_tensors(file, state, {"format": "something-else"})
    with pytest.raises(CheckpointError, match=r"^[^\n]*holds no weights of tiny; make them with [^\n]*$"):
        make(file)
    del state["predictor.patch.weight"]
    save_tensors(file, state, {"format": FORMAT})
    with pytest.raises(CheckpointError, match=r"^[^\n]*holds damaged weights of tiny[^\n]*train\.py$"):
        make(file)
    with pytest.raises(CheckpointError, match="no such file"):
        make(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="one file of weights, got 2"):
        make(file, file)


def test_centres_are_means_and_none_is_empty(train):
    points = torch.tensor([[0.0], [0.2], [10.0], [10.4], [30.0], [30.0]])
    centres = train.k_means(points, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(centres.sort(dim=0).values, torch.tensor([[0.1], [10.2], [30.0]]))


def test_training_teaches_what_sampling_asks(train, backbone):
    """The loss of true maps is that of the state's own logits when these maps are committed."""
    images, labels = train.images_of(0, 3)
    tokens = backbone.encode(images.expand(-1, 3, -1, -1))
    state, total = backbone.begin(labels, 0.0), 0.0
    for part in tokens.split(backbone.info.lengths, dim=1):
        log_probs = state.logits().log_softmax(dim=-1)
        total -= float(log_probs.gather(2, part[..., None]).sum())
        state.commit(part)
    loss = train.loss_of(backbone.predictor, backbone.tokenizer, images, labels)
    assert float(loss) == pytest.approx(total / tokens.numel(), rel=1e-4)


def test_training_writes_the_same_file_again(train, make, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(train, "STEPS", 4)
    monkeypatch.setattr(train, "WARM_UP", 2)
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(train, "CODEBOOK_IMAGES", 100)
    files = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for file in files:
        train.main(file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert '"psnr"' in capsys.readouterr().out
    made = make(files[0])
    assert made.tokenizer.codes.abs().sum() > 0
    assert made.begin(torch.tensor([1]), 1.0).logits().isfinite().all()


def test_the_tokenizer_is_made_again_as_shipped(train, backbone):
    """Rounding of another machine may move a few centres, so what they are worth is compared."""
    images, _ = train.images_of(train.CODEBOOK_IMAGES, 200)

    def error(code: Pyramid) -> float:
        return float((code.sums(code.encode(images))[-1] - images).square().mean())

    assert error(train.train_tokenizer()) == pytest.approx(error(backbone.tokenizer), rel=0.05)
