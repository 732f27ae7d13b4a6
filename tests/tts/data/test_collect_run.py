"""The whole run of ``tts collect``: both sides of a scorer's data with the embedded digits."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tts.backbones.var_adapter import VarBackbone
from tts.config import SearchSettings
from tts.data.collect_config import EXECUTION, CollectConfig, resolved_settings
from tts.data.collect_run import plan_items, run_collect
from tts.data.digits import augmented, load_digits_split
from tts.data.folders import load_image
from tts.data.store import TokenStore, existing
from tts.data.writing import StoreWriter
from tts.engine.folder import STAGING, WORK
from tts.engine.progress import Progress
from tts.errors import RunError, StoppedError
from tts.io import read_json, write_json
from tts.noise_streams import Stream
from tts.pipeline import Generator, distinct_items
from tts.resolve import find_backbone
from tts.selectors import RandomSelector

CPU = torch.device("cpu")
COLUMNS = ("tokens", "labels", "seeds")


@pytest.fixture
def config(tmp_path):
    return CollectConfig(per_class=3, out=str(tmp_path / "set"), device="cpu")


def collected(config, **changes):
    """Run and open."""
    run_collect(replace(config, **changes))
    return TokenStore.open(changes.get("out", config.out))


def refused_images(folder, count):
    """Break the first images of a folder."""
    paths = sorted(folder.rglob("*.png"))[:count]
    for path in paths:
        path.write_bytes(b"not an image")
    return paths


def same(one, other):
    """Whether both data sets hold the same columns."""
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def by_item(store):
    """Token maps by label and seed."""
    keys = zip(store.labels.tolist(), store.seeds.tolist(), strict=True)
    return dict(zip(keys, store.tokens.tolist(), strict=True))


def files(folder):
    """All files and when they were written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def settled(folder):
    """The files of a folder but those of work that is not finished."""
    return {name: file for name, file in files(folder).items() if not name.startswith((STAGING, WORK))}


# What is collected


def test_generated_maps_are_plain_samples_of_their_own_stream(config, digits_backbone, digits_identity):
    store = collected(config)
    store.verify()
    assert store.manifest.kind == "generated"
    assert store.identity == digits_identity
    assert store.manifest.per_class == (3,) * 10
    items = distinct_items(range(10), 3, 10)
    assert store.labels.tolist() == [item.label for item in items]
    assert store.seeds.tolist() == [item.seed for item in items]
    for stream, expected in ((Stream.COLLECT, True), (Stream.SAMPLE, False)):
        settings = SearchSettings((1,) * 4, 0.0, 0, 0.0, stream, decode=False)  # without guidance
        generator = Generator(digits_backbone, None, RandomSelector(), settings, CPU)
        (batch,) = generator.batches(items, 30)
        equal = (batch.result.tokens == store.tokens).all(dim=1)
        assert bool(equal.all()) is expected
        assert bool(equal.any()) is expected


def test_a_folder_holds_nothing_but_the_data_set(config, folder):
    collected(config)
    assert sorted(files(config.out)) == ["manifest.json", "plan.json", "shard-00000.safetensors"]
    collected(config, real=str(folder), overwrite=True)
    assert sorted(files(config.out)) == [
        *("images.txt", "manifest.json", "plan.json", "shard-00000.safetensors")
    ]


def test_the_record_has_the_settings_filled_in(config):
    manifest = collected(config).manifest
    settings = manifest.settings
    assert (settings["cfg"], settings["top_k"], settings["top_p"]) == (0.0, 0, 0.0)
    assert (settings["backbone"], settings["per_class"], settings["dtype"]) == ("var-digits", 3, "float32")
    assert settings["environment"]["device"] == "cpu"
    assert not {"crop", "seed", *EXECUTION} & set(settings)
    assert (settings["timing"]["images"], settings["timing"]["seconds"] > 0) == (30, True)


def test_settings_of_sampling_matter(config, tmp_path):
    plain = collected(config)
    guided = collected(config, cfg=3.0, out=str(tmp_path / "guided"))
    filtered = collected(config, top_k=1, out=str(tmp_path / "filtered"))
    assert guided.manifest.settings["cfg"] == 3.0
    for other in (guided, filtered):
        assert not torch.equal(other.tokens, plain.tokens)
        assert torch.equal(other.seeds, plain.seeds)


