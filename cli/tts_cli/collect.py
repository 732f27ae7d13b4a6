"""``tts collect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts.workspace import DEFAULT_BACKBONE
from tts_cli import options
from tts_cli.completion import names, words
from tts_cli.output import echo, state
from tts_cli.progress import loading, run_log, say_note

if TYPE_CHECKING:
    from tts.data.collect_config import CollectConfig


def collect(
    backbone: options.Backbone = DEFAULT_BACKBONE,
    weights: options.Weights = None,
    part: options.Part = None,
    schedule: options.Schedule = None,
    real: Annotated[
        str | None,
        typer.Option(
            help="Encode real images: a folder with one sub-folder a class, or digits.",
            autocompletion=names("", "digits", files=True),
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(help="Images of each class. Default: 1000 (digits: 500); all of an image folder."),
    ] = None,
    cfg: options.Cfg = None,
    guidance: options.Guidance = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sample_all_scales: options.SampleAllScales = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set. Default: tts-work/BACKBONE/generated, or real."),
    ] = None,
    crop: Annotated[
        str,
        typer.Option(help="Crop of real images: center or random.", autocompletion=words("center", "random")),
    ] = "center",
    seed: Annotated[int, typer.Option(help="Seed of random crops.")] = 0,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that decode an image folder. Default: by cores and images.")
    ] = None,
    max_unreadable: Annotated[
        float, typer.Option(help="Share of unreadable images, skipped and named, that ends the run.")
    ] = 0.01,
    apply_orientation: options.ApplyOrientation = False,
    overwrite: options.Overwrite = False,
    extend: options.Extend = False,
    shard: options.Share = None,
    shard_items: options.ShardItems = None,
    log_json: options.LogJson = False,
    recheck: options.Recheck = False,
) -> None:
    """Collect a scorer's training data: generated images, or real ones with --real; both for embedded models.

    \b
    Examples:
      tts collect --backbone var-digits
      tts collect --backbone var-d30 --real imagenet/train
    """
    loading(backbone, log_json)
    from tts.data.collect_config import CollectConfig
    from tts.data.collect_run import sides

    given = {key: value for key, value in locals().items() if key in CollectConfig.__dataclass_fields__}
    files = tuple(str(weight) for weight in weights or ())
    config = CollectConfig(**{**given, "out": None if out is None else str(out), "weights": files})
    for side in sides(config):
        collect_side(side, log_json)


def collect_side(config: CollectConfig, log_json: bool = False) -> None:
    """Collect one side and say what came of it."""
    from tts.data.collect_run import run_collect
    from tts.engine.launch import Launch

    with run_log(f"collecting {'generated' if config.real is None else 'real'}", log_json) as log:
        summary = run_collect(config, log.report, log.warn)
    if Launch.from_environment().main:
        for remark in summary.remarks:
            say_note(remark, log_json)
        echo(f"{state(summary.outcome, summary.items, ' collected')} in {summary.out}")
        if summary.labels:
            echo(summary.labels)
