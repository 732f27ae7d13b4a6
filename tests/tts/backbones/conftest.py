"""Converted folders of the tiny models, and files of sizes that were never published."""

from __future__ import annotations

import pytest
import torch

from tts.backbones import storage
from tts.backbones.convert import convert
from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.presets import SPECS

TINY = (1, 2, 3, 4)


@pytest.fixture
def folder(tmp_path, tiny_files):
    out = tmp_path / "converted"
    out.mkdir()
    convert(*tiny_files("var_tiny"), out, None, None, None)
    return out


@pytest.fixture
def depth_16(monkeypatch):
    """Lets the tiny checkpoint pass for a published one of any depth."""
    monkeypatch.setattr(storage, "_check_depth", lambda spec, depth: None)
    return next(spec for spec in SPECS if spec.name == "var-d16")


@pytest.fixture(scope="module")
def flexvar_folder(tiny_files, tmp_path_factory):
    """A converted FlexVAR of schedule 1,2,3,4; tests only read it."""
    out = tmp_path_factory.mktemp("flexvar")
    convert(*tiny_files("flexvar_tiny"), out, None, None, "1,2,3,4")
    return out


@pytest.fixture(scope="module")
def small_files(synthetic_state, tmp_path_factory):
    """The tiny transformer, cut to a position table of a side, and a small tokenizer that goes with it."""
    root = tmp_path_factory.mktemp("small")
    config = FlexVaeConfig(codebook_size=64, channels=32, latent=8, width=32, multipliers=(1, 2), blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save({"model": FlexVae(config).state_dict()}, root / "vae.pth")

    def make(table):
        state = synthetic_state("flexvar_tiny")
        state["pos_1LC"] = state["pos_1LC"][..., :table, :table].clone()
        torch.save({"trainer": {"var_wo_ddp": state}}, root / f"flexvar-{table}.pth")
        return root / f"flexvar-{table}.pth", root / "vae.pth"

    return make


@pytest.fixture(scope="module", params=["exact", "fast"])
def as_form(request):
    """A backbone as it is, or its fast form."""
    return (lambda backbone: backbone.fast()) if request.param == "fast" else (lambda backbone: backbone)
