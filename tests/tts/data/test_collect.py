"""Where token maps come from, unreadable images, and what is stored of it all."""

from __future__ import annotations

import pytest
import torch

from tts.config import SearchSettings
from tts.data.collect import (
    LAYOUT,
    CollectJob,
    Digits,
    Generated,
    Images,
    Skips,
    skipped_elsewhere,
)
from tts.data.decoder import Decoder
from tts.data.digits import augmented
from tts.data.folders import list_images, load_image
from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore, existing
from tts.engine.folder import RunFolder
from tts.engine.job import Timing
from tts.engine.plan import Request
from tts.engine.shards import Rows, write_shard
from tts.errors import RunError
from tts.fitting import Fit
from tts.images import ImageError
from tts.noise_streams import Stream
from tts.pipeline import Generator, Item, distinct_items
from tts.selectors import RandomSelector

CPU = torch.device("cpu")


def quiet(message):
    """For warnings that are not looked at."""


@pytest.fixture
def images(digits_backbone, folder):
    """A source of all images of the folder, and their items."""

    def make(batch, share=0.01, warn=quiet, backbone=digits_backbone):
        listing = list_images(folder, 10)
        skips = Skips(len(listing), share, warn)
        source = Images(backbone, Fit(batch), listing, Decoder(0, 16), skips)
        return source, [Item(int(label), number) for number, label in enumerate(listing.labels)]

    return make


def refused_images(folder, count):
    """Break the first images of a folder."""
    paths = sorted(folder.rglob("*.png"))[:count]
    for path in paths:
        path.write_bytes(b"not an image")
    return paths


def test_generated_maps_are_plain_samples(fake_backbone):
    settings = SearchSettings((1, 1, 1), 0.0, 0, 0.0, Stream.COLLECT, decode=False)
    generator = Generator(fake_backbone(), None, RandomSelector(), settings, CPU)
    items = distinct_items(range(5), 2, 5)
    found = list(Generated(generator, Fit(4)).maps(items))
    assert [len(tokens) for tokens, *_ in found] == [4, 4, 2]
    assert [item for _, made, *_ in found for item in made] == items
    assert all(skipped == () for _, _, skipped, _ in found)
    (whole,) = generator.batches(items, 10)
    assert torch.equal(torch.cat([tokens for tokens, *_ in found]), whole.result.tokens)


def test_digits_are_augmented_and_encoded_in_batches(digits_backbone):
    items = [Item(label, number) for label in range(10) for number in range(2)]
    found = list(Digits(digits_backbone, Fit(8)).maps(items))
    assert [len(tokens) for tokens, *_ in found] == [8, 8, 4]
    assert [item for _, made, *_ in found for item in made] == items
    labels, numbers = torch.arange(10).repeat_interleave(2), torch.arange(2).repeat(10)
    expected = digits_backbone.encode(augmented(labels, numbers, 16))
    assert torch.equal(torch.cat([tokens for tokens, *_ in found]), expected)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_an_image_folder_is_decoded_and_encoded(images, folder, digits_backbone, batch):
    source, items = images(batch)
    found = list(source.maps(items))
    assert max(len(tokens) for tokens, *_ in found) == min(batch, 20)
    assert [item for _, made, *_ in found for item in made] == items
    pixels = torch.stack([load_image(path, 16) for path in sorted(folder.rglob("*.png"))])
    assert torch.equal(torch.cat([tokens for tokens, *_ in found]), digits_backbone.encode(pixels))


def test_some_items_of_a_folder(images):
    source, items = images(100)
    ((whole, *_),) = source.maps(items)
    ((tokens, made, *_),) = source.maps(items[5:9])
    assert made == items[5:9]
    assert torch.equal(tokens, whole[5:9])


@pytest.mark.parametrize("kind", ["digits", "images"])
def test_encoding_fits_the_memory(images, digits_backbone, kind):
    class Tight:
        def __init__(self):
            self.info, self.tried = digits_backbone.info, []

        def encode(self, images):
            self.tried.append(len(images))
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return digits_backbone.encode(images)

    tight, remarks = Tight(), []
    if kind == "digits":
        items = [Item(label, 0) for label in range(10)]
        source, whole = Digits(tight, Fit(8)), Digits(digits_backbone, Fit(8))
    else:
        source, items = images(8, backbone=tight)
        whole, _ = images(8)
    source.fit.say = remarks.append
    tokens, expected = (torch.cat([part for part, *_ in one.maps(items)]) for one in (source, whole))
    assert torch.equal(tokens, expected)
    assert tight.tried[:3] == [8, 4, 2]
    assert max(tight.tried[3:]) <= 2
    assert len(remarks) == 1


def test_an_unreadable_image_is_skipped_and_named(images, folder):
    path = refused_images(folder, 1)[0]
    warnings = []
    source, items = images(8, warn=warnings.append)
    found = list(source.maps(items))
    assert [item for _, made, *_ in found for item in made] == items[1:]
    assert [(len(made), skipped) for _, made, skipped, _ in found] == [
        (7, ("class0/0.png",)),
        (8, ()),
        (4, ()),
    ]
    (message,) = warnings
    assert str(path) in message


def test_a_batch_of_unreadable_images_has_no_maps(images, folder):
    refused_images(folder, 2)
    source, items = images(1, share=0.5)
    found = list(source.maps(items))
    assert [(tokens.shape, len(made), len(skipped)) for tokens, made, skipped, _ in found[:3]] == [
        ((0, 30), 0, 1),
        ((0, 30), 0, 1),
        ((1, 30), 1, 0),
    ]
    assert [made[0].seed for _, made, *_ in found[2:]] == list(range(2, 20))


