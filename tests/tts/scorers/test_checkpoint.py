"""Scorer files: ours, the authors', and those that must be refused by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from tts.data.manifest import BackboneIdentity
from tts.errors import CheckpointError
from tts.io import load_tensors, read_metadata, save_tensors
from tts.records import plain
from tts.scorers.checkpoint import ScorerCard, check_backbone, load_scorer, save_scorer
from tts.scorers.network import ScorerConfig, ScorerNetwork

CONFIG = ScorerConfig(
    channels=4, grid=4, classes=3, scales=2, widths=(8, 6), strides=(2, 1), embedding=5, hidden=(12, 7)
)
IDENTITY = BackboneIdentity("var-test", (1, 4), 3, 50, 4, 4, "ab" * 32)
PUBLISHED = BackboneIdentity("var-d30", (1, 2, 3, 4, 5, 6, 8, 10, 13, 16), 1000, 4096, 32, 16, "cd" * 32)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ScorerNetwork(CONFIG).eval()


@pytest.fixture
def card():
    return ScorerCard(
        CONFIG, IDENTITY, {"settings": {"loss": "pairwise"}, "held_out": {"accuracy": [0.5, 0.9]}}
    )


@pytest.fixture
def file(tmp_path, network, card):
    save_scorer(tmp_path / "scorer.safetensors", network, card)
    return tmp_path / "scorer.safetensors"


@pytest.fixture(scope="module")
def published(synthetic_state, tmp_path_factory):
    """The authors' plain state dict."""
    path = tmp_path_factory.mktemp("published") / "lsrs.pth"
    torch.save(synthetic_state("lsrs_reward_net"), path)
    return path


def batch(config, count=6):
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(count, config.channels, config.grid, config.grid, generator=generator)
    return maps, torch.arange(count) % config.classes, torch.arange(count) % config.scales


def edit(file, **changes):
    """Write the file anew with other metadata."""
    tensors, metadata = load_tensors(file)
    save_tensors(file, tensors, {**metadata, **changes})


@torch.inference_mode()
def test_round_trip(file, network, card):
    loaded, read, _ = load_scorer(file, grid=99)  # the file knows its own grid
    assert read == card
    assert loaded.config == CONFIG
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=0, atol=0)
    assert torch.equal(loaded(*batch(CONFIG)), network(*batch(CONFIG)))


def test_a_file_says_what_it_is(file, card):
    metadata = read_metadata(file)
    assert metadata["format"] == "scalewise-tts-scorer-1"
    assert json.loads(metadata["identity"]) == plain(IDENTITY)
    assert json.loads(metadata["training"]) == card.training


def test_half_precision_weights_become_float32(tmp_path, network, card):
    path = tmp_path / "half.safetensors"
    save_scorer(path, network.half(), card)
    loaded = load_scorer(path, 4)[0]
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_its_own_backbone_is_accepted(file, card):
    assert check_backbone(file, card, IDENTITY) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": "var-d30", "weights": "cd" * 32},
            "scorer was trained for other weights (var-test, abababababab), got var-d30, cdcdcdcdcdcd",
        ),
        ({"weights": "cd" * 32}, "scorer was trained for other weights (var-test, abababababab)"),
        ({"schedule": (1, 2, 4)}, "scorer was trained for scale schedule 1-4, got 1-2-4"),
        ({"classes": 10}, "scorer was trained for classes 3, got 10"),
        ({"codebook_size": 4096}, "scorer was trained for codebook size 50, got 4096"),
        ({"channels": 32}, "scorer was trained for channels 4, got 32"),
        ({"grid": 16}, "scorer was trained for latent grid 4, got 16"),
    ],
)
def test_another_backbone_is_refused(file, card, changes, message, refused):
    with refused(message, kind=CheckpointError):
        check_backbone(file, card, replace(IDENTITY, **changes))


def side_card(card, sides=(1, 2, 4)):
    config = replace(CONFIG, scales=len(sides), sides=sides)
    return replace(card, config=config, identity=replace(IDENTITY, schedule=sides))


def test_a_scorer_of_sides_serves_every_schedule_of_them(file, card):
    known = side_card(card)
    assert check_backbone(file, known, replace(IDENTITY, schedule=(1, 2, 4))) is None
    remark = check_backbone(file, known, replace(IDENTITY, schedule=(1, 4)))
    assert remark == "scorer scorer.safetensors was trained at schedule 1-2-4 and serves 1-4 by its sides"


def test_a_scorer_of_sides_refuses_a_side_that_it_does_not_know(file, card, refused):
    words = ("scorer knows sides 1-2-4, got scale schedule 1-3-4", "another --schedule")
    with refused(*words, kind=CheckpointError):
        check_backbone(file, side_card(card), replace(IDENTITY, schedule=(1, 3, 4)))
    with refused("latent grid 4, got 2", kind=CheckpointError):
        check_backbone(file, side_card(card), replace(IDENTITY, schedule=(1, 2), grid=2))


def test_a_scorer_of_scales_says_how_to_serve_several_schedules(file, card, refused):
    with refused("scale schedule 1-4, got 1-2-4", "--condition side", kind=CheckpointError):
        check_backbone(file, card, replace(IDENTITY, schedule=(1, 2, 4)))


def test_sides_survive_a_round_trip(tmp_path, card):
    known = side_card(card)
    path = tmp_path / "sides.safetensors"
    save_scorer(path, ScorerNetwork(known.config), known)
    assert load_scorer(path, 4)[1] == known


def test_the_same_weights_under_another_name_are_accepted(file, card):
    assert check_backbone(file, card, replace(IDENTITY, name="var-mine")) is None


