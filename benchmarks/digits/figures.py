"""Figures that need both the tokenizer and the classifier."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from digits import flexvae, tokenizer
from digits.training import balanced_images
from tts.data.digits import load_digits_split
from tts.evaluation.digits import DigitsClassifier, load_digits_classifier
from tts.evaluation.frechet import FrechetStatistics, frechet_distance

FLOOR_STEP = 1 << 20  # beyond the steps of every training


@torch.no_grad()
def statistics(net: DigitsClassifier, images: Tensor) -> FrechetStatistics:
    """Statistics of the features of images (N, 3, S, S) in [0, 1]."""
    return FrechetStatistics.over(net.features(part) for part in images.split(512))


def reconstruction_figures(out: Path) -> dict[str, float]:
    """Frechet distances to all scans: of reconstructions, and of what a perfect generator would make."""
    files = out / "digits-tokenizer.safetensors", out / "digits-classifier.safetensors"
    if not all(file.exists() for file in files) or not (out / "flexvar-digits").is_dir():
        return {}
    code, net = tokenizer.load(files[0]), load_digits_classifier(files[1])
    flex = flexvae.load(out)
    scans, _ = load_digits_split("all")
    augmented, _ = balanced_images(FLOOR_STEP, 5000)
    real = statistics(net, scans)
    found = {
        "fd_reconstructed": tokenizer.reconstruct(code, scans),
        "fd_augmented": augmented,
        "fd_augmented_reconstructed": tokenizer.reconstruct(code, augmented),
        "flexvar_fd_reconstructed": flexvae.reconstruct(flex, scans),
        "flexvar_fd_augmented_reconstructed": flexvae.reconstruct(flex, augmented),
    }
    return {name: frechet_distance(real, statistics(net, images)) for name, images in found.items()}
