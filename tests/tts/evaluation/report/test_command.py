"""Commands from recorded settings."""

from __future__ import annotations

import shlex
from dataclasses import fields

import pytest
from typer.main import get_group

from tts.evaluation.report.command import RENAMED, command_line
from tts.sample_config import SampleConfig
from tts.scorers.train_config import TrainConfig
from tts_cli.main import app


def test_only_what_differs_from_the_defaults_is_said() -> None:
    settings = {**SampleConfig().settings(), **SampleConfig().choice()}
    assert command_line("sample", SampleConfig, settings) == "tts sample"
    changed = {**settings, "candidates": "1,2,4,8", "trace": True, "top_k": 0, "labels": "0-3", "else": 1}
    assert (
        command_line("sample", SampleConfig, changed)
        == "tts sample --candidates 1,2,4,8 --labels 0-3 --top-k 0 --trace"
    )


def test_lists_are_repeated_or_joined_as_the_option_takes_them() -> None:
    settings = {"weights": ["a b.pth", "c.pth"], "formats": ["png", "npz"]}
    words = shlex.split(command_line("sample", SampleConfig, settings))
    assert words == ["tts", "sample", "--weights", "a b.pth", "--weights", "c.pth", "--format", "png,npz"]


def test_what_has_no_default_is_always_said() -> None:
    settings = {"real": "r", "generated": "g", "out": "o", "learning_rate": 0.001, "resume": False}
    assert (
        command_line("train-scorer", TrainConfig, settings)
        == "tts train-scorer --real r --generated g --out o --lr 0.001"
    )


@pytest.mark.parametrize(("name", "config"), [("sample", SampleConfig), ("train-scorer", TrainConfig)])
def test_every_setting_is_an_option_of_its_command(name: str, config: type) -> None:
    command = get_group(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    named = {"--" + RENAMED.get(field.name, field.name).replace("_", "-") for field in fields(config)}
    assert named <= options
