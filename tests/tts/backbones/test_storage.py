"""Converted folders, the user's files and the models inside the package."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tts.backbones import storage
from tts.backbones.build import build_embedded, build_folder
from tts.backbones.flexvae import FlexVaeConfig
from tts.backbones.flexvar_weights import infer_flexvar_config
from tts.backbones.presets import FLEXVAR_SCHEDULES, SCHEDULE_256, SPECS
from tts.backbones.storage import (
    EMBEDDED,
    TOKENIZER_FILE,
    TRANSFORMER_FILE,
    FolderConfig,
    embedded_folder,
    folder_spec,
    load_folder,
    load_published,
    read_folder_config,
    write_transformer,
)
from tts.errors import CheckpointError, PluginError, UsageError
from tts.io import read_metadata
from tts.specs import (
    FLEXVAR_GUIDANCE,
    LLAMAGEN_GUIDANCE,
    BackboneOptions,
    BackboneRequest,
    SamplingDefaults,
)

PRESETS = {spec.name: spec for spec in SPECS}
CPU = torch.device("cpu")
TINY = (1, 2, 3, 4)


def request(spec, *weights, **options):
    return BackboneRequest(spec, CPU, torch.float32, weights, BackboneOptions(**options))


def refusal(call, *args, kind=CheckpointError):
    with pytest.raises(kind) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


# Converting


def test_the_folder_gives_a_spec(folder):
    spec = folder_spec(folder)
    assert (spec.name, spec.family, spec.schedule) == ("var-d2", "var", TINY)
    assert (spec.classes, spec.codebook_size, spec.channels, spec.image_size) == (10, 64, 8, 64)
    assert spec.sampling == SamplingDefaults(1.5, 900, 0.96)
    assert (spec.default_scorer, spec.repo) == (None, None)
    assert str(folder) in spec.summary
    info = build_folder(request(spec, folder)).info
    for field in ("name", "schedule", "classes", "codebook_size", "channels", "image_size", "sampling"):
        assert getattr(info, field) == getattr(spec, field)


# Folders


def test_a_folder_from_elsewhere_is_refused(tmp_path, folder, synthetic_state):
    state = {key: value for key, value in synthetic_state("var_tiny").items() if key != "lvl_1L"}
    save_file(state, tmp_path / TRANSFORMER_FILE)
    assert "tts convert" in refusal(folder_spec, tmp_path)
    assert "tts convert" in refusal(load_folder, tmp_path / TRANSFORMER_FILE, folder / TOKENIZER_FILE)


def test_an_empty_folder_is_refused(tmp_path):
    assert TRANSFORMER_FILE in refusal(folder_spec, tmp_path)


def test_a_folder_without_its_tokenizer_is_refused(folder):
    (folder / TOKENIZER_FILE).unlink()
    assert TOKENIZER_FILE in refusal(build_folder, request(folder_spec(folder), folder))


def test_a_folder_with_the_tokenizer_of_another_model_is_refused(folder):
    shutil.copy(EMBEDDED / f"digits-{TOKENIZER_FILE}", folder / TOKENIZER_FILE)
    assert "a transformer and a tokenizer of two conversions" in refusal(
        build_folder, request(folder_spec(folder), folder)
    )


def test_a_truncated_folder_is_refused(folder):
    for name in (TOKENIZER_FILE, TRANSFORMER_FILE):
        whole = (folder / name).read_bytes()
        spec = folder_spec(folder)
        (folder / name).write_bytes(whole[: len(whole) // 2])
        assert name in refusal(build_folder, request(spec, folder))


@pytest.mark.parametrize("config", [None, "{", "[]", "{}", '{"transformer": {"depths": 3}}'])
def test_a_damaged_description_is_refused(folder, config):
    metadata = {"format": storage.FOLDER_FORMAT, **({} if config is None else {"config": config})}
    save_file({"a": torch.ones(1)}, folder / TRANSFORMER_FILE, metadata=metadata)
    assert "is not a valid converted model" in refusal(read_folder_config, folder / TRANSFORMER_FILE)


def test_a_family_that_is_not_known_is_refused(folder):
    with safe_open(folder / TRANSFORMER_FILE, "pt") as file:
        metadata = file.metadata()
    config = {**json.loads(metadata["config"]), "family": "flexvar-x"}
    metadata["config"] = json.dumps(config)
    save_file({"a": torch.ones(1)}, folder / TRANSFORMER_FILE, metadata=metadata)
    assert "'flexvar-x'" in refusal(folder_spec, folder, kind=PluginError)


def test_the_hash_is_over_both_files_in_order(folder):
    backbone = build_folder(request(folder_spec(folder), folder))
    digests = [weights.digest() for weights in backbone.weights]
    assert backbone.weights_hash() == sha256("".join(digests).encode()).hexdigest()
    assert backbone.files == (folder / TRANSFORMER_FILE, folder / TOKENIZER_FILE)


# The user's files for a preset


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr("tts.backbones.fetch.cached_file", lambda spec, role: None)


def test_the_files_of_a_preset_come_in_any_order(tiny_files, depth_16):
    transformer, tokenizer = tiny_files("var_tiny")
    for weights in ((transformer, tokenizer), (tokenizer, transformer)):
        info, _, _, files = load_published(request(depth_16, *weights))
        assert tuple(weights.source for weights in files) == (transformer, tokenizer)
        assert (info.name, info.schedule, info.image_size) == ("var-d16", TINY, 64)


@pytest.mark.parametrize("pair", ["transformer", "tokenizer"])
def test_two_files_of_one_kind_are_refused(tmp_path, tiny_files, depth_16, pair):
    file = Path(shutil.copy(tiny_files("var_tiny")[pair == "tokenizer"], tmp_path / "again.pth"))
    message = refusal(load_published, request(depth_16, *tiny_files("var_tiny"), file))
    assert f"second {pair}" in message
    assert file.name in message


@pytest.mark.parametrize(("given", "missing"), [(0, "tokenizer"), (1, "transformer")])
def test_a_missing_part_is_looked_up_in_the_cache(tiny_files, depth_16, monkeypatch, given, missing):
    files = tiny_files("var_tiny")
    asked = []

    def cached(spec, role):
        asked.append((spec.name, role))
        return files[1 - given]

    monkeypatch.setattr("tts.backbones.fetch.cached_file", cached)
    assert tuple(weights.source for weights in load_published(request(depth_16, files[given]))[3]) == files
    assert asked == [("var-d16", missing)]


@pytest.mark.usefixtures("no_cache")
def test_without_weights_the_next_step_is_named():
    message = refusal(load_published, request(PRESETS["var-d30"]))
    assert "tts fetch var-d30" in message
    assert "--weights" in message


@pytest.mark.parametrize(("depth", "right"), [(20, "var-d20"), (16, "var-d16"), (3, None)])
def test_the_wrong_depth_names_the_right_preset(tmp_path, tiny_files, synthetic_state, depth, right):
    state = {**synthetic_state("var_tiny"), f"blocks.{depth - 1}.ffn.fc2.bias": torch.ones(128)}
    torch.save(state, tmp_path / "var.pth")
    spec = PRESETS["var-d30"]
    message = refusal(load_published, request(spec, tmp_path / "var.pth", tiny_files("var_tiny")[1]))
    assert f"depth {depth}, var-d30 has 30" in message
    if right:
        assert f"pass --backbone {right}" in message
    else:
        assert "--backbone" not in message
        assert "tts convert" in message


# The models inside the package


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l"])
def test_an_embedded_model_is_what_its_preset_says(name):
    spec = PRESETS[name]
    backbone = build_embedded(request(spec))
    for field in ("name", "schedule", "classes", "codebook_size", "channels", "image_size", "sampling"):
        assert getattr(backbone.info, field) == getattr(spec, field), field
    assert backbone.files == embedded_folder(name)
    images = backbone.decode(torch.zeros(2, 30, dtype=torch.int64))
    assert images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l"])
def test_an_embedded_model_takes_no_weights(tiny_files, name):
    weights = tiny_files("var_tiny")
    assert "--weights" in refusal(build_embedded, request(PRESETS[name], *weights), kind=UsageError)


def test_the_embedded_vars_share_one_tokenizer_and_all_models_are_small():
    (_, tokenizer), (_, other) = map(embedded_folder, ("var-digits", "var-digits-l"))
    assert tokenizer == other
    assert sum(file.stat().st_size for file in EMBEDDED.rglob("*.safetensors")) < 11_000_000


# FlexVAR


@pytest.mark.usefixtures("depth_16")
def test_the_files_of_a_flexvar_preset_come_in_any_order(tiny_files):
    spec = PRESETS["flexvar-d16"]
    transformer, tokenizer = tiny_files("flexvar_tiny")
    for weights in ((transformer, tokenizer), (tokenizer, transformer)):
        info, net, _, files = load_published(request(spec, *weights))
        assert tuple(weights.source for weights in files) == (transformer, tokenizer)
        assert (info.name, info.family, info.schedule) == ("flexvar-d16", "flexvar", SCHEDULE_256)
        assert (info.image_size, info.sampling) == (256, spec.sampling)
        assert (net.config.table, net.config.trained_side) == (32, 16)


@pytest.mark.usefixtures("depth_16")
@pytest.mark.parametrize("name", ["8", "13", "512"])
def test_a_flexvar_preset_takes_a_schedule_and_a_guidance_form(tiny_files, name):
    spec = PRESETS["flexvar-d16"]
    options = {"schedule": FLEXVAR_SCHEDULES[name], "guidance": LLAMAGEN_GUIDANCE}
    info = load_published(request(spec, *tiny_files("flexvar_tiny"), **options))[0]
    assert (info.schedule, info.guidance) == (FLEXVAR_SCHEDULES[name], LLAMAGEN_GUIDANCE)
    assert info.image_size == (512 if name == "512" else 256)
    assert not all(info.stochastic)
    info = load_published(request(spec, *tiny_files("flexvar_tiny"), **options, sample_all_scales=True))[0]
    assert all(info.stochastic)


@pytest.mark.usefixtures("depth_16")
def test_a_flexvar_preset_refuses_a_schedule_beyond_its_table(tiny_files):
    weights = tiny_files("flexvar_tiny")
    options = {"schedule": (1, 2, 33)}
    message = refusal(load_published, request(PRESETS["flexvar-d16"], *weights, **options), kind=UsageError)
    assert "ends at side 33" in message


@pytest.mark.usefixtures("depth_16")
def test_a_flexvar_preset_takes_no_tokenizer_of_a_var(tiny_files):
    weights = tiny_files("flexvar_tiny")[0], tiny_files("var_tiny")[1]
    assert "no FlexVAR tokenizer" in refusal(load_published, request(PRESETS["flexvar-d16"], *weights))


@pytest.mark.parametrize("schedule", [[], [1], [2, 3], [1, 3, 3], "1,2,3", None, 4])
def test_a_stored_schedule_that_is_none_is_damage(flexvar_folder, schedule, tmp_path):
    metadata = read_metadata(flexvar_folder / TRANSFORMER_FILE)
    config = json.loads(metadata["config"])
    config["transformer"]["schedule"] = schedule
    changed = {**metadata, "config": json.dumps(config)}
    save_file({"a": torch.ones(1)}, tmp_path / TRANSFORMER_FILE, changed)
    assert "; convert it again" in refusal(folder_spec, tmp_path)


@pytest.mark.usefixtures("depth_16")
def test_a_smaller_position_table_can_be_used_as_the_message_says(small_files):
    weights, spec = small_files(8), PRESETS["flexvar-d16"]
    assert "pass --schedule 1,2,3,… up to 8" in refusal(load_published, request(spec, *weights))
    assert load_published(request(spec, *weights, schedule=TINY))[0].schedule == TINY


def test_a_flexvar_folder_gives_a_spec_with_a_free_schedule(flexvar_folder):
    spec = folder_spec(flexvar_folder)
    assert (spec.name, spec.family, spec.schedule) == ("flexvar-d2", "flexvar", TINY)
    assert (spec.classes, spec.codebook_size, spec.channels, spec.image_size) == (10, 64, 32, 64)
    assert spec.sampling == SamplingDefaults(2.5, 900, 0.95)
    assert (spec.max_side, spec.schedules) == (32, FLEXVAR_SCHEDULES)
    assert spec.guidance == (FLEXVAR_GUIDANCE, LLAMAGEN_GUIDANCE)
    assert (spec.default_scorer, spec.repo) == (None, None)


@pytest.mark.parametrize(("table", "names"), [(8, 0), (16, 7), (32, 8)])
def test_the_position_table_bounds_the_schedules_of_a_folder(tmp_path, synthetic_state, table, names):
    state = {**synthetic_state("flexvar_tiny"), "pos_1LC": torch.ones(1, 128, table, table)}
    net = infer_flexvar_config(state, TINY)
    code = FlexVaeConfig(codebook_size=64)
    config = FolderConfig("flexvar-mine", "flexvar", net, code, SamplingDefaults(1.0, 0, 0.0))
    write_transformer(tmp_path / TRANSFORMER_FILE, state, config)
    assert read_folder_config(tmp_path / TRANSFORMER_FILE) == config
    spec = folder_spec(tmp_path)
    assert spec.max_side == table
    assert list(spec.schedules) == list(FLEXVAR_SCHEDULES)[:names]


def test_options_of_a_folder_are_respected(flexvar_folder):
    files = (flexvar_folder / TRANSFORMER_FILE, flexvar_folder / TOKENIZER_FILE)
    info = load_folder(*files)[0]
    assert (info.schedule, info.guidance, info.image_size) == (TINY, FLEXVAR_GUIDANCE, 64)
    assert load_folder(*files, BackboneOptions())[0] == info
    chosen = load_folder(*files, BackboneOptions((1, 2, 7), LLAMAGEN_GUIDANCE))[0]
    assert (chosen.schedule, chosen.guidance) == ((1, 2, 7), LLAMAGEN_GUIDANCE)
    assert (chosen.grid, chosen.image_size) == (7, 112)
    assert chosen.stochastic == (True, True, False)
    assert load_folder(*files, BackboneOptions((1, 2, 7), None, True))[0].stochastic == (True,) * 3
    options = BackboneOptions((1, 2, 7), LLAMAGEN_GUIDANCE)
    spec = folder_spec(flexvar_folder)
    backbone = build_folder(BackboneRequest(spec, CPU, torch.float32, (flexvar_folder,), options))
    assert backbone.info == chosen
    long = BackboneOptions((1, 40))
    assert "position table has 32" in refusal(load_folder, *files, long, kind=UsageError)


@pytest.mark.parametrize(
    ("depth", "right"), [(16, "flexvar-d16"), (20, "flexvar-d20"), (24, "flexvar-d24"), (30, None)]
)
def test_the_wrong_depth_names_the_right_flexvar(tmp_path, synthetic_state, small_files, depth, right):
    state = {**synthetic_state("flexvar_tiny"), f"blocks.{depth - 1}.ffn.fc2.bias": torch.ones(128)}
    torch.save(state, tmp_path / "flexvar.pth")
    spec = PRESETS["flexvar-d20" if depth == 24 else "flexvar-d24"]
    weights = tmp_path / "flexvar.pth", small_files(32)[1]
    message = refusal(load_published, request(spec, *weights))
    assert f"depth {depth}, {spec.name} has {spec.name[-2:]}" in message
    if right:
        assert f"pass --backbone {right}" in message
    else:
        assert "--backbone" not in message
        assert "tts convert" in message


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("name", ["flexvar-d16", "flexvar-d20", "flexvar-d24"])
def test_without_weights_of_a_flexvar_the_next_step_is_named(name):
    message = refusal(load_published, request(PRESETS[name]))
    assert message.startswith(f"no transformer weights for {name}; run 'tts fetch {name}'")
    assert "--weights" in message


@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
def test_an_embedded_model_is_described_as_training_would_write_it(name):
    file = embedded_folder(name)[0]
    assert read_metadata(file)["config"] == json.dumps(asdict(read_folder_config(file)))
