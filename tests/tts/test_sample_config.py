"""The plan of a run: settings with the backbone's defaults, items, and token maps to start from."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from tts.engine.opening import Mode
from tts.errors import CheckpointError
from tts.io import save_tensors
from tts.pipeline import Item
from tts.sample_config import (
    CHOICE,
    EXECUTION,
    LATER,
    SETTINGS,
    SampleConfig,
    check_output,
    one_based,
    plan,
    replan,
    search_settings,
)
from tts.specs import SamplingDefaults


@pytest.fixture
def info(fake_backbone):
    return fake_backbone(sampling=SamplingDefaults(cfg=1.5, top_k=5, top_p=0.9)).info


@pytest.fixture
def maps(tmp_path):
    """Writes a file of token maps of the fake backbone, with changes."""

    def write(metadata=None, without=(), **changes):
        tensors = {
            "tokens": torch.arange(42).view(3, 14) % 7,
            "labels": torch.tensor([4, 0, 4]),
            "seeds": torch.tensor([10, 11, 12]),
        }
        kept = {key: value for key, value in {**tensors, **changes}.items() if key not in without}
        save_tensors(tmp_path / "maps.safetensors", kept, metadata or {"schedule": "1,2,3"})
        return str(tmp_path / "maps.safetensors")

    return write


def test_settings_take_the_backbones_defaults(info):
    settings = search_settings(SampleConfig(), info)
    assert (settings.candidates, settings.cfg, settings.top_k, settings.top_p) == ((1, 8, 8), 1.5, 5, 0.9)
    assert (settings.chunk_bytes, settings.chunk, settings.trace) == (512 * 2**20, None, False)


def test_given_settings_win_even_if_zero(info):
    config = SampleConfig(
        cfg=0.0, top_k=0, top_p=0.0, candidates="3,2,1", chunk=2, score_memory=1, trace=True
    )
    settings = search_settings(config, info)
    assert (settings.candidates, settings.cfg, settings.top_k, settings.top_p) == ((3, 2, 1), 0.0, 0, 0.0)
    assert (settings.chunk_bytes, settings.chunk, settings.trace) == (2**20, 2, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cfg": -1.0}, "cfg -1.0"),
        ({"cfg": float("nan")}, "cfg nan"),
        ({"cfg": float("inf")}, "cfg inf"),
        ({"top_k": -1}, "top-k -1"),
        ({"top_p": 1.5}, "top-p 1.5"),
        ({"top_p": -0.1}, "top-p -0.1"),
        ({"top_p": float("nan")}, "top-p nan"),
        ({"candidates": "0"}, "candidates '0'"),
        ({"start_scale": 4}, "start-scale 4"),
    ],
)
def test_settings_out_of_range(info, changes, words, refused):
    with refused(words):
        search_settings(SampleConfig(**changes), info)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formats": ("png", "gif")}, "unknown format 'gif'; use png or npz"),
        ({"formats": ("",)}, "unknown format ''"),
        ({"uint8": "floor"}, "unknown uint8 rule 'floor'"),
        ({"batch_size": 0}, "batch-size 0 must be at least 1"),
        ({"chunk": -1}, "chunk -1 must be at least 1"),
        ({"score_memory": 0}, "score-memory 0 must be at least 1"),
        ({"per_class": 0}, "per-class 0 must be at least 1"),
        ({"from_tokens": "x"}, "--from-tokens FILE and --from-scale K go together"),
        ({"from_scale": 2}, "--from-tokens FILE and --from-scale K go together"),
        ({"labels": ""}, "labels is empty; give a value or leave it out"),
        ({"seeds": ""}, "seeds is empty"),
        ({"scorer": ""}, "scorer is empty"),
        ({"formats": ()}, "formats is empty"),
        ({"overwrite": True, "extend": True}, "--overwrite starts afresh and --extend adds items"),
        ({"overwrite": True, "shard": "1/2"}, "--overwrite does not go with --shard"),
        (
            {"extend": True, "from_tokens": "x", "from_scale": 2},
            "--extend does not go with --from-tokens: its images are the rows of the file",
        ),
    ],
)
def test_outputs_that_are_refused(changes, words, refused):
    with refused(words):
        check_output(SampleConfig(**changes))


def test_the_record_holds_what_decides_the_result():
    settings = SampleConfig(out="x", device="cpu", weights=("a", "b")).settings()
    assert not set(EXECUTION) & set(settings)
    assert settings["weights"] == ["a", "b"]
    assert {"backbone", "scorer", "candidates", "dtype", "formats", "trace", "from_tokens"} <= set(settings)


def test_each_field_decides_the_result_or_chooses_images_or_does_neither():
    config = SampleConfig(labels="3", per_class=2)
    assert config.choice() == {"labels": "3", "seeds": None, "per_class": 2}
    parts = [set(SETTINGS), set(CHOICE), set(EXECUTION), {"shard_items"}]
    assert set().union(*parts) == {field.name for field in fields(SampleConfig)}
    assert sum(map(len, parts)) == len(fields(SampleConfig))
    assert set(config.settings()) == set(SETTINGS) - set(LATER)


def test_fields_that_earlier_plans_lack_are_left_out_where_they_say_nothing_new():
    old = SampleConfig().settings()
    chosen = SampleConfig(strategy="best-of-n").settings()
    assert chosen == {**old, "strategy": "best-of-n"}
    judged = SampleConfig(strategy="best-of-n", image_scorer="mine").settings()
    assert judged == {**chosen, "image_scorer": "mine"}


def test_best_of_n_has_one_number_of_whole_images(info):
    settings = search_settings(SampleConfig(strategy="best-of-n", candidates="16"), info)
    assert (settings.candidates, settings.whole_images) == ((1, 1, 1), 16)
    assert search_settings(SampleConfig(strategy="best-of-n"), info).whole_images == 8
    assert search_settings(SampleConfig(), info).whole_images == 1


@pytest.mark.parametrize("candidates", ["0", "1,2,3", "-1", "x", "", "1.5"])
def test_whole_images_that_are_no_number(info, candidates, refused):
    with refused(f"candidates {candidates!r} must be one whole number of at least 1"):
        search_settings(SampleConfig(strategy="best-of-n", candidates=candidates), info)


def test_the_mode_is_how_a_folder_is_treated():
    assert SampleConfig().mode == Mode()
    assert SampleConfig(extend=True).mode == Mode(extend=True)
    assert SampleConfig(overwrite=True).mode == Mode(overwrite=True)


def test_five_seeds_of_each_class_by_default(info):
    items, prefix = plan(SampleConfig(), info)
    assert items == [Item(label, seed) for label in range(5) for seed in range(5)]
    assert prefix is None


def test_labels_with_seeds_or_so_many_of_each_class(info):
    crossed, _ = plan(SampleConfig(labels="3,1", seeds="7-8"), info)
    assert crossed == [Item(3, 7), Item(3, 8), Item(1, 7), Item(1, 8)]
    distinct, _ = plan(SampleConfig(labels="3,1", per_class=2), info)
    assert distinct == [Item(3, 3), Item(3, 8), Item(1, 1), Item(1, 6)]


def test_the_images_of_an_earlier_choice_come_back(info):
    earlier = SampleConfig(labels="3", per_class=2)
    for asked in (SampleConfig(seeds="4-9", cfg=2.0), SampleConfig(labels="0-4", per_class=9)):
        assert replan(asked, info, earlier.choice()) == plan(earlier, info)[0] == [Item(3, 3), Item(3, 8)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "5"}, "label 5 is out of range; this backbone has 0 to 4"),
        ({"labels": "x"}, "label 'x'"),
        ({"seeds": "-3"}, "seed '-3'"),
        ({"seeds": str(2**63)}, f"seed {2**63}"),
        ({"seeds": "1", "per_class": 3}, "--seeds and --per-class both choose seeds"),
    ],
)
def test_plans_that_are_refused(info, changes, words, refused):
    with refused(words):
        plan(SampleConfig(**changes), info)


def test_scales_count_from_one(info):
    assert one_based(SampleConfig(), info, "randomize_scale") is None
    assert one_based(SampleConfig(randomize_scale=3), info, "randomize_scale") == 2


@pytest.mark.parametrize("scale", [0, 4, -1])
def test_a_scale_must_be_there(info, scale, refused):
    with refused(f"randomize-scale {scale} is out of range; fake has scales 1 to 3"):
        one_based(SampleConfig(randomize_scale=scale), info, "randomize_scale")


def test_rows_of_a_file_keep_their_labels_and_seeds(info, maps):
    items, prefix = plan(SampleConfig(from_tokens=maps(), from_scale=3), info)
    assert items == [Item(4, 10), Item(0, 11), Item(4, 12)]
    assert torch.equal(prefix.tokens, torch.arange(42).view(3, 14) % 7)
    assert prefix.scales == 2


def test_from_the_first_scale_nothing_is_kept(info, maps):
    _, prefix = plan(SampleConfig(from_tokens=maps(), from_scale=1), info)
    assert prefix.scales == 0


def test_rows_of_a_file_with_new_seeds(info, maps):
    one_each = maps(labels=torch.tensor([4, 0, 1]))
    items, prefix = plan(SampleConfig(from_tokens=one_each, from_scale=2, seeds="7-8"), info)
    assert items == [Item(label, seed) for label in (4, 0, 1) for seed in (7, 8)]
    rows = torch.arange(42).view(3, 14) % 7
    assert torch.equal(prefix.tokens, rows.repeat_interleave(2, dim=0))


def test_a_file_without_schedule_is_taken_by_shape(info, maps):
    items, _ = plan(SampleConfig(from_tokens=maps(metadata={"backbone": "x"}), from_scale=2), info)
    assert len(items) == 3


def maps_of(*shape):
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metadata": {"schedule": "1,2,3,4"}}, "holds no token maps of schedule 1,2,3"),
        ({"without": ("seeds",)}, "holds no token maps"),
        ({"without": ("tokens",)}, "holds no token maps"),
        ({"tokens": maps_of(3, 13)}, "does not fit fake (tokens (3, 13))"),
        ({"tokens": maps_of(14)}, "does not fit fake (tokens (14,))"),
        ({"tokens": maps_of(2, 14)}, "does not fit fake (tokens (2, 14))"),
        ({"tokens": torch.zeros(3, 14)}, "holds tokens, labels or seeds that are no whole numbers"),
        ({"labels": torch.zeros(3)}, "holds tokens, labels or seeds that are no whole numbers"),
        ({"seeds": torch.tensor([1, 2, -1])}, "holds tokens, labels or seeds that are no whole numbers"),
        ({"tokens": torch.full((3, 14), 7)}, "does not fit fake"),
        ({"tokens": torch.full((3, 14), -1)}, "does not fit fake"),
        ({"seeds": torch.tensor([1, 2])}, "does not fit fake"),
        ({"labels": torch.tensor([0, 1, 5])}, "has labels outside 0 to 4"),
        ({"labels": torch.tensor([0, 1, -1])}, "has labels outside 0 to 4"),
    ],
)
def test_files_that_do_not_fit(info, maps, changes, words, refused):
    file = maps(**changes)
    with refused(file, words, kind=CheckpointError):
        plan(SampleConfig(from_tokens=file, from_scale=2), info)


def test_an_empty_file_of_maps_is_refused(info, maps, refused):
    file = maps(tokens=maps_of(0, 14), labels=maps_of(0), seeds=maps_of(0))
    with refused("does not fit fake (tokens (0, 14))", kind=CheckpointError):
        plan(SampleConfig(from_tokens=file, from_scale=2), info)


def test_a_missing_file_is_refused(info, tmp_path, refused):
    with refused("cannot read", "none.safetensors", kind=CheckpointError):
        plan(SampleConfig(from_tokens=str(tmp_path / "none.safetensors"), from_scale=2), info)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "0"}, "--labels and --per-class do not go with --from-tokens"),
        ({"per_class": 1}, "--labels and --per-class do not go with --from-tokens"),
        ({"from_scale": 4}, "from-scale 4 is out of range; fake has scales 1 to 3"),
        ({"from_scale": 0}, "from-scale 0 is out of range"),
        ({"seeds": "0-1"}, "has several rows of one class"),
    ],
)
def test_requests_that_do_not_go_with_a_file(info, maps, changes, words, refused):
    with refused(words):
        plan(SampleConfig(**{"from_tokens": maps(), "from_scale": 2, **changes}), info)
