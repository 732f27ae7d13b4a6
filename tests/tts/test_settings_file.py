"""Settings in a file: what is written comes back, and what is no setting is refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.io import read_json
from tts.sample_config import SampleConfig
from tts.settings_file import FORMAT, read_settings, write_settings

Refused = Callable[..., AbstractContextManager[None]]

EVERYTHING = SampleConfig(
    **{"backbone": "var-d16", "weights": ("a.pth", "b.pth"), "guidance": "var", "sample_all_scales": True},
    **{"strategy": "best-of-n", "image_scorer": "digits", "scorer": "likelihood", "selector": "topk"},
    **{"candidates": "1,2", "start_scale": 1, "end_scale": 2, "top_k_select": 3, "temperature": 0.5},
    **{"cfg": 0.0, "top_k": 5, "top_p": 0.9, "dtype": "float16", "formats": ("png", "npz"), "trace": True},
    **{"save_tokens": True, "randomize_scale": 2, "uint8": "round", "schedule": "1,2"},
    **{"from_tokens": "x.safetensors", "from_scale": 2},
)


def write(path: Path, settings: Any, **changes: Any) -> Path:
    """A settings file as a person writes it."""
    path.write_text(json.dumps({"format": FORMAT, "settings": settings, **changes}))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of ``EVERYTHING``."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.pth", "b.pth", "x.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("config", [SampleConfig(), EVERYTHING])
def test_what_is_written_comes_back(here: Path, config: SampleConfig) -> None:
    write_settings(here / "settings.json", config.settings(), {"why": {"fid": 1.5}})
    assert SampleConfig(**read_settings(Path("settings.json"))) == config
    content = read_json(here / "settings.json")
    assert content == {"format": FORMAT, "settings": config.settings(), "why": {"fid": 1.5}}


def test_some_settings_are_enough(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path / "s.json", {})) == {}
    some = {"candidates": "32", "start_scale": None, "temperature": 1, "formats": ["npz"], "trace": False}
    found = read_settings(write(tmp_path / "s.json", some, found_by="hand"))
    assert found == {**some, "temperature": 1.0, "formats": ("npz",)}
    assert isinstance(found["temperature"], float)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("candidates", 32, "expected `str`, got `int`"),
        ("candidates", None, "expected `str`, got `null`"),
        ("start_scale", "2", "expected `int | null`, got `str`"),
        ("start_scale", 2.5, "expected `int | null`, got `float`"),
        ("start_scale", True, "expected `int | null`, got `bool`"),
        ("temperature", "1", "expected `float`, got `str`"),
        ("temperature", False, "expected `float`, got `bool`"),
        ("cfg", [], "expected `float | null`, got `array`"),
        ("trace", 1, "expected `bool`, got `int`"),
        ("formats", "png", "expected `array`, got `str`"),
        ("formats", ["png", 1], "expected `str`, got `int`"),
        ("scorer", {"a": "b" * 500}, "expected `str`, got `object`"),
        ("weights", 3, "expected `array`, got `int`"),
    ],
)
def test_a_value_of_another_type_is_refused(
    tmp_path: Path, refused: Refused, name: str, value: Any, rule: str
) -> None:
    file = write(tmp_path / "s.json", {"cfg": 1.5, name: value})
    with refused("s.json is not a valid file of settings", rule, f"$.{name}", kind=CheckpointError):
        read_settings(file)
    with refused(rule, kind=CheckpointError):
        write_settings(tmp_path / "new.json", {name: value})
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("candidate", "unknown setting 'candidate'; did you mean 'candidates'"),
        ("colour", "unknown setting 'colour'; known: backbone, weights"),
        ("seeds", "'seeds' does not decide how images come out; give it on the command line"),
        ("out", "'out' does not decide"),
        ("device", "'device' does not decide"),
        ("shard_items", "'shard_items' does not decide"),
    ],
)
def test_a_field_that_is_no_setting_is_refused(
    tmp_path: Path, refused: Refused, name: str, words: str
) -> None:
    with refused("s.json", words, kind=CheckpointError):
        read_settings(write(tmp_path / "s.json", {name: "0"}))


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "3", "{}", '{"settings": {}}', '{"format": "scalewise-tts-settings-2", "settings": {}}'),
        *(f'{{"format": "{FORMAT}", "settings": []}}', f'{{"format": "{FORMAT}"}}'),
    ],
)
def test_another_file_is_refused(tmp_path: Path, refused: Refused, content: str) -> None:
    (tmp_path / "s.json").write_text(content)
    with refused(
        "s.json is not a valid file of settings", "; a file of settings is", FORMAT, kind=CheckpointError
    ):
        read_settings(tmp_path / "s.json")


def test_a_setting_that_is_given_twice_is_refused(tmp_path: Path, refused: Refused) -> None:
    content = f'{{"format": "{FORMAT}", "settings": {{"candidates": "4", "cfg": 1, "candidates": "8"}}}}'
    (tmp_path / "s.json").write_text(content)
    with refused(
        "s.json is not a valid file of settings", "'candidates' stands there twice", kind=CheckpointError
    ):
        read_settings(tmp_path / "s.json")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("cannot read", "none.json", kind=CheckpointError):
        read_settings(tmp_path / "none.json")
    (tmp_path / "s.json").write_text("{")
    with refused("s.json is not a valid", kind=CheckpointError):
        read_settings(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scorer", "best.safetensors"),
        ("scorer", "trained"),
        ("scorer", "learned:best.safetensors"),
        ("image_scorer", "classifier:hf:trained"),
        ("weights", ["best.safetensors", "trained"]),
        ("backbone", "trained"),
        ("from_tokens", "best.safetensors"),
    ],
)
def test_files_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    """They are found from another folder, and after both were moved together."""
    folder, elsewhere = tmp_path / "tuned", tmp_path / "elsewhere"
    (folder / "trained").mkdir(parents=True)
    (folder / "best.safetensors").touch()
    elsewhere.mkdir()
    monkeypatch.chdir(folder)
    write_settings(folder / "settings.json", {name: value})
    assert read_json(folder / "settings.json")["settings"] == {name: value}
    os.rename(folder, tmp_path / "moved")
    monkeypatch.chdir(elsewhere)
    found = read_settings(Path("../moved/settings.json"))[name]
    for text in found if isinstance(found, tuple) else (found,):
        assert Path(text.rpartition(":")[2]).exists()
        assert text.rpartition(":")[0] == ("" if isinstance(value, list) else value.rpartition(":")[0])


def test_files_elsewhere_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("work", "scorers", "tuned", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "scorers" / "best.safetensors").touch()
    (tmp_path / "real" / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    monkeypatch.chdir(tmp_path / "work")
    for folder in ("tuned", "link"):
        file = tmp_path / folder / "settings.json"
        write_settings(file, {"scorer": "../scorers/best.safetensors"})
        assert not os.path.isabs(read_json(file)["settings"]["scorer"])
        for seen in (file, Path(os.path.relpath(file))):
            found = read_settings(seen)["scorer"]
            assert Path(found).samefile(tmp_path / "scorers" / "best.safetensors")
            assert ("tuned/.." in found) is False
    absolute = str(tmp_path / "scorers" / "best.safetensors")
    assert read_settings(write(tmp_path / "s.json", {"scorer": absolute})) == {"scorer": absolute}


def test_a_file_that_is_missing_is_missed_beside_the_settings(tmp_path: Path) -> None:
    found = read_settings(write(tmp_path / "s.json", {"scorer": "learned:gone.safetensors"}))
    assert found == {"scorer": f"learned:{tmp_path / 'gone.safetensors'}"}


def test_names_stay_names_whatever_lies_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"backbone": "var-digits", "scorer": "likelihood", "image_scorer": "digits"}
    for name in (*names.values(), "auto", "none"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for settings in (names, {"scorer": "auto", "image_scorer": "auto"}, {"scorer": "none"}):
        write_settings(tmp_path / "s.json", settings)
        assert read_json(tmp_path / "s.json")["settings"] == settings
        assert read_settings(tmp_path / "s.json") == settings
    plain = {"image_scorer": "classifier:timm:resnet50.a1", "backbone": "var-d30"}
    assert read_settings(write(tmp_path / "s.json", plain)) == plain
