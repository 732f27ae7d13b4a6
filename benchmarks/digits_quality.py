"""Quality of LSRS on the embedded digits models: ``python benchmarks/digits_quality.py``.

Every setting is sampled with several disjoint sets of seeds; the spread is the sample standard deviation over
them. Frechet distances are to all 1 797 real digits ("all") and to the 364 held-out ones ("heldout").
Needs the ``demo`` extra. Figures go to ``benchmarks/results/quality_BACKBONE.json``, row by row; rows that
the file has are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from tts.config import Choices, SearchSettings, plan_candidates
from tts.evaluation.compute import evaluate
from tts.evaluation.features import FeatureExtractor, Features
from tts.evaluation.figures import MetricOptions
from tts.evaluation.references import load_reference
from tts.interfaces import Backbone, Scorer
from tts.io import to_uint8, write_json
from tts.pipeline import Generator, Item
from tts.resolve import build_backbone, build_features, build_scorer, build_selector
from tts.runinfo import environment

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
SEED_BLOCK = 10_000_000
MODELS = ("var-digits", "var-digits-l", "flexvar-digits")


@dataclass(frozen=True)
class Setting:
    """One row of the table; ``selector`` may carry top-k's k after a slash."""

    backbone: str
    candidates: int
    selector: str = "greedy"
    cfg: float | None = None
    start_scale: int = 2
    scorer: str = "auto"
    schedule: str | None = None

    @property
    def label(self) -> str:
        """How the row is named."""
        cfg = "" if self.cfg is None else f" cfg {self.cfg:g}"
        schedule = "" if self.schedule is None else f" schedule {self.schedule}"
        start = "" if self.start_scale == 2 else f" ST {self.start_scale}"
        scorer = "" if self.scorer == "auto" else f" {Path(self.scorer).parent.name or self.scorer}"
        rule = "plain" if self.candidates == 1 else f"{self.selector}{scorer} M {self.candidates}{start}"
        return f"{self.backbone}{schedule}{cfg} {rule}"


def settings() -> list[Setting]:
    """The paper's curves on ``var-digits``, and the selectors on both models."""
    rows = [Setting("var-digits", m) for m in (1, 32, 2, 4, 8, 16)]
    rows += [Setting("var-digits", 32, selector) for selector in ("topk/8", "softmax", "random")]
    rows += [Setting("var-digits", 32, scorer="likelihood")]
    rows += [Setting("var-digits", 32, start_scale=start) for start in (1, 3, 4)]
    rows += [Setting("var-digits", m, cfg=cfg) for cfg in (3, 5) for m in (1, 32)]
    rows += [Setting("var-digits", 128)]
    rows += [Setting("var-digits-l", 1, cfg=cfg) for cfg in (0.25, 0.1, 0.5, 0, 1)]
    rows += [Setting("var-digits-l", m, rule) for m in (16, 4, 64) for rule in ("softmax", "greedy")]
    rows += flexvar_settings()
    return rows


def flexvar_settings() -> list[Setting]:
    """The same on ``flexvar-digits``, where the scorer sees r_k alone, and its guidance."""
    name = "flexvar-digits"
    rows = [Setting(name, m) for m in (1, 32, 2, 4, 8, 16)]
    rows += [Setting(name, 32, selector) for selector in ("topk/8", "softmax", "random")]
    rows += [Setting(name, 32, scorer="likelihood")]
    rows += [Setting(name, 32, start_scale=start) for start in (1, 3, 4)]
    rows += [Setting(name, m, cfg=cfg) for cfg in (1, 0.5, 3, 0) for m in (1, 32)]
    return rows


def generate(
    setting: Setting,
    parts: tuple[Backbone, Scorer | None],
    extractor: FeatureExtractor,
    repeat: int,
    images: int,
) -> tuple[Features, float]:
    """Features of one set of images, and the images per second."""
    backbone, scorer = parts
    info = backbone.info
    rule, _, k = setting.selector.partition("/")
    generator = Generator(
        backbone,
        scorer,
        build_selector(rule, int(k or 8), 1.0),
        SearchSettings(
            plan_candidates(str(setting.candidates), setting.start_scale, None, info.scales),
            info.sampling.cfg if setting.cfg is None else setting.cfg,
            info.sampling.top_k,
            info.sampling.top_p,
        ),
        CPU,
    )
    items = [Item(i % info.classes, repeat * SEED_BLOCK + i) for i in range(images)]
    started = time.perf_counter()
    batches = []
    for batch in generator.batches(items, 250):
        assert batch.result.images is not None
        batches.append(torch.from_numpy(to_uint8(batch.result.images, info.uint8)).permute(0, 3, 1, 2))
    speed = images / (time.perf_counter() - started)
    found = Features.cat([extractor.extract(pixels.contiguous()) for pixels in batches])
    return replace(found, labels=torch.tensor([item.label for item in items])), speed


def measure(setting: Setting, repeats: int, images: int) -> dict[str, object]:
    """Mean and spread of every figure of a setting."""
    choices = Choices(setting.schedule)
    spec, backbone = build_backbone(setting.backbone, (), CPU, torch.float32, choices)
    scorer = build_scorer(setting.scorer, spec, backbone, CPU) if setting.candidates > 1 else None
    extractor = build_features("digits", CPU)
    real = {part: load_reference(part, extractor) for part in ("all", "heldout")}
    rows: dict[str, list[float]] = {
        key: [] for key in ("all", "heldout", "accuracy", "variance", "images_per_second")
    }
    for repeat in range(repeats):
        found, speed = generate(setting, (backbone, scorer), extractor, repeat, images)
        made = {
            part: evaluate(found, reference, MetricOptions(manifold=False), extractor.knows_labels)
            for part, reference in real.items()
        }
        for part, figures in made.items():
            rows[part].append(figures.fid)
        for name in ("accuracy", "variance"):
            rows[name].append(getattr(made["all"], name))
        rows["images_per_second"].append(speed)
    spread = {key: statistics.stdev(values) if repeats > 1 else None for key, values in rows.items()}
    mean = {key: statistics.fmean(values) for key, values in rows.items()}
    return {
        "label": setting.label,
        "setting": asdict(setting),
        "mean": mean,
        "spread": spread,
        "values": rows,
    }


def main() -> None:
    """Measure the settings of one backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", choices=MODELS, default="var-digits")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = RESULTS / f"quality_{options.backbone}.json"
    rows = json.loads(results.read_text())["rows"] if results.exists() else []
    for setting in settings():
        if setting.backbone != options.backbone or any(row["label"] == setting.label for row in rows):
            continue
        row = measure(setting, options.repeats, options.images)
        rows.append(row)
        mean, spread = row["mean"], row["spread"]
        print(
            f"{setting.label:45s}",
            *(f"{key} {mean[key]:.3f} +- {spread[key]:.3f}" for key in mean),
            flush=True,
        )
        record = {"images": options.images, "repeats": options.repeats, "environment": environment(CPU)}
        write_json(results, {**record, "rows": rows})


if __name__ == "__main__":
    main()
