"""``tts tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts_cli import options
from tts_cli.completion import words
from tts_cli.output import echo, print_json, print_table
from tts_cli.progress import loading, progress_bar, say, say_note

if TYPE_CHECKING:
    from tts.evaluation.tune.run import TuneSummary


def tune(
    budget: Annotated[str, typer.Option(help="Time for all of it, like 90s, 20m or 1h30m.")] = "20m",
    objective: Annotated[
        str,
        typer.Option(
            help="Figure: fid, sfid, fid_infinity, inception_score, precision, recall or accuracy.",
            autocompletion=words(
                "fid", "sfid", "fid_infinity", "inception_score", "precision", "recall", "accuracy"
            ),
        ),
    ] = "fid",
    backbone: options.Backbone = "var-digits",
    weights: options.Weights = None,
    part: options.Part = None,
    schedule: options.Schedule = None,
    guidance: options.Guidance = None,
    scorer: options.Scorer = "auto",
    reference: options.Reference = "heldout",
    features: options.Features = "auto",
    max_candidates: Annotated[int, typer.Option(help="Most candidates M that are tried.")] = 128,
    max_overhead: Annotated[
        float | None, typer.Option(help="Most seconds an image, in those of the plain model.")
    ] = None,
    cfgs: Annotated[
        str | None, typer.Option(help="Guidance strengths to try, like 0,0.5,1. Default: a grid from off.")
    ] = None,
    min_images: Annotated[
        int | None,
        typer.Option(help="Fewest images of a measurement. Default: 100, or as many as features or classes."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the settings tried, the halves and the images.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder. Default: tts-work/BACKBONE/tune.")] = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sample_all_scales: options.SampleAllScales = False,
    uint8: options.Uint8 = None,
    sampler: options.Sampler = "exact",
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    chunk: options.Chunk = None,
    score_memory: options.ScoreMemory = 512,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    recheck: options.Recheck = False,
) -> None:
    """Find settings that suit a model and its scorer, and confirm what they gain.

    \b
    Examples:
      tts tune --backbone var-digits --budget 5m
      tts tune --backbone var-d16 --scorer scorer/scorer.safetensors --reference ref.npz --budget 8h
    """
    loading(backbone)
    from tts.evaluation.tune.config import TuneConfig
    from tts.evaluation.tune.run import run_tune
    from tts.sample_config import SampleConfig

    given = {key: value for key, value in locals().items() if key in SampleConfig.__dataclass_fields__}
    base = SampleConfig(**{**given, "weights": tuple(map(str, weights or ())), "out": None})
    own = {key: value for key, value in locals().items() if key in TuneConfig.__dataclass_fields__}
    config = TuneConfig(**{**own, "base": base, "out": None if out is None else str(out)})
    with progress_bar("tuning", "measurements") as progress:
        summary = run_tune(config, progress, lambda text: say(f"warning: {text}"))
    _report(summary, as_json)


def _report(summary: TuneSummary, as_json: bool) -> None:
    """Remarks on stderr, then what was compared and the verdict, or JSON."""
    for remark in summary.remarks:
        say_note(remark, False)
    if as_json:
        keys = ("baseline", "winner", "recommended", "confirmation", "halves", "budget", "features_title")
        print_json({"out": str(summary.out), **{key: summary.record[key] for key in keys}})
        return
    table = summary.summary.comparison()
    print_table(table.header, table.rows, table.caption)
    echo(summary.summary.verdict)
    echo(f"settings in {summary.out / 'settings.json'} ({summary.summary.finding.recommended.label})")
