"""A small backbone for tests of plugins: all arithmetic is exact, so that no result depends on the batch.

Axis letters: B images, M candidates, L tokens of a scale, V codes, C channels, H W the latent grid, K scales,
G guidance halves (conditional, unconditional).
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from tts.interfaces import BackboneInfo
from tts.specs import Guidance, SamplingDefaults, Schedule

TOY_GUIDANCE = Guidance("toy", 0.0, "cond + cfg (cond - uncond)")
COLOURS = (1, 3, 5)
"""A code's number times these is its vector, one number for each of red, green and blue."""

PATCH = 4
"""Pixels a side for each cell of the latent grid."""


def upsampled(tokens: Tensor, side: int, grid: int) -> Tensor:
    """Vectors of token maps (..., L), copied to the whole grid: (..., C, H, W)."""
    near = torch.arange(grid, device=tokens.device) * side // grid
    codes = tokens.unflatten(-1, (side, side))[..., near[:, None], near]  # ... H W
    return (codes[..., None, :, :] * codes.new_tensor(COLOURS)[:, None, None]).float()


def pictures(latents: Tensor, levels: int) -> Tensor:
    """Images (N, 3, S, S) in [0, 1] of latents (N, C, H, W), by their remainder of the number of levels."""
    cells = latents % levels / (levels - 1)
    return cells.repeat_interleave(PATCH, dim=2).repeat_interleave(PATCH, dim=3)


class ToyState:
    """One batch: ``latent`` (B, C, H, W) and ``cache`` (G, B, K), which ``logits`` fills scale by scale."""

    def __init__(self, info: BackboneInfo, labels: Tensor, cfg: float) -> None:
        self.info, self.cfg, self.scale = info, cfg, 0
        device = labels.device
        self.labels = torch.stack((labels, torch.full_like(labels, info.classes)))  # G B
        self.cache = torch.zeros(*self.labels.shape, info.scales, dtype=torch.int64, device=device)
        self.latent = torch.zeros(len(labels), info.channels, info.grid, info.grid, device=device)

    def logits(self) -> Tensor:
        """Guided logits (B, L_k, V): they depend on the label and on all maps before."""
        seen = self.cache.clone()
        seen[..., self.scale] = self.summary() + 13 * self.labels + 1
        self.cache = seen
        weights = 7 ** torch.arange(self.info.scales, device=seen.device) % 101
        history = (seen * weights).sum(dim=-1) % 10007  # G B
        position = torch.arange(self.info.lengths[self.scale], device=seen.device)[:, None]  # L 1
        code = torch.arange(self.info.codebook_size, device=seen.device)  # V
        phase = history[..., None, None] * (code + 3) + position * (5 * code + 2)
        conditional, unconditional = (phase * (code + 1) % 11) / 4.0 + code / 64  # B L V each, no two alike
        return conditional + self.cfg * (conditional - unconditional)

    def summary(self) -> Tensor:
        """One whole number (B,) for the latents."""
        weights = torch.arange(self.info.grid**2, device=self.latent.device) + 1
        return (self.latent[:, 0].flatten(1).long() * weights).sum(dim=1)

    def increments(self, tokens: Tensor) -> Tensor:
        """What candidates (B, M, L_k) add to the latent: (B, M, C, H, W)."""
        return upsampled(tokens, self.info.schedule[self.scale], self.info.grid)

    def propose(self, tokens: Tensor) -> Tensor:
        """Maps (B, M, C, H, W) of candidates (B, M, L_k)."""
        return self.latent[:, None] + self.increments(tokens)

    def commit(self, tokens: Tensor) -> None:
        """Add the map (B, L_k) to the latent and go on to the next scale."""
        self.latent = self.propose(tokens[:, None])[:, 0]
        self.scale += 1

    def preview(self, tokens: Tensor) -> Tensor:
        """Images (B, M, 3, S, S) in [0, 1] of candidates (B, M, L_k)."""
        images = pictures(self.propose(tokens).flatten(0, 1), self.info.codebook_size)
        return images.unflatten(0, tokens.shape[:2])

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        self.labels, self.cache = self.labels[:, rows], self.cache[:, rows]
        self.latent = self.latent[rows]

    def decode(self) -> Tensor:
        """Images (B, 3, S, S) in [0, 1]."""
        return pictures(self.latent, self.info.codebook_size)


class ToyBackbone:
    """A backbone without weights: four scales of up to 4x4 tokens from 16 codes, images of 16x16.

    Maps add up as VAR's do. The first channel of an image whose levels are multiples of 1 / (V - 1), in cells
    of 4x4 pixels, survives ``decode(encode(images))``. ``state`` replaces the class of its states.
    """

    def __init__(
        self,
        schedule: Schedule = (1, 2, 3, 4),
        codebook_size: int = 16,
        classes: int = 10,
        stochastic: tuple[bool, ...] | None = None,
        name: str = "toy",
        state: type[ToyState] = ToyState,
    ) -> None:
        self.state = state
        self.info = BackboneInfo(
            name=name,
            family="toy",
            schedule=schedule,
            codebook_size=codebook_size,
            channels=len(COLOURS),
            grid=schedule[-1],
            classes=classes,
            image_size=PATCH * schedule[-1],
            guidance=TOY_GUIDANCE,
            sampling=SamplingDefaults(cfg=0.5, top_k=0, top_p=0.0),
            stochastic=stochastic or (True,) * len(schedule),
        )

    def begin(self, labels: Tensor, cfg: float) -> ToyState:
        """Start a batch for labels (B,)."""
        return self.state(self.info, labels, cfg)

    def encode(self, images: Tensor) -> Tensor:
        """Token maps (B, sum L_k) of images (B, 3, S, S) in [0, 1], by red pixels in the middle of cells."""
        levels, grid = self.info.codebook_size, self.info.grid
        red = images[:, 0, PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]  # B H W
        left = (red * (levels - 1)).round().long()
        maps = []
        for side in self.info.schedule:
            middle = (2 * torch.arange(side, device=images.device) + 1) * grid // (2 * side)
            tokens = left[:, middle[:, None], middle].flatten(1) % levels  # B L
            left = left - upsampled(tokens, side, grid)[:, 0].long()
            maps.append(tokens)
        return torch.cat(maps, dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] of token maps (B, sum L_k)."""
        return pictures(self.views(tokens)[-1], self.info.codebook_size)

    def views(self, tokens: Tensor) -> list[Tensor]:
        """Latents (B, C, H, W) after each scale."""
        parts = tokens.split(self.info.lengths, dim=1)
        adds = [upsampled(part, *pair) for part, pair in zip(parts, self._sides(), strict=True)]
        return list(torch.stack(adds).cumsum(dim=0))

    def _sides(self) -> list[tuple[int, int]]:
        return [(side, self.info.grid) for side in self.info.schedule]

    def weights_hash(self) -> str:
        """A hash of its facts, since it has no weights."""
        return hashlib.sha256(repr(self.info).encode()).hexdigest()
