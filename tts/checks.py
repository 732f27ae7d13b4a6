"""Shapes, types and numbers that the search refuses, each with got and expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tts.config import check_candidates
from tts.errors import RunError, ShapeError, UsageError
from tts.interfaces import BackboneInfo
from tts.limits import CANDIDATES, flat
from tts.owners import titled

if TYPE_CHECKING:
    from tts.search import SearchResult


INTEGERS = (torch.int32, torch.int64)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that everything here can work with; of others PyTorch lacks operations."""


def check_logits(logits: Tensor, info: BackboneInfo, scale: int, batch: int) -> None:
    """Refuse logits of the wrong shape, and NaN, which half precision makes when it overflows."""
    name = titled(info)
    check_floats(logits, (batch, info.lengths[scale], info.codebook_size), f"{name} logits")
    if bool(logits.isnan().any()):
        raise RunError(
            f"{name} gave logits that are not numbers at scale {scale + 1};"
            " run in --dtype float32 or check the weights"
        )


def check_shape(
    tensor: Tensor, expected: tuple[int, ...], what: str, device: torch.device | None = None
) -> None:
    """Raise ``ShapeError`` with got and expected, also for a tensor that is not dense or elsewhere."""
    if not isinstance(tensor, Tensor):
        raise ShapeError(f"{what} must be a tensor of shape {expected}, got {type(tensor).__name__}")
    if tuple(tensor.shape) != expected:
        raise ShapeError(f"{what} must have shape {expected}, got {tuple(tensor.shape)}")
    if tensor.layout != torch.strided:
        raise ShapeError(f"{what} must be dense, got {str(tensor.layout).removeprefix('torch.')}")
    if device is not None and tensor.device != device:
        raise ShapeError(f"{what} must be on {device}, got {tensor.device}")


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
    """Refuse numbers of candidates (B, K) of another shape, below one, or above all bounds."""
    if not isinstance(counts, Sequence) or not all(isinstance(own, Sequence) for own in counts):
        raise ShapeError(
            f"numbers of candidates must be sequences of shape {(batch, scales)}, got {flat(counts)}"
        )
    lengths = {len(own) for own in counts}
    if len(counts) != batch or not lengths <= {scales}:
        got = f"({len(counts)}, {' or '.join(map(str, sorted(lengths)))})"
        raise ShapeError(f"numbers of candidates must have shape {(batch, scales)}, got {got}")
    for own in counts:  # not a set of them, where 2.0 is 2 and True is 1
        check_candidates(tuple(own))


def check_part(part: object, what: str, *names: str) -> None:
    """Refuse what is no object with these attributes, such as the name or the class of a part."""
    if isinstance(part, type) or not all(hasattr(part, name) for name in names):
        raise UsageError(
            f"{what} must be an object with {' and '.join(names)}, got {flat(part)};"
            f" tts.resolve.build_{what} makes one of a name"
        )


def check_batch(
    info: BackboneInfo, labels: Tensor, seeds: Tensor, prefix: Sequence[Tensor] = (), number: int = 0
) -> None:
    """Refuse labels and seeds that are no whole numbers (B,), unknown classes, and maps that do not fit.

    ``number`` is that of a candidate.
    """
    check_indices(labels, info.classes, "labels")
    if not len(labels):
        raise ShapeError("labels must be of one image or more, got none")
    if not isinstance(number, int) or not 0 <= number < CANDIDATES:
        raise UsageError(f"number {flat(number)} must be that of a candidate, from 0 to {CANDIDATES - 1}")
    check_indices(seeds, None, "seeds")
    if labels.shape != seeds.shape:
        raise ShapeError(
            f"seeds must have shape {tuple(labels.shape)} as the labels, got {tuple(seeds.shape)}"
        )
    _check_prefix(prefix, info, len(labels))


def check_indices(values: Tensor, below: int | None, what: str) -> None:
    """Refuse what is no tensor (N,) of whole numbers from 0 to under ``below``."""
    if not isinstance(values, Tensor):
        raise ShapeError(f"{what} must be a tensor of whole numbers (N,), got {type(values).__name__}")
    if values.ndim != 1 or values.dtype not in INTEGERS or values.layout != torch.strided:
        got = f"{_dtype(values)} {tuple(values.shape)}"
        raise ShapeError(f"{what} must be whole numbers of shape (N,), got {got}; give a dense int64 tensor")
    if not len(values):
        return
    low, high = (int(value) for value in values.aminmax())
    if low < 0 or (below is not None and high >= below):
        rule = "at least 0" if below is None else f"from 0 to {below - 1}"
        raise UsageError(f"{what} must be {rule}, got {low if low < 0 else high}")


def _check_prefix(prefix: Sequence[Tensor], info: BackboneInfo, batch: int) -> None:
    """Refuse given token maps (B, L_k) of the first scales that do not fit the backbone."""
    if not isinstance(prefix, Sequence) or len(prefix) > info.scales:
        raise ShapeError(f"prefix must be a sequence of at most {info.scales} token maps")
    for scale, tokens in enumerate(prefix):
        what = f"prefix of scale {scale + 1}"
        check_shape(tokens, (batch, info.lengths[scale]), what)
        check_indices(tokens.flatten(), info.codebook_size, what)


def check_matrix(values: Tensor, what: str) -> None:
    """Refuse what is no tensor (N, D) of floating-point numbers."""
    if not isinstance(values, Tensor):
        raise ShapeError(f"{what} must be a tensor (N, D), got {type(values).__name__}")
    if (
        values.ndim != 2
        or not values.shape[1]
        or values.dtype not in FLOATS
        or values.layout != torch.strided
        or values.is_meta
    ):
        got = f"{_dtype(values)} {tuple(values.shape)}"
        raise ShapeError(
            f"{what} must be floating-point numbers of shape (N, D), got {got}; give a dense float32 tensor"
        )


def check_numbers_in(values: Tensor, what: str) -> None:
    """Refuse a matrix (N, D) without rows, and NaN, infinity and numbers that are infinite in float32."""
    check_matrix(values, what)
    if not len(values):
        raise ShapeError(f"{what} must be of one image or more, got {tuple(values.shape)}")
    if not bool(values.float().isfinite().all()):
        raise UsageError(f"{what} hold NaN or infinity; check the images and the extractor's weights")


def check_labels(labels: Tensor, images: int) -> None:
    """Refuse labels that are not one whole number for each image."""
    check_indices(labels, None, "labels")
    if len(labels) != images:
        raise ShapeError(f"labels must have shape ({images},), got {tuple(labels.shape)}")
