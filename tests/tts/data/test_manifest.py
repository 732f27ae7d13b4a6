from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tts.data.manifest import BackboneIdentity, Manifest, Shard
from tts.records import encode, parse_record, tagged

IDENTITY = BackboneIdentity("var-test", (1, 2), 3, 50, 4, 2, "ab" * 32)


def test_manifest_round_trip() -> None:
    shards = (Shard("shard-00000.safetensors", 2, "00"), Shard("shard-00001.safetensors", 1, "11"))
    manifest = Manifest("real", IDENTITY, {"crop": "center"}, 3, (1, 0, 2), shards, {"torch": "2"})
    assert parse_record(encode(tagged(1, manifest)), Manifest, "x", "manifest", "", 1) == manifest
    with pytest.raises(ValueError, match="4 items, but the shards hold 3"):
        replace(manifest, items=4)


def test_identity_round_trip_and_mismatch() -> None:
    assert parse_record(encode(IDENTITY), BackboneIdentity, "x", "identity", "") == IDENTITY
    assert IDENTITY.mismatch(IDENTITY) is None
    cases: dict[str, tuple[Any, str]] = {
        "name": ("var-d16", "backbone var-test, got var-d16"),
        "schedule": ((1, 3), "scale schedule 1-2, got 1-3"),
        "codebook_size": (4096, "codebook size 50, got 4096"),
        "weights": ("cd" * 32, "weights abababababab, got cdcdcdcdcdcd"),
    }
    for field, (value, words) in cases.items():
        assert IDENTITY.mismatch(replace(IDENTITY, **{field: value})) == words


def test_identity_of_a_backbone() -> None:
    info = SimpleNamespace(name="var-test", schedule=(1, 2), classes=3, codebook_size=50, channels=4, grid=2)
    backbone: Any = SimpleNamespace(info=info, weights_hash=lambda: "ab" * 32)
    assert BackboneIdentity.from_backbone(backbone) == IDENTITY
