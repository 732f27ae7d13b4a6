"""Which items of several data sets are kept, and how they are written."""

from __future__ import annotations

import pytest
import torch

from tts.data import merging
from tts.data.manifest import BackboneIdentity
from tts.data.merging import check_alike, distinct, merged_settings, write_merged
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError, UsageError

IDENTITY = BackboneIdentity(
    name="fake", schedule=(1, 2), classes=4, codebook_size=50, channels=2, grid=2, weights="ab"
)


def tokens_of(labels, seeds):
    """Token maps (n, 5) that follow from label and seed."""
    return (labels[:, None] * 7 + seeds[:, None] * 3 + torch.arange(5)) % 50


@pytest.fixture
def stored(tmp_path):
    """Writes a data set of (label, seed) pairs and opens it."""

    def make(name, pairs, change=None, shard_items=4, **settings):
        labels, seeds = torch.tensor(pairs).T
        tokens = tokens_of(labels, seeds)
        if change is not None:
            tokens[change, 2] = (tokens[change, 2] + 1) % 50
        with StoreWriter(tmp_path / name, "generated", IDENTITY, settings, shard_items) as writer:
            writer.append(tokens, labels, seeds)
        return TokenStore.open(tmp_path / name)

    return make


def merged(stores, out, **writing):
    writer = StoreWriter(out, "generated", IDENTITY, merged_settings(stores), **writing)
    done = write_merged(stores, distinct(stores), writer)
    writer.close()
    return done, TokenStore.open(out)


FIRST = [(0, 1), (0, 2), (1, 1), (3, 9), (2, 2), (1, 7)]
SECOND = [(0, 2), (0, 3), (3, 9), (2, 5), (1, 2**40)]


def test_the_first_of_exact_duplicates_is_kept(stored, tmp_path):
    stores = [stored("a", FIRST), stored("b", SECOND)]
    assert distinct(stores).tolist() == [True] * 6 + [False, True, False, True, True]
    done, store = merged(stores, tmp_path / "all", shard_items=5)
    assert (done.items, done.dropped) == (9, 2)
    pairs = list(zip(store.labels.tolist(), store.seeds.tolist(), strict=True))
    assert pairs == [*FIRST, (0, 3), (2, 5), (1, 2**40)]
    assert torch.equal(store.tokens.long(), tokens_of(store.labels.long(), store.seeds))
    assert [shard.items for shard in store.manifest.shards] == [5, 4]
    store.verify()


def test_a_set_of_duplicates_alone_adds_nothing(stored, tmp_path):
    stores = [stored("a", FIRST), stored("b", FIRST[2:]), stored("c", [*FIRST[:2], *FIRST[:2]])]
    done, store = merged(stores, tmp_path / "all")
    assert (done.items, done.dropped, len(store)) == (6, 8, 6)


@pytest.mark.parametrize("rows", [1, 2, 4096])
@pytest.mark.parametrize("which", [0, 2])
def test_other_tokens_of_an_item_are_refused(stored, refused, monkeypatch, rows, which):
    monkeypatch.setattr(merging, "ROWS", rows)
    stores = [stored("a", FIRST), stored("b", SECOND, change=which)]
    label, seed = SECOND[which]
    words = (f"class {label}, seed {seed} has other tokens in {stores[1].folder} than in {stores[0].folder}",)
    with refused(*words, kind=CheckpointError):
        distinct(stores)


def test_a_contradiction_inside_a_set_is_refused(stored, refused):
    stores = [stored("a", FIRST), stored("b", [(2, 5), (1, 1), (2, 5)], change=2)]
    with refused("class 2, seed 5 has other tokens", kind=CheckpointError):
        distinct(stores)


def test_settings_that_choose_items_may_differ_and_are_kept(stored):
    a = stored("a", FIRST, cfg=1.0, per_class=2, timing={"seconds": 1}, backbone="fake")
    b = stored("b", SECOND, cfg=1.0, per_class=5, environment={"python": "3"}, backbone="/folder/fake")
    check_alike([a, b], [None, None])
    check_alike([a, b], ["1", None])
    made = merged_settings([a, b])
    assert (made["cfg"], made["backbone"]) == (1.0, "fake")
    assert not {"per_class", "timing"} & set(made)
    assert made["merged"] == [
        {
            **{"folder": str(a.folder), "items": 6, "plan": None},
            "settings": {"per_class": 2, "timing": {"seconds": 1}},
        },
        {
            **{"folder": str(b.folder), "items": 5, "plan": None},
            "settings": {"per_class": 5, "environment": {"python": "3"}},
        },
    ]


def test_other_settings_and_listings_are_refused(stored, refused):
    a, b = stored("a", FIRST, cfg=1.0), stored("b", SECOND, cfg=2.0, crop="random")
    with refused("have other settings (cfg, crop)", kind=UsageError):
        check_alike([a, b], [None, None])
    with refused("(images)", kind=UsageError):
        check_alike([a, stored("c", SECOND, cfg=1.0)], ["1", "2"])


def test_a_shard_is_read_at_a_time(stored, tmp_path, monkeypatch):
    pairs = [(i % 4, i) for i in range(40)]
    stores = [stored("a", pairs[:30]), stored("b", pairs[20:])]
    sizes = []
    writer = StoreWriter(tmp_path / "all", "generated", IDENTITY, {}, shard_items=6)
    append = writer.append
    monkeypatch.setattr(writer, "append", lambda *columns: (sizes.append(len(columns[0])), append(*columns)))
    told = []
    write_merged(stores, distinct(stores), writer, lambda done, total: told.append((done, total)))
    assert max(sizes) == 4
    assert told[-1] == (13, 13)
    assert writer.close().items == 40