@pytest.mark.parametrize(
    ("total", "share", "most"),
    [(200, 0.01, 2), (20, 0.01, 1), (1, 0.0, 1), (20, 0.0, 1), (20, 0.5, 10), (20, 1.0, 20)],
)
def test_a_share_of_the_images_may_be_unreadable_and_one_always(total, share, most, refused):
    skips = Skips(total, share, quiet)
    for _ in range(most):
        skips.add(ImageError("cannot read"))
    words = (f"{most + 1} of {total} images cannot be read, more than {share:.0%}", "raise --max-unreadable")
    with refused(*words, kind=RunError, code=1):
        skips.add(ImageError("cannot read"))


def test_unreadable_images_of_other_shards_count(refused):
    warnings = []
    skips = Skips(200, 0.01, warnings.append, elsewhere=lambda: 1)
    skips.add(ImageError("one"))
    with refused("3 of 200 images cannot be read", kind=RunError, code=1):
        skips.add(ImageError("two"))
    assert warnings == ["one", "two"]


def test_each_shard_is_counted_once(images, folder):
    """Those of a shard that is whole are counted there."""
    refused_images(folder, 1)
    source, items = images(8)
    list(source.maps(items[:10]))
    assert source.skips.here == 1
    list(source.maps(items[10:]))
    assert source.skips.here == 0


@pytest.fixture
def begin(tmp_path):
    """A run in shards, without having been opened."""

    def make(items, shard_items=100):
        out = tmp_path / "set"
        out.mkdir(exist_ok=True)
        plan = Request.of("real", {}, {}, {}, items, shard_items).plan
        return RunFolder(out, out, LAYOUT, plan, items)

    return make


def make_shards(run, job):
    for shard in run.shards:
        items = run.items[shard.first : shard.first + shard.count]
        rows, notes = job.publish(items, Rows.join(list(job.make(items, shard.first))))
        write_shard(run.shard_path(shard.number), rows, shard, notes)


def test_a_job_takes_any_backbone(fake_backbone, begin):
    backbone = fake_backbone()
    identity = BackboneIdentity.from_backbone(backbone)
    settings = SearchSettings((1, 1, 1), 0.0, 0, 0.0, Stream.COLLECT, decode=False)
    generator = Generator(backbone, None, RandomSelector(), settings, CPU)
    items = distinct_items(range(5), 2, 5)
    run = begin(items, shard_items=4)
    job = CollectJob(Generated(generator, Fit(3)), "generated", identity, {"cfg": 0.0})
    (rows, *_) = job.make(items[:4], 0)
    assert (rows.taken, rows.skipped) == (3, ())
    types = {"tokens": torch.int16, "labels": torch.int32, "seeds": torch.int64}
    assert {name: column.dtype for name, column in rows.tensors.items()} == types
    make_shards(run, job)
    job.finish(run, Timing(2.0, 10))
    store = TokenStore.open(run.path)
    store.verify()
    assert (store.identity, store.manifest.kind, store.manifest.plan) == (identity, "generated", run.plan.id)
    assert store.manifest.per_class == (2,) * 5
    assert [shard.items for shard in store.manifest.shards] == [4, 4, 2]
    assert store.manifest.settings == {"cfg": 0.0, "timing": {"seconds": 2.0, "images": 10}}
    assert store.labels.tolist() == [item.label for item in items]
    assert store.seeds.tolist() == [item.seed for item in items]
    (whole,) = generator.batches(items, 10)
    assert torch.equal(store.tokens.long(), whole.result.tokens)


def test_tokens_outside_the_codebook_are_refused(fake_backbone, begin, refused):
    class Broken(fake_backbone):
        def encode(self, images):
            return super().encode(images) + 7

    backbone = Broken()
    job = CollectJob(Digits(backbone, Fit(8)), "real", BackboneIdentity.from_backbone(backbone), {})
    with refused("token 7 is outside 0 to 6 of fake; check the backbone's encode", kind=RunError, code=1):
        list(job.make([Item(0, 0)], 0))


def test_skipped_images_are_named_in_their_shard_and_counted_in_the_manifest(
    images, folder, begin, digits_identity
):
    refused_images(folder, 4)
    source, items = images(3, share=0.2)
    run = begin(items, shard_items=4)
    job = CollectJob(source, "real", digits_identity, {}, source.skips)
    make_shards(run, job)
    assert skipped_elsewhere(run) == 4
    job.finish(run, Timing(1.0, 16))
    store = TokenStore.open(run.path)
    store.verify()
    assert store.manifest.settings["skipped"] == 4
    assert store.manifest.per_class == (0, 0, *(2,) * 8)
    assert [shard.items for shard in store.manifest.shards] == [0, 4, 4, 4, 4]  # a shard may be empty
    assert store.seeds.tolist() == list(range(4, 20))
    assert torch.equal(store.rows(torch.arange(16)), store.tokens)


def test_too_many_in_all_shards_together_end_the_run_and_lose_no_shard(
    images, folder, begin, digits_identity, refused
):
    """Processes that decode at the same time do not see each other's unreadable images until the end."""
    for path in sorted(folder.rglob("0.png"))[:4:2]:
        path.write_bytes(b"not an image")
    source, items = images(5)
    run = begin(items, shard_items=4)
    job = CollectJob(source, "real", digits_identity, {}, source.skips)
    make_shards(run, job)
    with refused("2 of 20 images cannot be read, more than 1%", kind=RunError, code=1):
        job.finish(run, Timing())
    assert existing(run.path) is None
    assert run.present() == {0, 1, 2, 3, 4}
    source.skips.share = 0.1
    job.finish(run, Timing())
    assert existing(run.path).settings["skipped"] == skipped_elsewhere(run) == 2
