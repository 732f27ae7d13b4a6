"""What generating images costs: passes, calls, time and memory, counted around a generator's parts.

Axis letters: B images, M candidates. All counts are per image, so that they depend neither on the batch nor
on how candidates are cut into chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts import limits
from tts.config import SearchSettings
from tts.interfaces import Backbone, BackboneState, Proposals
from tts.pipeline import Generator
from tts.search import SearchResult
from tts.strategies.strategy import Judges, Strategy

PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Cost:
    """What so many ``images`` took.

    ``transformer_passes`` counts the scales of images: K a plain image, guided or not. ``scorer_calls``
    counts the candidate maps that were scored, ``decoder_calls`` the images that were decoded, previews of
    candidates among them, and
    ``image_scorer_calls`` those that were judged. Work that a batch lost for want of memory counts too; what
    a scorer does inside itself does not. ``peak_bytes`` includes the weights (see ``peak_memory``).
    """

    images: limits.Items
    transformer_passes: limits.Count
    scorer_calls: limits.Count
    decoder_calls: limits.Count
    image_scorer_calls: limits.Count
    seconds: float
    peak_bytes: limits.Count | None


class CostCounter:
    """Counts what the generators that it watches do."""

    def __init__(self) -> None:
        self.images = 0
        self.transformer_passes = 0
        self.scorer_calls = 0
        self.decoder_calls = 0
        self.image_scorer_calls = 0
        self._memory: torch.device | None = None

    def watch(self, generator: Generator) -> Generator:
        """A generator of the same images whose work is counted; peak memory counts from here on."""
        self._memory = generator.device if reset_peak_memory(generator.device) else None
        scorer, image_scorer = generator.scorer, generator.image_scorer
        return replace(
            generator,
            backbone=CountedBackbone(generator.backbone, self),
            scorer=None if scorer is None else CountedScorer(scorer, self),
            image_scorer=None if image_scorer is None else CountedImageScorer(image_scorer, self),
            strategy=CountedStrategy(generator.strategy, self),
        )

    def cost(self, seconds: float) -> Cost:
        """What was counted so far, with the seconds that the caller measured."""
        return Cost(
            self.images,
            self.transformer_passes,
            self.scorer_calls,
            self.decoder_calls,
            self.image_scorer_calls,
            seconds,
            None if self._memory is None else peak_memory(self._memory),
        )


class Counted:
    """Stands for a part; all that is not counted goes to the part itself."""

    def __init__(self, part: Any, counter: CostCounter) -> None:
        self._part, self._counter = part, counter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


class CountedStrategy:
    """Counts the images that come out; the parts that it calls count what they do."""

    def __init__(self, strategy: Strategy, counter: CostCounter) -> None:
        self._strategy, self._counter = strategy, counter

    def __call__(
        self,
        backbone: Backbone,
        judges: Judges,
        settings: SearchSettings,
        labels: Tensor,
        seeds: Tensor,
        prefix: Sequence[Tensor],
        counts: Sequence[Sequence[int]] | None = None,
    ) -> SearchResult:
        """Generate B images, and count them."""
        result = self._strategy(backbone, judges, settings, labels, seeds, prefix, counts)
        self._counter.images += len(result.tokens)
        return result


class CountedBackbone(Counted):
    """Counts decoded images; its states count transformer passes."""

    def begin(self, labels: Tensor, cfg: float) -> BackboneState:
        """Start a batch whose work is counted."""
        return CountedState(self._part.begin(labels, cfg), self._counter)

    def decode(self, tokens: Tensor) -> Tensor:
        """Decode B images, and count them."""
        images: Tensor = self._part.decode(tokens)
        self._counter.decoder_calls += len(images)
        return images


class CountedState(Counted):
    """Counts the rows of the batch's passes, and the images that it decodes."""

    def logits(self) -> Tensor:
        """One scale of B images."""
        logits: Tensor = self._part.logits()
        self._counter.transformer_passes += len(logits)
        return logits

    def decode(self) -> Tensor:
        """Decode B images, and count them."""
        images: Tensor = self._part.decode()
        self._counter.decoder_calls += len(images)
        return images

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)  # so that a state without previews has none
        return partial(self._previewed, found) if name == "preview" else found

    def _previewed(self, preview: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        """Decode B x M candidates, and count them."""
        images = preview(tokens)
        self._counter.decoder_calls += images.shape[0] * images.shape[1]
        return images


class CountedScorer(Counted):
    """Counts the candidates that are scored."""

    def score(self, proposals: Proposals) -> Tensor:
        """Score B x M candidates, and count them."""
        scores: Tensor = self._part.score(proposals)
        batch, candidates = proposals.tokens.shape[:2]
        self._counter.scorer_calls += batch * candidates
        return scores


class CountedImageScorer(Counted):
    """Counts the images that are judged."""

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Judge B images, and count them."""
        scores: Tensor = self._part.score(images, labels)
        self._counter.image_scorer_calls += len(images)
        return scores


def reset_peak_memory(device: torch.device) -> bool:
    """Let the peak memory count from now on; false where the system cannot."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if device.type != "cpu":
        return False
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory(device: torch.device) -> int | None:
    """Most bytes in use since the reset, or ``None`` where the system does not say.

    On CUDA these are the tensors on the device. On a CPU it is the whole process: with the interpreter, the
    libraries and what earlier runs left to the allocator, so compare only with runs in a process of their
    own.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = (PROCESS / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
