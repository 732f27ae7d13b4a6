"""The tensors of a token data set, as compact as they are stored, and what they may hold."""

from __future__ import annotations

import torch
from torch import Tensor

from tts.data.manifest import BackboneIdentity
from tts.errors import RunError, ShapeError


def column_types(identity: BackboneIdentity) -> dict[str, torch.dtype]:
    """The tensors of a shard; the smallest token type that all codes fit in."""
    tokens = torch.int32 if identity.codebook_size > 32767 else torch.int16
    return {"tokens": tokens, "labels": torch.int32, "seeds": torch.int64}


def check_range(what: str, values: Tensor, limit: int) -> str | None:
    """In words, what is wrong with values that must lie in [0, limit)."""
    if not values.numel():
        return None
    low, high = (int(value) for value in values.aminmax())
    if low >= 0 and high < limit:
        return None
    return f"{what} {low if low < 0 else high} is outside 0 to {limit - 1}"


def columns(identity: BackboneIdentity, tokens: Tensor, labels: Tensor, seeds: Tensor) -> dict[str, Tensor]:
    """Tokens (n, L), labels (n,) and seeds (n,) as they are stored, copied to the CPU and checked."""
    shapes, items = (tuple(tokens.shape), tuple(labels.shape), tuple(seeds.shape)), len(tokens)
    expected = ((items, identity.tokens), (items,), (items,))
    if shapes != expected:
        raise ShapeError(f"tokens, labels and seeds have shapes {shapes}, expected {expected}")
    fault = check_range("token", tokens, identity.codebook_size)
    fault = fault or check_range("label", labels, identity.classes)
    if fault:
        raise RunError(f"{fault} of {identity.name}; check the backbone's encode and sampling")
    given = {"tokens": tokens, "labels": labels, "seeds": seeds}
    types = column_types(identity)
    return {key: given[key].detach().to("cpu", types[key], copy=True) for key in types}
