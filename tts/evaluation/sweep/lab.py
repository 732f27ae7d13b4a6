"""Measuring settings of a backbone with given noise: images, their features, figures and cost.

Axis letters: N images of a set, n of a batch, S pixels a side. A seed set is N images whose noise no other
set has. The same set of two settings has the same noise, image by image, so their figures can be paired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from tts.building import PartsCache, build_generator
from tts.errors import UsageError
from tts.evaluation.compute import evaluate
from tts.evaluation.cost import Cost, CostCounter
from tts.evaluation.features import FeatureExtractor, Features, check_features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.fitting import Fit
from tts.images import Pixels
from tts.interfaces import BackboneInfo
from tts.io import to_uint8
from tts.outputs import NpzWriter
from tts.pipeline import Generator, Item, default_batch
from tts.resolve import build_features, torch_device
from tts.sample_config import SampleConfig
from tts.scorers.automatic import Automatic
from tts.specs import BackboneSpec

SEED_BLOCK = 10_000_000
"""Seeds of a set: images of one set may be as many."""

KEPT = 2
"""Backbones that stay in memory."""

STRIP = 10
CPU_BATCH = ((64, 50), (16, 100))
"""From so many candidates on, so many images at once: on a CPU their candidates then stay in its caches."""


@dataclass(frozen=True)
class Measured:
    """What a setting made of a seed set: features (N, ...), and the first images (up to 10, S, S, 3)."""

    figures: Figures
    cost: Cost
    features: Features
    strip: Pixels


@dataclass(frozen=True)
class Facts:
    """What is known of a backbone, also when it is not in memory any more; what ``auto`` stands for."""

    spec: BackboneSpec
    info: BackboneInfo
    automatic: Automatic


class Lab:
    """Measures configurations; backbones, scorers and the feature extractor are built once and shared.

    ``features`` names an extractor, ``reference`` is what figures compare with where ``measure`` is given no
    other. ``batch_size`` changes speed alone; ``say`` hears when a batch had to be made smaller.
    """

    def __init__(
        self,
        base: SampleConfig,
        features: str,
        reference: Reference | None = None,
        options: MetricOptions | None = None,
        batch_size: int | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.base, self.reference, self.options = base, reference, options or MetricOptions()
        self.batch_size, self.say = batch_size, say
        self.device = torch_device(base.device)
        self.extractor = build_features(features, self.device)
        self.cache = PartsCache(KEPT)
        self._facts: dict[Hashable, Facts] = {}

    def facts(self, config: SampleConfig) -> Facts:
        """The backbone of a configuration, which must make images that the extractor takes."""
        key = (config.backbone, config.weights, config.choices, config.dtype)
        if key not in self._facts:
            model = self.cache.model(config)
            check_image_size(model.info, self.extractor)
            self._facts[key] = Facts(model.spec, model.info, model.automatic)
        return self._facts[key]

    def measure(
        self,
        config: SampleConfig,
        seed_set: int,
        images: int,
        reference: Reference | None = None,
        after_batch: Callable[[int], None] = lambda done: None,
        keep: Path | None = None,
    ) -> Measured:
        """Make the images of a seed set and judge them; ``keep`` is an npz that takes the images.

        ``after_batch`` hears how many are done; what it raises ends the measurement.
        """
        reference = reference or self.reference
        if reference is None:
            raise UsageError("nothing to compare the images with; give a reference")
        info = self.facts(config).info
        items = seed_items(seed_set, images, info.classes)
        counter = CostCounter()
        generator = counter.watch(build_generator(config, self.cache))
        fit = Fit(self.batch_size or batch_size(generator), say=self.say)
        rule = config.uint8 or info.uint8
        clock, found, first, done = Clock(), [], [], 0
        with npz_writer(keep, items, info.image_size) as writer:
            for pixels in clock.over(pixels_of(generator, items, fit, rule)):
                found.append(self._features(pixels, items[done : done + len(pixels)]))
                first.append(pixels[: max(0, STRIP - done)])
                done += len(pixels)
                if writer:
                    writer.append(pixels)
                after_batch(done)
        features = Features.cat(found)
        figures = evaluate(features, reference, self.options, self.extractor.knows_labels, self.say)
        return Measured(figures, counter.cost(clock.seconds), features, np.concatenate(first))

    def _features(self, pixels: Pixels, items: list[Item]) -> Features:
        """Features of pixels (n, S, S, 3), with the labels of their items."""
        images = rearrange(torch.from_numpy(pixels), "n h w c -> n c h w").contiguous()
        found = self.extractor.extract(images)
        check_features(found, self.extractor, len(items))
        return replace(found, labels=torch.tensor([item.label for item in items]))


class Clock:
    """Adds up the seconds that an iterator needs, without those of its consumer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, batches: Iterator[Pixels]) -> Iterator[Pixels]:
        """The same batches."""
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - started
            if batch is None:
                return
            yield batch


def pixels_of(generator: Generator, items: list[Item], fit: Fit, rule: str) -> Iterator[Pixels]:
    """Pixels (n, S, S, 3) of the items, in uint8 by a rule."""
    for batch in generator.batches(items, fit):
        assert batch.result.images is not None
        yield to_uint8(batch.result.images, rule)


def check_image_size(info: BackboneInfo, extractor: FeatureExtractor) -> None:
    """Refuse a backbone whose images an extractor does not take."""
    size = extractor.image_size
    if size not in (None, info.image_size):
        raise UsageError(
            f"features {extractor.name!r} are for images of {size}x{size}, {info.name} makes"
            f" {info.image_size}x{info.image_size}; choose other --features"
        )


def check_images(images: int) -> None:
    """Refuse numbers of images that no seed set has."""
    if not 1 < images <= SEED_BLOCK:
        raise UsageError(
            f"images {images} must be from 2 to {SEED_BLOCK}, which is as many as a set has seeds"
        )


def seed_items(seed_set: int, images: int, classes: int) -> list[Item]:
    """The images of a seed set: image i has class i modulo ``classes``, and a seed of its own."""
    check_images(images)
    return [Item(i % classes, seed_set * SEED_BLOCK + i) for i in range(images)]


def batch_size(generator: Generator) -> int:
    """A batch size for a setting on its device."""
    usual = default_batch(generator.backbone.info.tokens)
    if generator.device.type != "cpu":
        return usual
    most = max(generator.settings.candidates)
    return min(usual, next((size for candidates, size in CPU_BATCH if most >= candidates), usual))


def npz_writer(path: Path | None, items: list[Item], size: int) -> AbstractContextManager[NpzWriter | None]:
    """A writer of all images, or none."""
    return nullcontext() if path is None else NpzWriter(path, items, size)