@pytest.mark.parametrize("wrapping", ["module.", "model.", "net._orig_mod."])
def test_a_wrapped_scorer_of_the_authors_loads(tmp_path, synthetic_state, wrapping):
    state = synthetic_state("lsrs_reward_net")
    content = {f"{wrapping}{key}": value for key, value in state.items()}
    torch.save({"state_dict": content, "epoch": 3}, tmp_path / "lsrs.ckpt")
    network, card, _ = load_scorer(tmp_path / "lsrs.ckpt", 16)
    assert card.config == ScorerConfig()
    assert torch.equal(network.out_proj.weight, state["out_proj.weight"])


def test_a_scorer_with_an_average_beside_it_asks_which(tmp_path, synthetic_state, refused):
    state = synthetic_state("lsrs_reward_net")
    average = {key: value * 2 for key, value in state.items()}
    torch.save({"model": state, "ema": average}, tmp_path / "lsrs.pth")
    with refused("pass --part, one of model, ema", kind=CheckpointError):
        load_scorer(tmp_path / "lsrs.pth", 16)
    network, _, weights = load_scorer(tmp_path / "lsrs.pth", 16, "ema")
    assert torch.equal(network.out_proj.weight, average["out_proj.weight"])
    assert weights.remarks == ("took 'ema' of lsrs.pth, left 'model'",)


@torch.inference_mode()
def test_the_authors_file_loads(published, synthetic_state):
    network, card, _ = load_scorer(published, grid=16)
    assert card == ScorerCard(ScorerConfig(), None, {})
    reference = ScorerNetwork(ScorerConfig()).eval()
    reference.load_state_dict(synthetic_state("lsrs_reward_net"))
    assert torch.equal(network(*batch(ScorerConfig(), 2)), reference(*batch(ScorerConfig(), 2)))


def test_the_authors_file_fits_by_shape_only(published):
    _, card, _ = load_scorer(published, grid=16)
    remark = check_backbone(published, card, PUBLISHED)
    assert remark == "scorer lsrs.pth does not name its backbone; it fits var-d30 by shape only"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 16}, "scorer lsrs.pth was trained for 32 channels, got var-d30 with 16"),
        ({"grid": 32}, "scorer lsrs.pth was trained for 16 latent grid, got var-d30 with 32"),
        ({"classes": 10}, "scorer lsrs.pth was trained for 1000 classes, got var-d30 with 10"),
        ({"schedule": (1, 16)}, "scorer lsrs.pth was trained for 10 scales, got var-d30 with 2"),
    ],
)
def test_the_authors_file_is_refused_where_shapes_differ(published, changes, message, refused):
    _, card, _ = load_scorer(published, grid=16)
    with refused(message, kind=CheckpointError):
        check_backbone(published, card, replace(PUBLISHED, **changes))


@pytest.mark.parametrize("grid", [4, 8, 32])
def test_the_authors_file_at_another_grid(published, grid, refused):
    with refused("do not fit the scorer lsrs.pth", "mis-shaped", kind=CheckpointError):
        load_scorer(published, grid)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": "{"},
        {"config": "[]"},
        {"config": "{}", "training": "{"},
        {"config": '{"channels": "3"}'},
        {"identity": '{"name": "var-test"}'},
        {"identity": "[1]"},
        {"training": ""},
    ],
)
def test_a_damaged_description_is_refused(file, changes, refused):
    edit(file, **changes)
    with refused("scorer.safetensors", "is not a valid scorer", "train it again", kind=CheckpointError):
        load_scorer(file, 4)


@pytest.mark.parametrize("key", ["config", "training"])
def test_a_description_that_lacks_a_part_is_refused(file, key, refused):
    tensors, metadata = load_tensors(file)
    save_tensors(file, tensors, {name: text for name, text in metadata.items() if name != key})
    with refused(f"at `$.{key}`", kind=CheckpointError):
        load_scorer(file, 4)


def test_a_description_that_does_not_fit_the_weights_is_refused(file, refused):
    fields = json.loads(read_metadata(file)["config"])
    edit(file, config=json.dumps({**fields, "classes": 7}))
    with refused("do not fit the scorer scorer.safetensors", "mis-shaped", kind=CheckpointError):
        load_scorer(file, 4)
    for damage in ({"strides": [2]}, {"strides": [0, 1]}, {"hidden": []}, {"grid": "4"}, {"channels": -1}):
        edit(file, config=json.dumps({**fields, **damage}))
        with refused("scorer.safetensors", kind=CheckpointError):
            load_scorer(file, 4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_refused(file, published, tmp_path, suffix, refused):
    source = file if suffix == ".safetensors" else published
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(source.read_bytes()[:-1000])
    with refused(f"cut{suffix}", kind=CheckpointError):
        load_scorer(cut, 16)
    cut.write_bytes(b"")
    with refused(f"cut{suffix}", kind=CheckpointError):
        load_scorer(cut, 16)


def test_a_missing_file_is_refused(tmp_path, refused):
    with refused("none.safetensors", kind=CheckpointError):
        load_scorer(tmp_path / "none.safetensors", 4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_another_models_weights_are_refused(tmp_path, suffix, refused):
    path = tmp_path / f"other{suffix}"
    state = {"head.weight": torch.zeros(3, 3), "conv_stage_2.0.conv1.weight": torch.zeros(2, 2, 3, 3)}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_tensors(path, state, {})
    with refused(f"other{suffix}", "holds no state dict of a scorer", kind=CheckpointError):
        load_scorer(path, 4)


def test_a_file_that_runs_code_is_refused(tmp_path, refused):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": print}, path)
    with refused("evil.pth", "refused unread", kind=CheckpointError):
        load_scorer(path, 4)
