"""Both sides of a scorer's data with the embedded digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tts.config import SearchSettings
from tts.data.collect import BAD_SHARE, FolderImages, collect_generated, collect_real, digit_images
from tts.data.collect_run import CollectConfig, run_collect
from tts.data.digits import augmented, load_digits_split
from tts.data.folders import load_image
from tts.data.manifest import BackboneIdentity
from tts.data.store import StoreWriter, TokenStore, existing
from tts.errors import RunError
from tts.noise_streams import Stream
from tts.pipeline import Generator, distinct_items
from tts.selectors import RandomSelector

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path):
    return CollectConfig(per_class=3, out=str(tmp_path / "set"), device="cpu")


@pytest.fixture
def folder(tmp_path):
    """Ten class folders with noise images, two a class."""
    pixels = np.random.default_rng(0)
    for label in range(10):
        for i in range(2):
            path = tmp_path / "images" / f"class{label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.integers(0, 256, (40, 30, 3), np.uint8)).save(path)
    return tmp_path / "images"


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


def test_generated_maps_are_plain_samples_of_their_own_stream(config, digits_backbone, digits_identity):
    store = collected(config)
    store.verify()
    assert store.manifest.kind == "generated"
    assert store.identity == digits_identity
    assert store.manifest.per_class == (3,) * 10
    items = distinct_items(range(10), 3, 10)
    assert store.labels.tolist() == [item.label for item in items]
    assert store.seeds.tolist() == [item.seed for item in items]
    for stream, same in ((Stream.COLLECT, True), (Stream.SAMPLE, False)):
        settings = SearchSettings((1,) * 4, 0.0, 0, 0.0, stream, decode=False)  # without guidance
        generator = Generator(digits_backbone, None, RandomSelector(), settings, CPU)
        (batch,) = generator.batches(items, 30)
        equal = (batch.result.tokens == store.tokens).all(dim=1)
        assert bool(equal.all()) is same
        assert bool(equal.any()) is same


def test_the_record_has_the_settings_filled_in(config):
    settings = collected(config).manifest.settings
    assert (settings["cfg"], settings["top_k"], settings["top_p"]) == (0.0, 0, 0.0)
    assert (settings["backbone"], settings["per_class"], settings["dtype"]) == ("var-digits", 3, "float32")
    assert settings["environment"]["device"] == "cpu"
    assert not {"crop", "seed", "batch_size", "out"} & set(settings)


def test_settings_of_sampling_matter(config, tmp_path):
    plain = collected(config)
    guided = collected(config, cfg=3.0, out=str(tmp_path / "guided"))
    filtered = collected(config, top_k=1, out=str(tmp_path / "filtered"))
    assert guided.manifest.settings["cfg"] == 3.0
    for other in (guided, filtered):
        assert not torch.equal(other.tokens, plain.tokens)
        assert torch.equal(other.seeds, plain.seeds)


@pytest.mark.parametrize("kind", [None, "digits"])
@pytest.mark.parametrize("size", [1, 7])
def test_the_batch_size_does_not_matter(config, tmp_path, kind, size):
    whole = collected(config, real=kind)
    parts = collected(config, real=kind, batch_size=size, out=str(tmp_path / "parts"))
    for name in ("tokens", "labels", "seeds"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


def test_more_of_each_class_keep_the_earlier(config, tmp_path):
    for kind in (None, "digits"):
        few = collected(config, real=kind, out=str(tmp_path / f"few-{kind}"))
        many = collected(config, real=kind, per_class=5, out=str(tmp_path / f"many-{kind}"))
        known = {
            (int(label), int(seed)): tokens.tolist()
            for label, seed, tokens in zip(many.labels, many.seeds, many.tokens, strict=True)
        }
        for label, seed, tokens in zip(few.labels, few.seeds, few.tokens, strict=True):
            assert known[int(label), int(seed)] == tokens.tolist()


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
        next(digit_images(fake_backbone().info, 2, 4))


def test_batches_of_digits(digits_backbone):
    found = list(digit_images(digits_backbone.info, 2, 8))
    assert [len(labels) for _, labels, _ in found] == [8, 8, 4]
    assert found[0][0].shape == (8, 3, 16, 16)


def test_an_image_folder_is_encoded(config, folder, digits_backbone):
    store = collected(config, real=str(folder), per_class=None)
    assert store.manifest.per_class == (2,) * 10
    assert store.seeds.tolist() == list(range(20))
    images = torch.stack([load_image(path, 16) for path in sorted(folder.rglob("*.png"))])
    assert torch.equal(digits_backbone.encode(images), store.tokens.long())


def test_random_crops_depend_on_the_seed(config, folder, tmp_path):
    first = collected(config, real=str(folder), crop="random")
    again = collected(config, real=str(folder), crop="random", batch_size=3, out=str(tmp_path / "again"))
    other = collected(config, real=str(folder), crop="random", seed=1, out=str(tmp_path / "other"))
    assert torch.equal(again.tokens, first.tokens)
    assert not torch.equal(other.tokens, first.tokens)


def test_the_first_images_of_each_class(config, folder):
    store = collected(config, real=str(folder), per_class=1)
    assert store.manifest.per_class == (1,) * 10
    assert store.labels.tolist() == list(range(10))


def test_an_unreadable_image_is_skipped_named_and_counted(config, folder):
    (path,) = refused_images(folder, 1)
    warnings, progress = [], []
    summary = run_collect(
        replace(config, real=str(folder), per_class=None, batch_size=8),
        lambda done, total: progress.append((done, total)),
        warnings.append,
    )
    assert summary.items == 19
    assert progress == [(7, 20), (15, 20), (19, 20)]
    (message,) = warnings
    assert str(path) in message
    store = TokenStore.open(config.out)
    assert store.manifest.per_class == (1, *(2,) * 9)
    assert store.seeds.tolist() == list(range(1, 20))


def test_a_batch_of_unreadable_images_is_left_out(digits_backbone, folder):
    refused_images(folder, 1)
    images = FolderImages(folder, digits_backbone.info, "center", 0, None, lambda _: None)
    assert [numbers.tolist() for _, _, numbers in images.batches(1)] == [[i] for i in range(1, 20)]
    assert images.skipped == 1


def test_too_many_unreadable_images_end_the_run(config, folder, refused):
    refused_images(folder, 2)
    warnings = []
    with refused("2 of 20 images cannot be read, more than 1%; mend the folder", kind=RunError, code=1):
        run_collect(replace(config, real=str(folder), per_class=None), warn=warnings.append)
    assert len(warnings) == 2
    assert existing(config.out) is None


def test_one_in_a_hundred_may_be_unreadable(digits_backbone, folder, refused):
    source = (folder / "class0" / "0.png").read_bytes()
    for i in range(2, 182):
        (folder / "class0" / f"{i}.png").write_bytes(source)
    assert BAD_SHARE * 200 == 2
    refused_images(folder, 2)
    images = FolderImages(folder, digits_backbone.info, "center", 0, None, lambda _: None)
    assert sum(len(labels) for _, labels, _ in images.batches(50)) == 198
    refused_images(folder, 3)
    images = FolderImages(folder, digits_backbone.info, "center", 0, None, lambda _: None)
    with refused("3 of 200 images", kind=RunError, code=1):
        list(images.batches(50))


def test_a_folder_of_other_classes_is_refused(config, folder, refused):
    (folder / "class10").mkdir()
    with refused("has 11 class folders, the backbone has 10 classes"):
        run_collect(replace(config, real=str(folder)))
    assert existing(config.out) is None


def test_a_finished_folder_is_left_alone(config, tmp_path):
    first = run_collect(config)
    assert (first.items, first.finished_before) == (30, False)
    before = {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "set").iterdir()
    }
    again = run_collect(replace(config, batch_size=4))
    assert (again.out, again.items, again.finished_before) == (first.out, 30, True)
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "set").iterdir()}
    assert after == before


def test_defaults_spelt_out_are_the_same_data(config):
    run_collect(config)
    assert run_collect(replace(config, cfg=0.0, top_k=0, top_p=0.0)).finished_before


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"cfg": 2.0}, "(cfg)"),
        ({"per_class": 4, "top_k": 5}, "(per_class, top_k)"),
        ({"real": "digits"}, "(cfg, crop, real, seed, top_k, top_p)"),
    ],
)
def test_other_settings_are_refused_by_name(config, changes, fields, refused):
    store = collected(config)
    with refused("holds another data set", fields, "--overwrite"):
        run_collect(replace(config, **changes))
    TokenStore.open(config.out).verify()
    assert TokenStore.open(config.out).manifest == store.manifest


def test_data_of_other_weights_are_refused(config, digits_identity, refused):
    settings = collected(config).manifest.settings
    other = replace(digits_identity, weights="0" * 64)
    with StoreWriter(config.out, "generated", other, settings, overwrite=True):
        pass
    with refused("holds another data set (other weights)"):
        run_collect(config)


def test_overwriting_replaces_the_data(config):
    run_collect(config)
    store = collected(config, per_class=2, overwrite=True)
    assert store.manifest.per_class == (2,) * 10
    store.verify()


def test_an_interrupted_run_leaves_no_data_set_and_can_be_repeated(config):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_collect(replace(config, batch_size=7), interrupt)
    assert existing(config.out) is None
    assert not run_collect(config).finished_before
    assert len(TokenStore.open(config.out)) == 30


@pytest.mark.parametrize("kind", [None, "digits"])
def test_progress_counts_images(config, kind):
    seen = []
    run_collect(replace(config, real=kind, batch_size=12), lambda *step: seen.append(step))
    assert seen == [(12, 30), (24, 30), (30, 30)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_class": 0}, "per-class 0 must be at least 1"),
        ({"batch_size": -1}, "batch-size -1 must be at least 1"),
        ({"real": "digits", "crop": "left"}, "unknown crop 'left'; use center or random"),
        ({"cfg": -1.0}, "cfg -1.0"),
        ({"top_p": 2.0}, "top-p 2.0"),
        ({"real": "/nowhere/images"}, "image folder /nowhere/images does not exist"),
    ],
)
def test_settings_out_of_range(config, changes, words, refused):
    with refused(words):
        run_collect(replace(config, **changes))
    assert existing(config.out) is None


def test_the_parts_take_any_backbone(fake_backbone, tmp_path):
    """Without the embedded model: two batches of generated maps, then of real ones."""
    backbone = fake_backbone()
    identity = BackboneIdentity.from_backbone(backbone)
    settings = SearchSettings((1, 1, 1), 0.0, 0, 0.0, Stream.COLLECT, decode=False)
    seen = []
    with StoreWriter(tmp_path / "generated", "generated", identity, {}) as writer:
        generator = Generator(backbone, None, RandomSelector(), settings, CPU)
        collect_generated(generator, 2, 6, writer, seen.append)
    assert seen == [6, 4]
    assert TokenStore.open(tmp_path / "generated").manifest.per_class == (2,) * 5
    images = iter([(torch.rand(3, 3, 6, 6), torch.tensor([0, 4, 4]), torch.tensor([7, 8, 9]))])
    with StoreWriter(tmp_path / "real", "real", identity, {}) as writer:
        collect_real(backbone, images, writer, seen.append)
    store = TokenStore.open(tmp_path / "real")
    assert (store.labels.tolist(), store.seeds.tolist()) == ([0, 4, 4], [7, 8, 9])
