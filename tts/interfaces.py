"""The contract between the search loop and its parts.

Axis letters: B images, M candidates, L tokens of a scale, V codes, C code channels, H W the latent grid,
K scales. Scale indices are zero-based in code; the paper and the command line count from 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from tts.errors import UsageError
from tts.specs import Guidance, SamplingDefaults


@dataclass(frozen=True)
class BackboneInfo:
    """Facts of a built backbone that the loop, the scorers and the stores rely on.

    ``schedule`` holds the side of each scale, ``grid`` the latent side H = W that scorers see.
    ``stochastic[k]`` says whether tokens of scale k are drawn at random; where it is false the loop takes
    the most probable ones, and one candidate, since all would be equal. ``guidance`` is the form in use,
    ``uint8`` the family's rule for 8-bit images (``truncate`` or ``round``).
    """

    name: str
    family: str
    schedule: tuple[int, ...]
    codebook_size: int
    channels: int
    grid: int
    classes: int
    image_size: int
    guidance: Guidance
    sampling: SamplingDefaults
    stochastic: tuple[bool, ...]
    uint8: str = "truncate"

    @property
    def scales(self) -> int:
        """Number of scales K."""
        return len(self.schedule)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of tokens of each scale."""
        return tuple(side * side for side in self.schedule)

    @property
    def tokens(self) -> int:
        """Number of tokens of an image, all scales together."""
        return sum(self.lengths)


class BackboneState(Protocol):
    """The generation of one batch. Per scale: ``logits``, then ``propose`` at will, then ``commit``.

    A state may also offer what ``SupportsIncrements``, ``SupportsPreviews`` and ``SupportsReindex`` say.
    """

    def logits(self) -> Tensor:
        """Guided logits (B, L_k, V), float32, of the current scale; one transformer pass."""
        ...

    def propose(self, tokens: Tensor) -> Tensor:
        """What a scorer sees of candidates (B, M, L_k): maps (B, M, C, H, W), float32. Changes nothing."""
        ...

    def commit(self, tokens: Tensor) -> None:
        """Take tokens (B, L_k) as the current scale's map and go on to the next scale."""
        ...

    def decode(self) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], float32, once all scales are committed."""
        ...


class SupportsIncrements(Protocol):
    """A state whose maps are a latent plus what a candidate adds; a scorer need not see it M times."""

    @property
    def latent(self) -> Tensor:
        """What all candidates of an image share, (B, C, H, W)."""
        ...

    def increments(self, tokens: Tensor) -> Tensor:
        """What candidates (B, M, L_k) add to it, (B, M, C, H, W)."""
        ...


class SupportsPreviews(Protocol):
    """A state that can show candidates as images, for scorers that look at pixels."""

    def preview(self, tokens: Tensor) -> Tensor:
        """Images (B, M, 3, S, S) in [0, 1] of candidates (B, M, L_k) as they stand. Changes nothing.

        At the last scale they are what ``decode`` gives after ``commit``.
        """
        ...


@runtime_checkable
class SupportsReindex(Protocol):
    """A state that can keep several paths an image, for strategies that do so."""

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch in their order, with repetition; the batch then has R images.

        All that belongs to a row follows it: latents, both guidance halves, keys and values. It may come
        before ``logits`` or between ``logits`` and ``commit``.
        """
        ...


def no_previews() -> Tensor:
    """What proposals of a state without previews answer."""
    raise UsageError("this backbone shows no previews of candidates; choose a scorer that judges maps")


class Backbone(Protocol):
    """A scale-wise model with its tokenizer. It may also offer what ``SupportsFastBackbone`` says."""

    info: BackboneInfo

    def begin(self, labels: Tensor, cfg: float) -> BackboneState:
        """Start a batch for class labels (B,) at guidance strength ``cfg``, in the convention of ``info``."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Token maps (B, sum L_k), int64, scales concatenated, of images (B, 3, H, W) in [0, 1]."""
        ...

    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of token maps (B, sum L_k)."""
        ...

    def views(self, tokens: Tensor) -> list[Tensor]:
        """The scorer's view (B, C, H, W) at each scale of recorded token maps (B, sum L_k)."""
        ...

    def weights_hash(self) -> str:
        """SHA-256 over the files that the weights came from."""
        ...


