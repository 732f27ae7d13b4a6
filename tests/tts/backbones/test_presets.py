"""The table of built-in backbones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tts.backbones.presets import SCHEDULE_256, SCHEDULE_512, SPECS
from tts.config import check_schedule
from tts.manager import get_plugins
from tts.specs import (
    FLEXVAR_GUIDANCE,
    LLAMAGEN_GUIDANCE,
    VAR_GUIDANCE,
    CollectDefaults,
    SamplingDefaults,
    load_attribute,
)

PRESETS = {spec.name: spec for spec in SPECS}
PUBLISHED = ("var-d16", "var-d20", "var-d24", "var-d30", "var-d36")
FLEXVAR = {
    "flexvar-d16": "FlexVARd16-epo179.pth",
    "flexvar-d20": "FlexVARd20-epo249.pth",
    "flexvar-d24": "FlexVARd24-epo349.pth",
}
DIGITS = ("var-digits", "var-digits-l", "flexvar-digits")


def test_the_names():
    assert tuple(PRESETS) == (*DIGITS, *PUBLISHED, *FLEXVAR)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_registered_and_its_factory_exists(name):
    spec = PRESETS[name]
    assert get_plugins().backbones.get(name) is spec
    assert callable(load_attribute(spec.factory))
    assert name.startswith(f"{spec.family}-")
    forms = {"var": (VAR_GUIDANCE,), "flexvar": (FLEXVAR_GUIDANCE, LLAMAGEN_GUIDANCE)}
    assert spec.guidance == forms[spec.family]
    assert spec.summary


def test_a_familys_name_is_its_largest_256_model():
    assert get_plugins().backbones.get("var").name == "var-d30"
    assert get_plugins().backbones.get("flexvar").name == "flexvar-d24"
    assert [spec.name for spec in SPECS if spec.aliases] == ["var-d30", "flexvar-d24"]


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


@pytest.mark.parametrize("name", FLEXVAR)
def test_published_flexvar_models(name):
    spec = PRESETS[name]
    assert spec.sampling == SamplingDefaults(cfg=2.5, top_k=900, top_p=0.95)
    assert spec.collect == CollectDefaults()
    assert (spec.classes, spec.codebook_size, spec.channels) == (1000, 8912, 32)
    assert (spec.schedule, spec.image_size, spec.max_side) == (SCHEDULE_256, 256, 32)
    assert spec.repo == "jiaosiyu1999/FlexVAR"
    assert spec.files == {"transformer": FLEXVAR[name], "tokenizer": "FlexVAE.pth"}
    assert spec.default_scorer is None


def test_named_flexvar_schedules():
    schedules = PRESETS["flexvar-d24"].schedules
    assert list(schedules) == ["6", "8", "9", "10", "11", "12", "13", "512"]
    for name, sides in schedules.items():
        check_schedule(sides, 32)
        assert sides[-1] * 16 == (512 if name == "512" else 256)
        assert len(sides) == (15 if name == "512" else int(name))


@pytest.mark.parametrize(
    ("name", "cfg"), [("var-digits", 1.5), ("var-digits-l", 0.1), ("flexvar-digits", 1.5)]
)
def test_digits_models(name, cfg):
    spec = PRESETS[name]
    assert spec.sampling == SamplingDefaults(cfg=cfg, top_k=0, top_p=0.0)
    assert spec.collect == CollectDefaults(
        cfg=0.0, per_class=500
    )  # the scorer must see the plain model's density
    assert (spec.classes, spec.codebook_size, spec.channels) == (10, 256, 16)
    assert (spec.schedule, spec.image_size) == ((1, 2, 3, 4), 16)
    assert (spec.repo, spec.files) == (None, {})
    assert spec.default_scorer == "learned"


def test_the_table_imports_no_torch():
    code = "import sys, tts.backbones.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
