"""Several paths an image on their way through the scales, and what is remembered of each.

Axis letters: B images, P paths of an image, R = B P rows (the paths of an image side by side), K scales.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.errors import UsageError
from tts.interfaces import BackboneInfo, BackboneState
from tts.search import SearchResult, decoded


class Paths:
    """The paths of a batch: ``count`` of them an image, with their maps, scores and choices so far."""

    def __init__(self, state: BackboneState, labels: Tensor, seeds: Tensor, info: BackboneInfo) -> None:
        self.state, self.images, self.info = state, labels.shape[0], info
        self.count = 1
        self.labels, self.seeds = labels, seeds  # R
        self.tokens: list[Tensor] = []  # R L_k each
        self.scores = torch.full((self.images, info.scales), torch.nan, device=labels.device)  # R K
        self.index = torch.zeros((self.images, info.scales), dtype=torch.int64, device=labels.device)
        self.trace: dict[int, Tensor] = {}

    @property
    def number(self) -> Tensor:
        """The number (R,) of each path among those of its image."""
        return torch.arange(self.count, device=self.labels.device).repeat(self.images)

    def of_image(self, values: Tensor) -> Tensor:
        """Values (R, ...) image by image: (B, P, ...)."""
        return values.unflatten(0, (self.images, self.count))

    def rows(self, paths: Tensor) -> Tensor:
        """Rows (B, p) of paths (B, p) of each image."""
        return paths + self.count * torch.arange(self.images, device=paths.device)[:, None]

    def keep(self, paths: Tensor) -> Tensor:
        """Go on with the given paths (B, p) of each image, with repetition; returns the old rows (B p,)."""
        rows = self.rows(paths).flatten()
        if paths.shape[1] != self.count or bool((rows != torch.arange(len(rows), device=rows.device)).any()):
            self.state.reindex(rows)  # type: ignore[attr-defined]
            self.tokens = [part[rows] for part in self.tokens]
            self.labels, self.seeds = self.labels[rows], self.seeds[rows]
            self.scores, self.index = self.scores[rows], self.index[rows]
            self.count = paths.shape[1]
        return rows

    def commit(self, tokens: Tensor) -> None:
        """Take tokens (R, L_k) as the maps of the current scale."""
        self.state.commit(tokens)
        self.tokens.append(tokens)

    def latest(self) -> Tensor:
        """The last score (B, P) of each path, or zeros before any."""
        known = self.scores.nan_to_num(-torch.inf)
        scale = (~self.scores.isnan()).long().cumsum(dim=1).argmax(dim=1, keepdim=True)  # R 1
        last = known.gather(1, scale)[:, 0]
        return self.of_image(torch.where(last.isinf(), 0.0, last))

    def finish(self, best: Tensor, decode: bool) -> SearchResult:
        """The result of one path (B,) of each image."""
        if self.count > 1:
            self.keep(best[:, None])
        images = decoded(self.state, self.info, self.images) if decode else None
        trace = {scale: scores.cpu() for scale, scores in self.trace.items()}
        return SearchResult(
            torch.cat(self.tokens, dim=1).cpu(), images, self.scores.cpu(), self.index.cpu(), trace
        )


def check_paths(state: BackboneState, info: BackboneInfo, name: str) -> None:
    """Refuse a backbone whose states keep one path an image."""
    if not hasattr(state, "reindex"):
        raise UsageError(
            f"strategy {name} keeps several paths an image, and states of {info.name} have no reindex(rows);"
            " pass --strategy lsrs"
        )
