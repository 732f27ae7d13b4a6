"""Comparing runs on handwritten digits: Frechet distance, class accuracy, diversity within a class, speed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.data.digits import load_digits_split
from tts.errors import CheckpointError, UsageError
from tts.evaluation.digits import DigitsClassifier, load_digits_classifier
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.io import load_png
from tts.outputs import IMAGES, NPZ, recorded_speed

Reference = Literal["heldout", "train", "all"]
REFERENCES = ("heldout", "train", "all")
SIZE = 16
BATCH = 1000


@dataclass(frozen=True)
class RunFigures:
    """Figures of one run of ``tts sample``.

    ``frechet`` is the Frechet distance to real digits, ``accuracy`` the share of images that the classifier
    gives their own class, ``variance`` the mean total variance of features within a class,
    ``images_per_second`` as recorded by the run, ``overhead`` the extra time over the first run.
    """

    run: str
    images: int
    frechet: float
    accuracy: float
    variance: float
    images_per_second: float | None
    overhead: float | None


@dataclass(frozen=True)
class Features:
    """Features (N, D), predicted classes (N,) and labels (N,) of a set of images."""

    features: Tensor
    predicted: Tensor
    labels: Tensor


def evaluate_runs(folders: Sequence[Path], reference: str) -> list[RunFigures]:
    """Figures of each run against real digits; overhead is relative to the first run."""
    if reference not in REFERENCES:
        raise UsageError(f"unknown reference {reference!r}; use {', '.join(REFERENCES)}")
    net = load_digits_classifier()
    images, labels = load_digits_split(reference)  # type: ignore[arg-type]
    real = FrechetStatistics.of(extract(net, [(images, labels)]).features)
    figures: list[RunFigures] = []
    base: float | None = None
    for folder in folders:
        speed = recorded_speed(folder)
        base = speed if folder is folders[0] else base
        found = extract(net, read_images(folder))
        figures.append(
            RunFigures(
                run=folder.name,
                images=len(found.labels),
                frechet=frechet_distance(real, FrechetStatistics.of(found.features)),
                accuracy=float((found.predicted == found.labels).double().mean()),
                variance=within_class_variance(found),
                images_per_second=speed,
                overhead=base / speed - 1 if base and speed else None,
            )
        )
    return figures


def extract(
    net: DigitsClassifier, batches: Sequence[tuple[Tensor, Tensor]] | Iterator[tuple[Tensor, Tensor]]
) -> Features:
    """Features of batches of images (n, 3, 16, 16) in [0, 1] with labels (n,)."""
    features, predicted, labels = [], [], []
    with torch.inference_mode():
        for images, given in batches:
            found = net.features(images)
            features.append(found)
            predicted.append(net.logits(found).argmax(dim=1))
            labels.append(given)
    return Features(torch.cat(features), torch.cat(predicted), torch.cat(labels))


def within_class_variance(found: Features) -> float:
    """Total variance of the features within a class, averaged over the classes; falls when modes are lost."""
    parts = [found.features[found.labels == label] for label in found.labels.unique()]
    return float(torch.stack([part.double().var(dim=0, correction=0).sum() for part in parts]).mean())


def read_images(folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (n, 3, 16, 16) in [0, 1] and labels (n,) of a run: its npz, else its PNG files."""
    if (folder / NPZ).is_file():
        pixels, labels = _read_npz(folder / NPZ)
        for first in range(0, len(labels), BATCH):
            part = slice(first, first + BATCH)
            yield _to_float(pixels[part], folder), torch.from_numpy(labels[part])
        return
    paths = sorted(p for p in (folder / IMAGES).glob("*/*.png") if p.parent.name.isdecimal())
    if not paths:
        raise CheckpointError(f"{folder} holds no images of 'tts sample'; give its output folder")
    for first in range(0, len(paths), BATCH):
        chosen = paths[first : first + BATCH]
        images = [load_png(path) for path in chosen]
        if len({image.shape for image in images}) > 1:
            raise CheckpointError(f"{folder} has images of several sizes; sample them again")
        stack = np.stack(images)
        yield _to_float(stack, folder), torch.tensor([int(path.parent.name) for path in chosen])


def _read_npz(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:  # NumPy leaves broken files open
            return arrays["arr_0"], arrays["arr_1"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{file} is no complete npz of 'tts sample'; sample it again") from error


def _to_float(pixels: NDArray[np.uint8], folder: Path) -> Tensor:
    """uint8 (n, S, S, 3) as (n, 3, S, S) in [0, 1]."""
    if pixels.shape[1:] != (SIZE, SIZE, 3):
        raise CheckpointError(
            f"{folder} has images of {pixels.shape[1]}x{pixels.shape[2]}; this is for digits of 16x16"
        )
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
