"""Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011) on integer tensors.

A draw is a pure function of (seed, stream, purpose, scale, candidate, position). It does not depend on the
batch, on how work is split, on the device or on the number of candidates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tts.errors import ShapeError
from tts.limits import flat
from tts.noise_streams import Purpose, Stream

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_ROUNDS = 10


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Philox 4x32-10: four 32-bit words (as int64 in [0, 2^32)) for each counter.

    Counter and key words are int64 tensors in [0, 2^32) that broadcast together. Products wrap modulo 2^64,
    so that all of their 64 bits are right. Words are cut to 32 bits only before they are multiplied.
    """
    c0, c1, c2, c3 = counter
    for k0, k1 in zip(*map(_round_keys, key, _WEYL), strict=True):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = ((p1 >> 32) ^ c1 ^ k0) & _MASK, p1, ((p0 >> 32) ^ c3 ^ k1) & _MASK, p0
    return c0, c1 & _MASK, c2, c3 & _MASK


def _round_keys(key: Tensor, step: int) -> tuple[Tensor, ...]:
    """A key word in each round."""
    rounds = torch.arange(_ROUNDS, device=key.device).view(-1, *[1] * key.ndim)
    return ((key + step * rounds) & _MASK).unbind()


def to_uniform(words: Tensor) -> Tensor:
    """Float32 uniforms in (0, 1) from 32-bit words: the top 23 bits, centred; exact in float32."""
    return ((words >> 9).to(torch.float32) + 0.5) * 2.0**-23


Mix = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]


def mixed(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> Tensor:
    """The words of ``philox`` side by side: (..., 4)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    return torch.stack(torch.broadcast_tensors(*philox((c0, c1, c2, c3), (k0, k1))), dim=-1)


def _words(
    seeds: Tensor,
    stream: Stream,
    purpose: Purpose,
    scale: int,
    candidates: range | Tensor,
    positions: int,
    mix: Mix = mixed,
) -> Tensor:
    blocks = -(-positions // 4)
    if not isinstance(seeds, Tensor) or seeds.ndim != 1 or seeds.is_floating_point():
        raise ShapeError(f"seeds must be a tensor of whole numbers (B,), got {flat(seeds)}")
    if not isinstance(candidates, range | Tensor):
        raise ShapeError(f"candidates must be a range, or a tensor (B, M) of numbers, got {flat(candidates)}")
    seeds = seeds.to(torch.int64)[:, None, None]  # B 1 1
    key = (seeds & _MASK, (seeds >> 32) & _MASK)
    position = torch.arange(blocks, device=seeds.device)[None, None, :]  # 1 1 L/4
    if isinstance(candidates, range):
        candidates = torch.arange(candidates.start, candidates.stop, device=seeds.device)[None]  # 1 M
    candidate = candidates[:, :, None]  # 1 M 1, or B M 1
    fixed = torch.full_like(position, scale)
    domain = torch.full_like(position, int(stream) << 16 | int(purpose))
    return mix((position, candidate, fixed, domain), key).flatten(2)[..., :positions]  # B M L


def token_uniforms(
    seeds: Tensor,
    stream: Stream,
    scale: int,
    candidates: range | Tensor,
    positions: int,
    mix: Mix = mixed,
) -> Tensor:
    """Uniforms (B, M, L) that draw the tokens of the given candidates of one scale; ``seeds`` (B,) int64.

    ``candidates`` are the same numbers for all images, or each image's own (B, M). ``mix`` is ``mixed`` or
    the same function compiled, which gives the same numbers.
    """
    return to_uniform(_words(seeds, stream, Purpose.TOKENS, scale, candidates, positions, mix))


def selection_uniforms(seeds: Tensor, stream: Stream, scale: int, candidates: int) -> Tensor:
    """Uniforms (B, M), one for each candidate, for selectors that choose at random."""
    return to_uniform(_words(seeds, stream, Purpose.SELECTION, scale, range(candidates), 1))[..., 0]


def resampling_uniforms(seeds: Tensor, stream: Stream, scale: int) -> Tensor:
    """Uniforms (B,), one for each image, for strategies that choose among paths after a scale."""
    return to_uniform(_words(seeds, stream, Purpose.RESAMPLING, scale, range(1), 1))[:, 0, 0]


def random_tokens(seeds: Tensor, stream: Stream, scale: int, positions: int, codes: int) -> Tensor:
    """Uniformly random token map (B, L) for the analysis behind the paper's figure 1."""
    words = _words(seeds, stream, Purpose.RANDOMIZE, scale, range(1), positions)[:, 0]
    return (words * codes) >> 32