@pytest.mark.parametrize("kind", [None, "digits"])
@pytest.mark.parametrize("execution", [{"batch_size": 1}, {"batch_size": 7}, {"shard_items": 4}])
def test_how_a_run_is_carried_out_does_not_matter(config, tmp_path, kind, execution):
    whole = collected(config, real=kind)
    parts = collected(config, real=kind, **execution, out=str(tmp_path / "parts"))
    assert same(parts, whole)


def test_shards_have_512_items(config):
    store = collected(config, per_class=52)
    assert [shard.items for shard in store.manifest.shards] == [512, 8]


def test_more_of_each_class_keep_the_earlier(config, folder, tmp_path):
    for name, changes, few, many in (
        ("generated", {}, 3, 5),
        ("digits", {"real": "digits"}, 3, 5),
        ("folder", {"real": str(folder), "crop": "random"}, 1, None),
    ):
        first = collected(config, **changes, per_class=few, out=str(tmp_path / f"few-{name}"))
        all_of_them = by_item(
            collected(config, **changes, per_class=many, out=str(tmp_path / f"many-{name}"))
        )
        assert len(all_of_them) > len(first)
        for key, tokens in by_item(first).items():
            assert all_of_them[key] == tokens


def test_real_digits_are_encoded_training_scans(config, digits_backbone):
    store = collected(config, real="digits")
    assert store.manifest.kind == "real"
    assert store.manifest.per_class == (3,) * 10
    assert store.labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert store.seeds.tolist() == [0, 1, 2] * 10
    images = augmented(store.labels, store.seeds, 16)
    assert torch.equal(digits_backbone.encode(images), store.tokens.long())
    nearer = (digits_backbone.decode(store.tokens.long()) - images).square().mean()
    scans, _ = load_digits_split("train")
    assert float(nearer) < 0.5 * float(scans.var())


def test_digits_need_ten_classes(fake_backbone, refused):
    with refused("--real digits has 10 classes, fake has 5; give an image folder"):
        plan_items(CollectConfig(real="digits"), fake_backbone().info, None, {"per_class": 2})


def test_a_thousand_of_each_class_by_default(fake_backbone):
    config, info = CollectConfig(backbone="var-d30"), fake_backbone().info
    settings = resolved_settings(config, find_backbone("var-d30", ())[0], info)
    assert settings["per_class"] == 1000
    assert plan_items(config, info, None, {"per_class": 1000}) == distinct_items(range(5), 1000, 5)


def test_an_image_folder_is_encoded(config, folder, digits_backbone):
    store = collected(config, real=str(folder), per_class=None)
    assert store.manifest.per_class == (2,) * 10
    assert store.manifest.settings["skipped"] == 0
    assert store.seeds.tolist() == list(range(20))
    images = torch.stack([load_image(path, 16) for path in sorted(folder.rglob("*.png"))])
    assert torch.equal(digits_backbone.encode(images), store.tokens.long())


def test_random_crops_depend_on_the_seed_and_the_image(config, folder, tmp_path, digits_backbone):
    first = collected(config, real=str(folder), crop="random", per_class=None)
    again = collected(
        config, real=str(folder), crop="random", per_class=None, batch_size=3, out=str(tmp_path / "again")
    )
    other = collected(
        config, real=str(folder), crop="random", per_class=None, seed=1, out=str(tmp_path / "other")
    )
    assert torch.equal(again.tokens, first.tokens)
    assert not torch.equal(other.tokens, first.tokens)
    paths = sorted(folder.rglob("*.png"))
    images = torch.stack([load_image(path, 16, "random", 0, number) for number, path in enumerate(paths)])
    assert torch.equal(digits_backbone.encode(images), first.tokens.long())


def test_worker_processes_change_nothing(config, folder, tmp_path):
    alone = collected(config, real=str(folder), per_class=None, crop="random", workers=0)
    two = collected(
        config, real=str(folder), per_class=None, crop="random", workers=1, out=str(tmp_path / "two")
    )
    assert same(two, alone)


def test_the_first_images_of_each_class(config, folder):
    store = collected(config, real=str(folder), per_class=1)
    assert store.manifest.per_class == (1,) * 10
    assert store.labels.tolist() == list(range(10))
    assert store.seeds.tolist() == list(range(0, 20, 2))  # their numbers among all images


