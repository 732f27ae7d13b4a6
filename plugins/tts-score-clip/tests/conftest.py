"""Tiny models of random weights, saved as users have them; nothing is downloaded."""

from __future__ import annotations

import json

import pytest
import torch

transformers = pytest.importorskip("transformers")

TOWER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
PIECES = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
FIRST, LAST = len(PIECES) - 2, len(PIECES) - 1
SPECIAL = {"bos_token_id": FIRST, "eos_token_id": LAST, "pad_token_id": LAST}
TEXT = {**TOWER, **SPECIAL, "vocab_size": len(PIECES)}
VISION = {**TOWER, "image_size": 8, "patch_size": 4}
COLOURS = {"image_mean": [0.2, 0.4, 0.6], "image_std": [0.5, 0.25, 0.3]}


def save_tokenizer(folder):
    """A tokenizer whose pieces are letters."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(PIECES)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer.from_pretrained(str(folder)).save_pretrained(folder)


def save_processor(folder, **changes):
    """A configuration of the image processor, with colours of its own."""
    values = {"image_processor_type": "CLIPImageProcessor", "size": {"height": 8, "width": 8}, **COLOURS}
    (folder / "preprocessor_config.json").write_text(json.dumps({**values, **changes}))


def make(folder, model):
    """A folder with this model, a tokenizer and a processor."""
    save_tokenizer(folder)
    save_processor(folder)
    model.eval().save_pretrained(folder)
    return folder, model


def clip_model():
    """A CLIP of one layer a tower."""
    text = {**TEXT, "max_position_embeddings": 40}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.CLIPModel(config)
        for name, value in model.named_parameters():
            if "embedding" in name or "projection" in name:
                torch.nn.init.normal_(value)  # so that texts and images differ visibly
    return model


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """The folder of a CLIP model, and the model."""
    return make(tmp_path_factory.mktemp("clip"), clip_model())


@pytest.fixture(scope="session")
def siglip(tmp_path_factory):
    """The folder of a SigLIP model, and the model."""
    text = {**TEXT, "max_position_embeddings": 40, "projection_size": 16}
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.SiglipModel(config)
        torch.nn.init.constant_(model.logit_bias, -3.0)
        torch.nn.init.constant_(model.logit_scale, 2.0)
    return make(tmp_path_factory.mktemp("siglip"), model)
