"""What a trained scorer looks like: figures of each scale, score histograms, and both as pictures.

The pictures are those of the paper's figures 5 and 7. They need matplotlib (extra ``demo``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts.io import atomic_path
from tts.scorers.state import EpochRow
from tts.scorers.train import TrainResult

BINS = 60


@dataclass(frozen=True)
class ScoreGap:
    """How far the held-out scores of real and generated maps lie apart, the first scale left out.

    ``kl`` is KL(real || generated) in nats over a shared histogram with one pseudo-count a bin.
    """

    mean_real: float
    mean_generated: float
    gap: float
    kl: float


def score_gap(real: Tensor, generated: Tensor) -> ScoreGap:
    """Compare scores of real and generated maps, any shape."""
    real, generated = real.flatten().double(), generated.flatten().double()
    low = float(torch.minimum(real.min(), generated.min()))
    high = float(torch.maximum(real.max(), generated.max())) + 1e-9
    p, q = (torch.histc(x, BINS, low, high) + 1 for x in (real, generated))
    p, q = p / p.sum(), q / q.sum()
    means = float(real.mean()), float(generated.mean())
    return ScoreGap(*means, means[0] - means[1], float((p * (p / q).log()).sum()))


def beyond_first(scores: Tensor, scales: tuple[int, ...]) -> Tensor:
    """Scores (P, S) without the first scale, which says next to nothing (paper, section 4.3)."""
    keep = [i for i, scale in enumerate(scales) if scale > 0] or list(range(len(scales)))
    return scores[:, keep]


def draw(result: TrainResult, scales: tuple[int, ...], out: Path) -> list[Path]:
    """Draw ``curves.png`` and ``scores.png`` into ``out``; no files where matplotlib is missing."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    return [
        _curves(result.history, scales, out / "curves.png"),
        _histograms(result, scales, out / "scores.png"),
    ]


def _curves(history: list[EpochRow], scales: tuple[int, ...], path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for i, scale in enumerate(scales):
        color = plt.get_cmap("viridis")(i / max(1, len(scales) - 1))
        axes[0].plot(
            epochs, [row["loss"][i] for row in history], "o-", color=color, label=f"scale {scale + 1}"
        )
        axes[1].plot(epochs, [row["accuracy"][i] for row in history], "o-", color=color)
    axes[0].set(xlabel="epoch", ylabel="held-out loss", xticks=epochs)
    axes[1].set(xlabel="epoch", ylabel="held-out accuracy", xticks=epochs)
    axes[0].legend(fontsize="small")
    return _save(figure, path)


def _histograms(result: TrainResult, scales: tuple[int, ...], path: Path) -> Path:
    from matplotlib import pyplot as plt

    real, generated = (
        beyond_first(x, scales).flatten() for x in (result.real_scores, result.generated_scores)
    )
    gap = score_gap(real, generated)
    figure, axis = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
    limits = float(min(real.min(), generated.min())), float(max(real.max(), generated.max()))
    for scores, color, label in ((generated, "tab:blue", "generated"), (real, "tab:red", "real")):
        axis.hist(scores.numpy(), BINS, range=limits, density=True, alpha=0.6, color=color, label=label)
    axis.set(xlabel="score", ylabel="density", title=f"mean gap {gap.gap:.2f}, KL {gap.kl:.2f}")
    axis.legend()
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot as plt

    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
    return path
