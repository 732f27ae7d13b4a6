"""Shapes and numbers that the search refuses, each with got and expected."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tts.errors import RunError, ShapeError
from tts.interfaces import BackboneInfo


def check_logits(logits: Tensor, info: BackboneInfo, scale: int, batch: int) -> None:
    """Refuse logits of the wrong shape, and NaN, which half precision makes when it overflows."""
    check_shape(logits, (batch, info.lengths[scale], info.codebook_size), f"{info.name} logits")
    if bool(logits.isnan().any()):
        raise RunError(
            f"{info.name} gave logits that are not numbers at scale {scale + 1};"
            " run in --dtype float32 or check the weights"
        )


def check_shape(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    """Raise ``ShapeError`` with got and expected."""
    if tuple(tensor.shape) != expected:
        raise ShapeError(f"{what} must have shape {expected}, got {tuple(tensor.shape)}")


def check_counts(counts: Sequence[Sequence[int]], batch: int, scales: int) -> None:
    """Refuse numbers of candidates (B, K) of another shape, or below one."""
    lengths = {len(own) for own in counts}
    if len(counts) != batch or not lengths <= {scales}:
        got = f"({len(counts)}, {' or '.join(map(str, sorted(lengths)))})"
        raise ShapeError(f"numbers of candidates must have shape {(batch, scales)}, got {got}")
    if any(count < 1 for own in counts for count in own):
        raise ShapeError("numbers of candidates must be at least 1; 1 switches selection off")
