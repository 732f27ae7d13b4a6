"""The factories that presets and folders name, over both families."""

from __future__ import annotations

import pytest
import torch

from tts.backbones import storage
from tts.backbones.build import build_embedded, build_folder, build_published
from tts.backbones.convert import convert
from tts.backbones.families import FAMILIES, get_family
from tts.backbones.flexvar_adapter import FlexVarBackbone
from tts.backbones.presets import SPECS
from tts.backbones.storage import folder_spec
from tts.backbones.var_adapter import VarBackbone
from tts.errors import CheckpointError, UsageError
from tts.specs import BackboneRequest, load_attribute

CPU = torch.device("cpu")
TINY = (1, 2, 3, 4)
PRESETS = {spec.name: spec for spec in SPECS}
STATES = {"var": "var_tiny", "flexvar": "flexvar_tiny"}
BACKBONES = {"var": VarBackbone, "flexvar": FlexVarBackbone}
OTHER = {"var": "flexvar", "flexvar": "var"}


@pytest.fixture(scope="module")
def folders(tiny_files, tmp_path_factory):
    """A converted folder of each family."""
    root = tmp_path_factory.mktemp("converted")
    for family, name in STATES.items():
        (root / family).mkdir()
        convert(*tiny_files(name), root / family, None, None, "1,2,3,4" if family == "flexvar" else None)
    return {family: root / family for family in FAMILIES}


@pytest.fixture
def any_depth(monkeypatch):
    """Lets the tiny checkpoints pass for published ones of any depth."""
    monkeypatch.setattr(storage, "_check_depth", lambda spec, depth: None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_builds_the_backbone_of_its_family(folders, name):
    spec = folder_spec(folders[name])
    assert (spec.family, spec.factory) == (name, "tts.backbones.build:build_folder")
    backbone = build_folder(BackboneRequest(spec, CPU, torch.bfloat16, (folders[name],)))
    assert type(backbone) is BACKBONES[name]
    assert (backbone.info.name, backbone.info.family) == (f"{name}-d2", name)
    assert backbone.transformer.word_embed.weight.dtype == torch.bfloat16
    assert load_attribute(spec.factory) is build_folder


@pytest.mark.usefixtures("any_depth")
@pytest.mark.parametrize("name", FAMILIES)
def test_published_files_build_the_backbone_of_the_preset(tiny_files, name):
    spec = PRESETS[f"{name}-d16"]
    files = tiny_files(STATES[name])
    backbone = build_published(BackboneRequest(spec, CPU, torch.float32, files))
    assert type(backbone) is BACKBONES[name]
    assert (backbone.info.name, backbone.info.family) == (spec.name, name)
    assert backbone.files == files
    assert backbone.transformer.word_embed.weight.dtype == torch.float32
    assert load_attribute(spec.factory) is build_published


def test_published_files_of_the_other_family_are_refused_before_their_depth(tiny_files, refused):
    for name, other in OTHER.items():
        request = BackboneRequest(PRESETS[f"{name}-d16"], CPU, torch.float32, tiny_files(STATES[other]))
        with refused(f"not a {get_family(name).title}; pass a {other} backbone", kind=CheckpointError):
            build_published(request)


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if "digits" in spec.name], ids=lambda spec: spec.name
)
def test_an_embedded_model_takes_no_weights(tmp_path, refused, spec):
    with refused(f"--weights does not go with {spec.name}", "tts convert", kind=UsageError):
        build_embedded(BackboneRequest(spec, CPU, torch.float32, (tmp_path,)))
