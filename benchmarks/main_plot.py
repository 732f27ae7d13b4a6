"""The README's main plot: ``python benchmarks/main_plot.py`` draws ``docs/selectors.png``."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from tts.evaluation.sweep.reading import ResultPoint, Results, read_results
from tts.io import atomic_path

HERE = Path(__file__).parent
MODELS = {"var-digits": "a weak model", "var-digits-l": "a good model", "flexvar-digits": "a weak FlexVAR"}
SELECTORS = {
    "greedy": ("greedy", "#0072B2", "o"),
    "topk": ("topk, k = 8", "#D55E00", "s"),
    "softmax": ("softmax", "#009E73", "D"),
}


def curve(results: Results, selector: str) -> list[ResultPoint]:
    """The points of a selector at ST = 2 with the shipped scorer, from the plain model on."""
    found = [point for point in results.points if point.plain]
    for point in results.points:
        setting = point.setting
        usual = (setting.strategy, setting.scorer, setting.start_scale) == ("lsrs", "learned", 2)
        if usual and setting.selector == selector and setting.top_k_select in (None, 8):
            found.append(point)
    return sorted(found, key=lambda point: point.candidates or 0)


def draw(axes: plt.Axes, results: Results, title: str) -> None:
    """One model: the distance against M, with the spread over seed sets."""
    for name, (label, colour, marker) in SELECTORS.items():
        points = curve(results, name)
        means = [point.mean("fid") for point in points]
        spreads = [point.spread("fid") for point in points]
        m = [point.candidates for point in points]
        axes.errorbar(m, means, spreads, label=label, color=colour, marker=marker, capsize=3, linewidth=2)
    plain = next(point for point in results.points if point.plain)
    axes.axhline(plain.mean("fid") or 0, color="0.25", linestyle="--", label="plain")
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64, 128], ["1", "2", "4", "8", "16", "32", "64", "128"])
    axes.set_title(title, fontsize=12)
    axes.set_xlabel("candidates M")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def main() -> None:
    """Draw all models for which there is a sweep."""
    folders = {name: HERE / "results" / f"sweep_{name}" for name in MODELS}
    shown = {name: folder for name, folder in folders.items() if (folder / "results.json").exists()}
    figure, axes = plt.subplots(1, len(shown), figsize=(4.2 * len(shown), 3.6), squeeze=False)
    for column, (name, folder) in zip(axes[0], shown.items(), strict=True):
        draw(column, read_results(folder), f"{name} ({MODELS[name]})")
    axes[0][0].set_ylabel("Frechet distance, lower is better")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    with atomic_path(HERE.parent / "docs" / "selectors.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