# Images that cannot be read


def test_an_unreadable_image_is_skipped_named_and_counted(config, folder):
    (path,) = refused_images(folder, 1)
    warnings, progress = [], []
    summary = run_collect(
        replace(config, real=str(folder), per_class=None, batch_size=8),
        lambda now: progress.append((now.items_done, now.items)),
        warnings.append,
    )
    assert summary.items == 19
    assert progress == [(0, 20), (8, 20), (16, 20), (20, 20), (20, 20)]
    (message,) = warnings
    assert str(path) in message
    store = TokenStore.open(config.out)
    assert store.manifest.per_class == (1, *(2,) * 9)
    assert store.manifest.settings["skipped"] == 1
    assert store.seeds.tolist() == list(range(1, 20))


@pytest.mark.parametrize("shard_items", [None, 1])
def test_too_many_unreadable_images_end_the_run(config, folder, refused, shard_items):
    refused_images(folder, 2)
    warnings = []
    words = ("2 of 20 images cannot be read, more than 1%; raise --max-unreadable, or mend the folder",)
    with refused(*words, kind=RunError, code=1):
        run_collect(
            replace(config, real=str(folder), per_class=None, shard_items=shard_items), warn=warnings.append
        )
    assert len(warnings) == 2
    assert existing(config.out) is None


def test_a_share_may_be_unreadable(config, folder, refused):
    refused_images(folder, 4)
    some = replace(config, real=str(folder), per_class=None)
    with refused("4 of 20 images cannot be read, more than 15%", kind=RunError, code=1):
        run_collect(replace(some, max_unreadable=0.15))
    store = collected(some, max_unreadable=0.2)
    assert (len(store), store.manifest.settings["skipped"]) == (16, 4)


def test_one_in_a_hundred_may_be_unreadable(config, folder, refused):
    source = (folder / "class0" / "0.png").read_bytes()
    for i in range(2, 182):
        (folder / "class0" / f"{i}.png").write_bytes(source)
    everything = replace(config, real=str(folder), per_class=None)
    refused_images(folder, 2)
    assert len(collected(everything)) == 198
    refused_images(folder, 3)
    with refused("3 of 200 images", kind=RunError, code=1):
        run_collect(replace(everything, overwrite=True))
    assert len(TokenStore.open(config.out)) == 198


def test_mended_images_are_read_by_the_next_run(config, folder):
    (path, *_) = sorted(folder.rglob("*.png"))
    whole = path.read_bytes()
    refused_images(folder, 2)
    some = replace(config, real=str(folder), per_class=None)
    with pytest.raises(RunError):
        run_collect(some)
    path.write_bytes(whole)
    assert collected(some).seeds.tolist() == [0, *range(2, 20)]


def test_a_folder_of_other_classes_is_refused(config, folder, refused):
    (folder / "class10").mkdir()
    with refused("has 11 class folders, the backbone has 10 classes"):
        run_collect(replace(config, real=str(folder)))
    assert not Path(config.out).exists()


# Folders that hold something already


def test_a_finished_folder_is_left_alone(config):
    first = run_collect(config)
    assert (first.items, first.outcome.made, first.outcome.finished_before) == (30, 30, False)
    before = files(config.out)
    again = run_collect(replace(config, batch_size=4, workers=0, max_unreadable=0.5))
    assert (again.out, again.items, again.outcome.finished_before) == (first.out, 30, True)
    assert files(config.out) == before


def test_defaults_spelt_out_are_the_same_data(config):
    run_collect(config)
    assert run_collect(replace(config, cfg=0.0, top_k=0, top_p=0.0)).outcome.finished_before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cfg": 2.0}, "(cfg); choose another --out or pass --overwrite"),
        ({"per_class": 4, "top_k": 5}, "(per_class, top_k); choose another --out or pass --overwrite"),
        ({"per_class": 4}, "(per_class); choose another --out or pass --overwrite, or --extend to add items"),
        ({"per_class": 2}, "(per_class)"),
        ({"real": "digits"}, "(cfg, crop, real, seed, top_k, top_p)"),
        ({"shard_items": 5}, "(shard_items)"),
        ({"sample_all_scales": True}, "(sample_all_scales)"),
        ({"cfg": 2.0, "extend": True}, "(cfg)"),
    ],
)
def test_other_settings_are_refused_by_name(config, changes, words, refused):
    run_collect(config)
    before = files(config.out)
    with refused("holds a run with other settings", words, "--overwrite"):
        run_collect(replace(config, **changes))
    assert files(config.out) == before


