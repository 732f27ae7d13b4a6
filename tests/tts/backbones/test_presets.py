"""The table of built-in backbones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tts.backbones.presets import SCHEDULE_256, SCHEDULE_512, SPECS
from tts.manager import get_plugins
from tts.specs import CollectDefaults, SamplingDefaults, load_attribute

PRESETS = {spec.name: spec for spec in SPECS}
PUBLISHED = ("var-d16", "var-d20", "var-d24", "var-d30", "var-d36")
DIGITS = ("var-digits", "var-digits-l")


def test_the_names():
    assert tuple(PRESETS) == (*DIGITS, *PUBLISHED)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_registered_and_its_factory_exists(name):
    spec = PRESETS[name]
    assert get_plugins().backbones.get(name) is spec
    assert callable(load_attribute(spec.factory))
    assert (spec.family, spec.guidance) == ("var", "var")
    assert spec.summary


def test_var_is_the_largest_256_model():
    assert get_plugins().backbones.get("var").name == "var-d30"
    assert [spec.name for spec in SPECS if spec.aliases] == ["var-d30"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(name):
    spec = PRESETS[name]
    assert spec.sampling == SamplingDefaults(cfg=1.5, top_k=900, top_p=0.96)
    assert spec.collect == CollectDefaults()
    assert (spec.classes, spec.codebook_size, spec.channels) == (1000, 4096, 32)
    assert spec.repo == "FoundationVision/var"
    assert spec.files == {
        "transformer": f"var_{name.removeprefix('var-')}.pth",
        "tokenizer": "vae_ch160v4096z32.pth",
    }
    assert spec.default_scorer is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_schedules(name):
    spec = PRESETS[name]
    large = name == "var-d36"
    assert spec.schedule == (SCHEDULE_512 if large else SCHEDULE_256)
    assert spec.image_size == (512 if large else 256) == 16 * spec.schedule[-1]
    assert sum(side * side for side in spec.schedule) == (2240 if large else 680)


@pytest.mark.parametrize(("name", "cfg"), [("var-digits", 1.5), ("var-digits-l", 0.1)])
def test_digits_models(name, cfg):
    spec = PRESETS[name]
    assert spec.sampling == SamplingDefaults(cfg=cfg, top_k=0, top_p=0.0)
    assert spec.collect == CollectDefaults(cfg=0.0)  # the scorer must see the plain model's density
    assert (spec.classes, spec.codebook_size, spec.channels) == (10, 256, 16)
    assert (spec.schedule, spec.image_size) == ((1, 2, 3, 4), 16)
    assert (spec.repo, spec.files) == (None, {})
    assert spec.default_scorer == "learned"


def test_the_table_imports_no_torch():
    code = "import sys, tts.backbones.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
