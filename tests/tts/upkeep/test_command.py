"""From a plan back to what was asked for."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import replace

import pytest
from typer.main import get_group

from tts.data.collect_config import CollectConfig
from tts.engine.plan import Request
from tts.errors import CheckpointError
from tts.pipeline import Item
from tts.sample_config import SampleConfig
from tts.upkeep.command import command_of, config_of


def planned(config):
    """A plan of a sample run."""
    return Request.of("sample", config.settings(), {}, config.choice(), [Item(0, 0)]).plan


EVERYTHING = SampleConfig(
    **{"backbone": "var-d16", "weights": ("a b.pth", "c.pth"), "guidance": "var", "sample_all_scales": True},
    **{"scorer": "likelihood", "selector": "topk", "candidates": "1,2", "start_scale": 1, "end_scale": 2},
    **{"top_k_select": 3, "temperature": 0.5, "labels": "0-9", "seeds": "0-4", "cfg": 0.0, "top_k": 5},
    **{"top_p": 0.9, "dtype": "float16", "formats": ("png", "npz"), "save_tokens": True, "trace": True},
    **{"randomize_scale": 2, "uint8": "round", "schedule": "1,2"},
)


def test_a_configuration_comes_back(tmp_path):
    best = SampleConfig(strategy="best-of-n", image_scorer="mine", candidates="4")
    for config in (SampleConfig(), EVERYTHING, best, SampleConfig(from_tokens="x", from_scale=2)):
        again = config_of(planned(config), tmp_path, "cpu")
        assert again == replace(config, out=str(tmp_path), device="cpu")


def test_the_command_has_options_that_exist_and_reads_as_the_configuration(tmp_path):
    from tts_cli.main import app

    words = shlex.split(command_of(planned(EVERYTHING), tmp_path / "my folder"))
    assert words[:2] == ["tts", "sample"]
    command = get_group(app).commands["sample"]
    given = command.make_context("sample", words[2:]).params
    assert [str(file) for file in given["weights"]] == ["a b.pth", "c.pth"]
    assert given["formats"] == "png,npz"
    assert str(given["out"]) == str(tmp_path / "my folder")
    others = set(EVERYTHING.settings()) | set(EVERYTHING.choice())
    for name in others - {"weights", "formats", "from_tokens"}:
        assert given[name] == getattr(EVERYTHING, name), name


def test_a_collection_has_its_schedule_from_the_identity(tmp_path):
    settings = {"backbone": "flexvar-digits", "weights": [], "real": None, "cfg": 1.0, "dtype": "float32"}
    for sides, expected in (([1, 2, 3, 4], None), ([1, 2, 4], "1,2,4")):
        plan = Request.of("generated", settings, {"schedule": sides}, {"per_class": 3}, [Item(0, 0)]).plan
        config = config_of(plan, tmp_path)
        assert config == CollectConfig(
            backbone="flexvar-digits", schedule=expected, cfg=1.0, per_class=3, out=str(tmp_path)
        )


@pytest.mark.parametrize("settings", [{"colour": "red"}, {}])
def test_plans_of_other_versions_are_refused(tmp_path, refused, settings):
    plan = Request.of("sample", settings, {}, {"labels": "0"}, [Item(0, 0)]).plan
    with refused("was planned by another version", kind=CheckpointError):
        config_of(plan, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("backbone", 7), ("candidates", 32), ("cfg", [1.5]), ("dtype", ["a"]), ("formats", 3)),
        *(("labels", {"0": 1}), ("per_class", "many"), ("randomize_scale", "auto"), ("schedule", {})),
        *(("sample_all_scales", [[1]]), ("selector", True), ("top_k", 0.5), ("weights", "x")),
    ],
)
def test_settings_of_the_wrong_type_are_refused(tmp_path, refused, name, value):
    for kind, config in (("sample", SampleConfig), ("generated", CollectConfig)):
        if hasattr(config, name):
            settings = {"backbone": "var-digits", "weights": [], name: value}
            identity = {"schedule": value if name == "schedule" else [1, 2, 3, 4]}
            plan = Request.of(kind, settings, identity, {}, [Item(0, 0)]).plan
            with refused("plan.json", "make it again", kind=CheckpointError):
                config_of(plan, tmp_path)


@pytest.mark.parametrize("sides", [5, [10**15], ["x"], {"a": 1}, None])
def test_a_schedule_of_the_wrong_type_is_no_traceback(tmp_path, sides):
    settings = {"backbone": "var-digits", "weights": [], "real": "digits"}
    plan = Request.of("real", settings, {"schedule": sides}, {}, [Item(0, 0)]).plan
    with suppress(CheckpointError):
        config_of(plan, tmp_path)
