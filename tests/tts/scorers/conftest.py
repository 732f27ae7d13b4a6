"""Small token data sets: encoded digits against random token maps, which are easy to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone
from tts.data.digits import augmented
from tts.data.manifest import BackboneIdentity, Kind
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.scorers.train_config import TrainConfig

PER_CLASS = 24


@pytest.fixture(scope="session")
def digit_stores(
    digits_backbone: VarBackbone, digits_identity: BackboneIdentity, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TokenStore, TokenStore]:
    """Real and generated side, 24 items of each class; no two items have equal tokens."""
    labels, numbers = torch.arange(10).repeat_interleave(PER_CLASS), torch.arange(PER_CLASS).repeat(10)
    noise = torch.randint(256, (len(labels), 30), generator=torch.Generator().manual_seed(0))
    sides: tuple[tuple[Kind, Tensor], ...] = (
        ("real", digits_backbone.encode(augmented(labels, numbers))),
        ("generated", noise),
    )
    stores = []
    for kind, tokens in sides:
        folder: Path = tmp_path_factory.mktemp("data") / kind
        with StoreWriter(folder, kind, digits_identity, {"backbone": "var-digits", "weights": []}) as writer:
            writer.append(tokens, labels, numbers)
        stores.append(TokenStore.open(folder))
    assert all(len(store.tokens.unique(dim=0)) == len(store) for store in stores)
    return stores[0], stores[1]


@pytest.fixture
def config(digit_stores: tuple[TokenStore, TokenStore], tmp_path: Path) -> TrainConfig:
    """A quick training of two epochs of two steps."""
    real, generated = (str(store.folder) for store in digit_stores)
    return TrainConfig(
        real=real,
        generated=generated,
        out=str(tmp_path / "out"),
        epochs=2,
        batch=16,
        epoch_pairs=32,
        device="cpu",
    )


@pytest.fixture
def made(digits_identity: BackboneIdentity, tmp_path: Path) -> Callable[..., str]:
    """Another data set, of the given kind and identity."""

    def write(kind: Kind, **changes: Any) -> str:
        folder = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        identity = replace(digits_identity, **changes)
        labels = torch.arange(20) % 10
        with StoreWriter(folder, kind, identity, {"backbone": "var-digits"}) as writer:
            writer.append(torch.zeros(20, identity.tokens, dtype=torch.int64), labels, torch.arange(20))
        return str(folder)

    return write
