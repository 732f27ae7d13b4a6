"""Shapes, types and numbers that the search refuses, each with got and expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tts.errors import RunError, ShapeError
from tts.interfaces import BackboneInfo
from tts.owners import titled

if TYPE_CHECKING:
    from tts.search import SearchResult


def check_logits(logits: Tensor, info: BackboneInfo, scale: int, batch: int) -> None:
    """Refuse logits of the wrong shape, and NaN, which half precision makes when it overflows."""
    name = titled(info)
    check_floats(logits, (batch, info.lengths[scale], info.codebook_size), f"{name} logits")
    if bool(logits.isnan().any()):
        raise RunError(
            f"{name} gave logits that are not numbers at scale {scale + 1};"
            " run in --dtype float32 or check the weights"
        )


def check_shape(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    """Raise ``ShapeError`` with got and expected."""
    if not isinstance(tensor, Tensor):
        raise ShapeError(f"{what} must be a tensor of shape {expected}, got {type(tensor).__name__}")
    if tuple(tensor.shape) != expected:
        raise ShapeError(f"{what} must have shape {expected}, got {tuple(tensor.shape)}")


def check_floats(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    """Refuse a tensor of another shape, and one that does not hold floating-point numbers."""
    check_shape(tensor, expected, what)
    if not tensor.is_floating_point():
        raise ShapeError(f"{what} must be floating-point numbers, got {_dtype(tensor)}")


def check_images(images: Tensor, info: BackboneInfo, batch: int, what: str) -> None:
    """Refuse images that are not floating-point numbers (B, 3, S, S)."""
    check_floats(images, (batch, 3, info.image_size, info.image_size), what)


def check_integers(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    """Refuse a tensor of another shape, and one that is not int64."""
    check_shape(tensor, expected, what)
    if tensor.dtype != torch.int64:
        raise ShapeError(f"{what} must be int64, got {_dtype(tensor)}")


def check_result(result: SearchResult, info: BackboneInfo, batch: int, name: str) -> None:
    """Refuse what a strategy of this name returned for a batch, if its shapes or types are wrong."""
    what, each = f"strategy {name}", (batch, info.scales)
    if not all(hasattr(result, field) for field in ("tokens", "images", "winner_scores", "winner_index")):
        raise ShapeError(f"{what} must return a tts.SearchResult, got {type(result).__name__}")
    check_integers(result.tokens, (batch, info.tokens), f"tokens of {what}")
    if bool(((result.tokens < 0) | (result.tokens >= info.codebook_size)).any()):
        raise ShapeError(f"tokens of {what} must be from 0 to {info.codebook_size - 1}")
    if result.images is not None:
        check_images(result.images, info, batch, f"images of {what}")
    check_floats(result.winner_scores, each, f"winner_scores of {what}")
    check_integers(result.winner_index, each, f"winner_index of {what}")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def check_counts(counts: Sequence[Sequence[int]], batch: int, scales: int) -> None:
    """Refuse numbers of candidates (B, K) of another shape, or below one."""
    lengths = {len(own) for own in counts}
    if len(counts) != batch or not lengths <= {scales}:
        got = f"({len(counts)}, {' or '.join(map(str, sorted(lengths)))})"
        raise ShapeError(f"numbers of candidates must have shape {(batch, scales)}, got {got}")
    if any(count < 1 for own in counts for count in own):
        raise ShapeError("numbers of candidates must be at least 1; 1 switches selection off")
