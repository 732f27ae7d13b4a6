"""What scorers tell apart, as plots: figures 5 and 7 of the LSRS paper. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tts.evaluation.sweep.drawing import PLAIN, Plot, entitle, finish, look, panels
from tts.evaluation.sweep.scorer_analysis import Analysis, Judged, Judgement

GENERATED, REAL = "#0072B2", "#D55E00"


def scorer_plots(analysis: Analysis) -> Iterator[Plot]:
    """Figures by scale of all scorers together, and a histogram of each; draw them within ``style()``."""
    if analysis.judged:
        yield by_scale(analysis)
    for number, (scorer, judgement) in enumerate(analysis.judged, 1):
        yield histogram(analysis, scorer, judgement, number)


def by_scale(analysis: Analysis) -> Plot:
    """Figure 5, top: accuracy and loss at each scale, at those that a scorer was trained on."""
    figure, axes = panels(2)
    for i, (scorer, judgement) in enumerate(analysis.judged):
        scales = [k for k in range(1, len(judgement.accuracy) + 1) if k in scorer.scales]
        for one, values in zip(axes, (judgement.accuracy, judgement.loss), strict=True):
            scaled = [(100 if one is axes[0] else 1) * values[k - 1] for k in scales]
            one.plot(scales, scaled, label=scorer.name, **look(i))
    for one, chance in zip(axes, (50, math.log(2)), strict=True):
        one.axhline(chance, color=PLAIN, linestyle="--", linewidth=1.6, label="chance", zorder=1)
        one.set_xticks(range(1, len(analysis.judged[0][1].accuracy) + 1))
    entitle(axes[0], "accuracy (%), higher is better")
    entitle(axes[1], "loss (nats), lower is better")
    axes[1].set_xlabel("scale")
    finish(figure, axes)
    said = (
        "Above: share of same-class pairs with S_real > S_gen. Below: -log sigmoid(S_real - S_gen)."
        f" {_maps(analysis)}"
    )
    return Plot("scorers-scale", "Scorers by scale", said, "figure 5", figure)


def histogram(analysis: Analysis, scorer: Judged, judgement: Judgement, number: int) -> Plot:
    """Figures 5, bottom, and 7: scores of real and generated maps, the first scale left out."""
    figure, (axes,) = panels(1)
    for counts, colour, label in (
        (judgement.generated_counts, GENERATED, "generated"),
        (judgement.real_counts, REAL, "real"),
    ):
        axes.stairs(_density(counts, judgement.edges), judgement.edges, fill=True, color=colour, alpha=0.45)
        axes.stairs(
            _density(counts, judgement.edges), judgement.edges, color=colour, linewidth=1.8, label=label
        )
    for mean, colour in ((judgement.gap.mean_generated, GENERATED), (judgement.gap.mean_real, REAL)):
        axes.axvline(mean, color=colour, linestyle="--", linewidth=1.4)
    axes.set_xlabel("score")
    axes.set_ylabel("density")
    axes.grid(axis="x", visible=False)
    axes.set_title(f"mean gap {judgement.gap.gap:.2f}, KL {judgement.gap.kl:.2f} nats", fontsize=13)
    finish(figure, [axes])
    said = f"Scores at all scales but the first; dashed: means; KL(real || generated). {_maps(analysis)}"
    title = f"Scores of {scorer.name}"
    return Plot(f"scores-{number}", title, said, "figures 5 and 7", figure)


def _density(counts: tuple[int, ...], edges: tuple[float, ...]) -> list[float]:
    total = sum(counts)
    return [count / total / (high - low) for count, low, high in zip(counts, edges, edges[1:], strict=False)]


def _maps(analysis: Analysis) -> str:
    return f"{analysis.real} real maps ({analysis.reference}), {analysis.generated} generated ones."