def test_data_of_other_weights_are_refused(config, monkeypatch, refused):
    run_collect(config)
    before = files(config.out)
    monkeypatch.setattr(VarBackbone, "weights_hash", lambda self: "0" * 64)
    with refused("holds a run with other settings (weights)"):
        run_collect(config)
    assert files(config.out) == before


def test_data_without_a_plan_are_refused_and_can_be_overwritten(config, digits_identity, refused):
    with StoreWriter(config.out, "generated", digits_identity, {}) as writer:
        writer.append(torch.zeros(2, 30), torch.tensor([0, 1]), torch.tensor([0, 1]))
    before = files(config.out)
    with refused("holds manifest.json but no plan.json", "pass --overwrite"):
        run_collect(config)
    assert files(config.out) == before
    assert len(collected(config, overwrite=True)) == 30
    assert run_collect(config).outcome.finished_before


def test_overwriting_replaces_the_data(config):
    run_collect(replace(config, shard_items=10))
    store = collected(config, per_class=2, overwrite=True)
    assert store.manifest.per_class == (2,) * 10
    store.verify()
    assert sorted(files(config.out)) == ["manifest.json", "plan.json", "shard-00000.safetensors"]


def test_overwritten_data_stay_whole_until_the_new_ones_are(config):
    def interrupt(now):
        raise KeyboardInterrupt

    run_collect(config)
    before = files(config.out)
    new = replace(config, cfg=2.0, batch_size=7)
    with pytest.raises(KeyboardInterrupt):
        run_collect(replace(new, overwrite=True), interrupt)
    assert settled(config.out) == before
    assert collected(new).manifest.settings["cfg"] == 2.0
    assert not (Path(config.out) / STAGING).exists()


def test_data_can_be_extended(config, folder, tmp_path):
    for name, changes, few, many in (
        ("generated", {}, 3, 5),
        ("digits", {"real": "digits"}, 3, 5),
        ("folder", {"real": str(folder), "crop": "random"}, 1, 2),
    ):
        out = str(tmp_path / name)
        first = collected(config, **changes, per_class=few, out=out)
        before = files(out)
        summary = run_collect(replace(config, **changes, per_class=many, out=out, extend=True))
        assert (summary.items, summary.outcome.made) == (10 * many, 10 * (many - few))
        store = TokenStore.open(out)
        store.verify()
        assert store.manifest.per_class == (many,) * 10
        assert torch.equal(store.tokens[: len(first)], first.tokens)
        assert torch.equal(store.seeds[: len(first)], first.seeds)
        assert files(out)["shard-00000.safetensors"] == before["shard-00000.safetensors"]
        fresh = collected(config, **changes, per_class=many, out=str(tmp_path / f"{name}-fresh"))
        assert by_item(store) == by_item(fresh)
        after = files(out)
        for extend in (False, True):
            again = run_collect(replace(config, **changes, per_class=many, out=out, extend=extend))
            assert again.outcome.finished_before
        assert files(out) == after


def test_images_are_listed_when_a_run_begins(config, folder, refused):
    everything = replace(config, real=str(folder), per_class=None)
    run_collect(everything)
    before = files(config.out)
    shutil.copy(folder / "class0" / "0.png", folder / "class0" / "2.png")
    assert run_collect(everything).outcome.finished_before
    assert files(config.out) == before
    (Path(config.out) / "images.txt").unlink()
    with refused("(images)"):
        run_collect(everything)
    assert len(collected(everything, overwrite=True)) == 21
    assert run_collect(everything).outcome.finished_before


def test_an_overwriting_run_of_a_changed_folder_goes_on(config, folder):
    """Its own list of images counts, not that of the data it is to replace."""

    def interrupt(now):
        raise KeyboardInterrupt

    everything = replace(config, real=str(folder), per_class=None)
    run_collect(everything)
    shutil.copy(folder / "class0" / "0.png", folder / "class0" / "2.png")
    with pytest.raises(KeyboardInterrupt):
        run_collect(replace(everything, overwrite=True), interrupt)
    assert len(TokenStore.open(config.out)) == 20
    assert len(collected(everything)) == 21


