"""Scores are those of the model itself, of any batch; what cannot be loaded is one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys

import pytest
import torch
from tts_score_clip_judge import ClipScorer, build
from tts_score_clip_model import hash_weights, load
from tts_score_clip_options import DIGIT_NAMES, Options

from tts.errors import UsageError
from tts.specs import ImageScorerRequest
from tts.testing import check_image_scorer

transformers = pytest.importorskip("transformers")

CPU = torch.device("cpu")
NAMES = ("tench", "goldfish", "a cat")
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in ([0.2, 0.4, 0.6], [0.5, 0.25, 0.3]))


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(NAMES) + "\n")
    return file


def request(argument, classes=3):
    return ImageScorerRequest(classes, 8, CPU, argument)


def images(count, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def own_logits(folder, model, pixels, texts, **padding):
    """Logits (B, N) of a model by its own forward pass."""
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", **padding)
    with torch.no_grad():
        return model(pixel_values=(pixels - MEAN) / STD, **encoded).logits_per_image


@pytest.mark.parametrize("mode", ["similarity", "probability"])
def test_the_contract_is_kept(clip, names, mode):
    folder, _ = clip
    check_image_scorer(build(request(f"{folder},classes={names},mode={mode}")), classes=3, image_size=8)


def test_similarity_is_the_models_own_logit(clip, names):
    folder, model = clip
    pixels, labels = images(4), torch.tensor([2, 0, 1, 2])
    scorer = build(request(f"{folder},classes={names},prompt=the {{}} there"))
    texts = [f"the {name} there" for name in NAMES]
    expected = own_logits(folder, model, pixels, texts, padding=True)
    assert float(expected.std()) > 0.1
    found = scorer.score(pixels, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.gather(1, labels[:, None])[:, 0], atol=1e-4, rtol=1e-4)


def test_probability_is_among_all_classes(clip, names):
    folder, model = clip
    pixels, labels = images(4), torch.tensor([2, 0, 1, 2])
    scorer = build(request(f"{folder},classes={names},mode=probability"))
    logits = own_logits(folder, model, pixels, [f"a photo of a {name}" for name in NAMES], padding=True)
    expected = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(scorer.score(pixels, labels), expected, atol=1e-4, rtol=1e-4)
    every = torch.stack([scorer.score(pixels, torch.full((4,), y)) for y in range(3)])
    torch.testing.assert_close(every.exp().sum(dim=0), torch.ones(4))


def test_siglip_gets_padded_texts_without_a_mask_and_has_a_bias(siglip, names):
    folder, model = siglip
    pixels, labels = images(3), torch.tensor([0, 1, 2])
    texts = [f"a photo of a {name}" for name in NAMES]
    padding = {"padding": "max_length", "max_length": 40, "return_attention_mask": False}
    expected = own_logits(folder, model, pixels, texts, **padding).diagonal()
    found = build(request(f"{folder},classes={names}")).score(pixels, labels)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_several_prompts_are_averaged(clip, names):
    folder, _ = clip
    pixels, labels = images(2), torch.tensor([1, 2])
    scorer = build(request(f"{folder},classes={names},prompt=a {{}} | the big, big {{}}"))
    parts = [
        load(scorer.options, CPU).embed_texts([f"{text} {NAMES[y]}" for y in labels])
        for text in ("a", "the big, big")
    ]
    mean = torch.nn.functional.normalize(sum(parts) / 2, dim=-1)
    expected = scorer.scale * (scorer.towers.embed_images(pixels) * mean).sum(dim=1)
    torch.testing.assert_close(scorer.score(pixels, labels), expected, atol=1e-4, rtol=1e-4)


def test_a_score_does_not_depend_on_the_batch(clip, names):
    scorer = build(request(f"{clip[0]},classes={names}"))
    pixels, labels = images(150, size=16), torch.arange(150) % 3
    together = scorer.score(pixels, labels)
    alone = torch.cat([scorer.score(pixels[i : i + 1], labels[i : i + 1]) for i in (0, 64, 149)])
    torch.testing.assert_close(together[[0, 64, 149]], alone, atol=1e-4, rtol=1e-4)


def test_texts_are_embedded_once(clip, names, monkeypatch):
    scorer = build(request(f"{clip[0]},classes={names}"))
    monkeypatch.setattr(scorer.towers.network, "get_text_features", None)
    assert scorer.score(images(2), torch.tensor([0, 1])).shape == (2,)


def test_half_precision_is_close(clip, names):
    pixels, labels = images(4), torch.tensor([2, 0, 1, 2])
    exact = build(request(f"{clip[0]},classes={names}")).score(pixels, labels)
    half = build(request(f"{clip[0]},classes={names},dtype=bfloat16")).score(pixels, labels)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.5, rtol=0.1)


def test_the_record_names_model_weights_and_prompts(clip, names):
    folder, model = clip
    scorer = build(request(f"{folder},classes={names}"))
    assert scorer.describe() == {
        "model": str(folder),
        "sha256": hash_weights(model),
        "mode": "similarity",
        "dtype": "float32",
        "prompts": ["a photo of a {}"],
        "class_names_sha256": hashlib.sha256("\n".join(NAMES).encode()).hexdigest(),
    }
    assert json.loads(json.dumps(scorer.describe())) == scorer.describe()


def test_digits_have_names(clip):
    scorer = build(request(f"{clip[0]},classes=digits", classes=10))
    assert isinstance(scorer, ClipScorer)
    assert scorer.names == DIGIT_NAMES


def test_without_a_processor_the_colours_are_clips(clip, tmp_path):
    folder = shutil.copytree(clip[0], tmp_path / "bare")
    (folder / "preprocessor_config.json").unlink()
    prepare = load(Options(str(folder)), CPU).prepare
    assert (prepare.size, prepare.resized) == (8, 8)
    assert prepare.mean[0] == pytest.approx(0.4815, abs=1e-4)


def test_a_long_prompt_is_refused_and_not_cut(clip, names):
    with pytest.raises(UsageError, match=r"has \d+ tokens, the model of scorer clip takes 40"):
        build(request(f"{clip[0]},classes={names},prompt={'very ' * 10}{{}}"))


def refuse(argument, message):
    with pytest.raises(UsageError, match=message) as caught:
        build(request(argument))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_missing_transformers_says_what_to_install(clip, names, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    refuse(f"{clip[0]},classes={names}", r"pip install 'tts-score-clip\[transformers\]'")


def test_a_folder_without_a_model_is_one_line(names, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse(f"{tmp_path / 'empty'},classes={names}", "cannot load the model .*empty")


def test_a_model_without_towers_is_one_line(names, tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(image_size=8, patch_size=4, **sizes)
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    refuse(f"{tmp_path / 'vit'},classes={names}", "cannot load the model .*vit")


def test_a_file_that_lacks_weights_is_one_line(clip, names, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(clip[0], tmp_path / "part")
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    refuse(f"{folder},classes={names}", "lacks weights: visual_projection.weight")


def test_a_truncated_file_is_one_line(clip, names, tmp_path):
    folder = shutil.copytree(clip[0], tmp_path / "cut")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    refuse(f"{folder},classes={names}", "cannot load the model .*cut")


def test_a_processor_of_another_size_is_one_line(clip, names, tmp_path):
    folder = shutil.copytree(clip[0], tmp_path / "large")
    (folder / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 12}}')
    refuse(f"{folder},classes={names}", "cannot load the model .*large")