@dataclass(frozen=True)
class Proposals:
    """Candidates of one scale, as a scorer sees them.

    ``labels`` (B,), ``tokens`` (B, M, L_k), ``log_probs`` (B, M, L_k): each token's log-probability under the
    filtered distribution that it was drawn from. ``maps`` (B, M, C, H, W) are what a scorer looks at: the
    ``increments`` (B, M, C, H, W), on top of the ``latent`` (B, C, H, W) that all candidates of an image
    share where the family has one. ``previews()`` decodes the candidates as they stand: images
    (B, M, 3, S, S) in [0, 1].
    """

    scale: int
    labels: Tensor
    tokens: Tensor
    increments: Tensor
    log_probs: Tensor
    latent: Tensor | None = None
    previews: Callable[[], Tensor] = no_previews

    @cached_property
    def maps(self) -> Tensor:
        """Maps (B, M, C, H, W) of the candidates, float32."""
        return self.increments if self.latent is None else self.latent[:, None] + self.increments


class Scorer(Protocol):
    """Judges candidates; higher is better. ``name`` appears in errors and records.

    A scorer may also offer what ``SupportsFastScorer`` says, for the fast sampler.
    """

    name: str

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M), float32, finite. A candidate's score must not depend on the others."""
        ...


@runtime_checkable
class SupportsFastScorer(Protocol):
    """A scorer that has a fast form."""

    def fast(self, dtype: torch.dtype, compile_parts: bool = False) -> Scorer:
        """A scorer of the same scores, but for rounding, in less work, for a backbone of this precision.

        ``compile_parts`` asks for parts that ``torch.compile`` has made faster, after a slow first batch.
        """
        ...


@runtime_checkable
class SupportsFastBackbone(Protocol):
    """A backbone that has a fast form."""

    def fast(self, compile_parts: bool = False) -> Backbone:
        """A backbone of the same logits, latents and images, but for rounding, in less work.

        ``compile_parts`` asks for parts that ``torch.compile`` has made faster, after a slow first batch.
        """
        ...


class ImageScorer(Protocol):
    """Judges finished images; higher is better. ``name`` appears in errors and records."""

    name: str

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B,), float32, finite, of images (B, 3, S, S) in [0, 1] for their labels (B,)."""
        ...


@dataclass(frozen=True)
class SelectionContext:
    """What a selector may use to choose.

    ``scores`` (B, M); ``uniforms`` (B, M) in (0, 1), one reproducible draw for each candidate. Candidates are
    not kept: ``tokens()`` draws all of them (B, M, L_k) again, ``maps()`` makes their maps (B, M, C, H, W).
    The B images are those of a batch that have M candidates: all candidates are there, and where images have
    different numbers a selector is asked once for each number.
    """

    scale: int
    labels: Tensor
    scores: Tensor
    uniforms: Tensor
    tokens: Callable[[], Tensor]
    maps: Callable[[], Tensor]


class Selector(Protocol):
    """Chooses one candidate an image. ``needs_scores`` is false for selectors that ignore the scorer."""

    name: str
    needs_scores: bool

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,), int64, of the chosen candidate of each image."""
        ...


@dataclass(frozen=True)
class ScaleEvent:
    """A choice that was made at one scale: what ``tts_after_scale`` observers receive.

    ``labels`` (B,), ``seeds`` (B,), ``scores`` (B, M), ``choice`` (B,); ``tokens()`` draws the candidates
    (B, M, L_k) again. An event that is kept keeps what it needs for that. Where images of a batch have
    different numbers of candidates there is an event for each number M, with the images that have it.
    """

    scale: int
    labels: Tensor
    seeds: Tensor
    scores: Tensor
    choice: Tensor
    tokens: Callable[[], Tensor]

    @cached_property
    def duplicates(self) -> Tensor:
        """Number (B,) of candidates that repeat an earlier candidate of the same image."""
        tokens = self.tokens()
        return tokens.shape[1] - torch.tensor([torch.unique(row, dim=0).shape[0] for row in tokens])