def test_an_interrupted_run_leaves_no_data_set_and_loses_the_current_shard_only(config, tmp_path):
    def interrupt(now):
        if now.items_done == 21:
            raise KeyboardInterrupt

    parts = replace(config, batch_size=7, shard_items=14)
    with pytest.raises(KeyboardInterrupt):
        run_collect(parts, interrupt)
    assert existing(config.out) is None
    assert sorted(settled(config.out)) == ["plan.json", "shard-00000.safetensors"]
    again = run_collect(parts)
    assert (again.outcome.made, again.outcome.finished_before) == (16, False)
    store = TokenStore.open(config.out)
    store.verify()
    assert store.manifest.settings["timing"]["images"] == 30
    assert same(store, collected(config, out=str(tmp_path / "whole")))


@pytest.mark.parametrize("kind", [None, "digits", "folder"])
def test_a_signal_keeps_finished_batches(config, folder, tmp_path, refused, kind):
    def stop(now):
        if now.items_done:
            os.kill(os.getpid(), signal.SIGTERM)

    refused_images(folder, 1)
    real = str(folder) if kind == "folder" else kind
    asked = replace(config, real=real, per_class=2, batch_size=8)
    with refused("terminated; 0 of 1 shards are whole", kind=StoppedError, code=143):
        run_collect(asked, stop)
    assert (Path(config.out) / WORK / "partial-00000.safetensors").exists()
    warnings = []
    assert run_collect(asked, warn=warnings.append).outcome.made == 12
    assert warnings == []
    whole = collected(asked, out=str(tmp_path / "whole"))
    assert same(TokenStore.open(config.out), whole)
    assert whole.manifest.settings.get("skipped") == (1 if kind == "folder" else None)


def test_shares_of_a_run_make_the_same_data(config, tmp_path):
    shared = replace(config, shard_items=8)
    first = run_collect(replace(shared, shard="2/3"))
    assert (first.items, first.outcome.made, first.outcome.finished) == (30, 8, False)
    assert (first.outcome.shards_done, first.outcome.shards) == (1, 4)
    assert existing(config.out) is None
    assert not run_collect(replace(shared, shard="1/3")).outcome.finished
    assert run_collect(replace(shared, shard="3/3")).outcome.finished
    store = TokenStore.open(config.out)
    store.verify()
    whole = collected(shared, out=str(tmp_path / "whole"))
    assert store.manifest.shards == whole.manifest.shards
    assert store.manifest.settings["timing"]["images"] == 30


@pytest.mark.parametrize("choice", [{}, *({"per_class": bad} for bad in (None, "5", 0, -1, 0.5, [1], {}))])
def test_a_choice_that_no_command_wrote_is_refused(config, refused, choice):
    run_collect(config)
    path = Path(config.out) / "plan.json"
    plan = read_json(path)
    plan["segments"][0] |= {"choice": choice, "fingerprint": "00"}
    write_json(path, plan)
    with refused(f"the items of {choice} are not what they were when the run began; choose another --out"):
        run_collect(config)


@pytest.mark.parametrize("kind", [None, "digits"])
def test_progress_counts_images_and_shards(config, kind):
    seen = []
    run_collect(replace(config, real=kind, batch_size=8, shard_items=16), seen.append)
    assert all(isinstance(now, Progress) for now in seen)
    counts = [(now.items_done, now.items, now.shards_done, now.shards) for now in seen]
    assert counts == [(n, 30, done, 2) for n, done in ((0, 0), (8, 0), (16, 0), (24, 1), (30, 1), (30, 2))]


def test_the_plan_says_what_a_data_set_is(config):
    run_collect(config)
    plan = read_json(Path(config.out) / "plan.json")
    assert plan["kind"] == "generated"
    assert plan["segments"][0]["choice"] == {"per_class": 3}
    assert plan["identity"]["schedule"] == [1, 2, 3, 4]
    assert plan["identity"]["images"] is None
    assert not {"per_class", *EXECUTION} & set(plan["settings"])
