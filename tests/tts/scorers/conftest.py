"""Small token data sets: encoded digits against random token maps, which are easy to tell apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone
from tts.data.digits import augmented
from tts.data.manifest import BackboneIdentity, Kind
from tts.data.store import StoreWriter, TokenStore

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
