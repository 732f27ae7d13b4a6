"""``tts train-scorer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts_cli import options
from tts_cli.collect import collect_side
from tts_cli.completion import names, words
from tts_cli.output import echo, print_json, print_table
from tts_cli.progress import loading, progress_bar, say

if TYPE_CHECKING:
    from tts.scorers.train_config import TrainConfig
    from tts.scorers.train_files import TrainSummary

LEGEND = "On held-out pairs. ACCURACY: share of pairs whose real map scores higher; 0.5 is chance."


def train_scorer(
    real: Annotated[
        Path | None, typer.Option(help="Data set of `tts collect --real`. Default: tts-work/BACKBONE/real.")
    ] = None,
    generated: Annotated[
        Path | None, typer.Option(help="Data set of `tts collect`. Default: tts-work/BACKBONE/generated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the scorer. Default: tts-work/BACKBONE/scorer.")
    ] = None,
    loss: Annotated[
        str, typer.Option(help="Name of `tts list`.", autocompletion=names("losses"))
    ] = "pairwise",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Default: that of the data, or var-digits.", autocompletion=names("backbones", files=True)
        ),
    ] = None,
    weights: options.Weights = None,
    part: options.Part = None,
    scales: Annotated[
        str | None, typer.Option(help="Scales trained on, from 1: 2- leaves the first out. Default: all.")
    ] = None,
    condition: Annotated[
        str,
        typer.Option(
            help="scale, or side: then one scorer serves every schedule of its sides.",
            autocompletion=words("scale", "side"),
        ),
    ] = "scale",
    epochs: Annotated[int, typer.Option(help="The first one warms up.")] = 4,
    batch: Annotated[int, typer.Option(help="Pairs a step, over all processes of torchrun.")] = 128,
    learning_rate: Annotated[float, typer.Option("--lr", help="Adam's learning rate.")] = 3e-4,
    epoch_pairs: Annotated[
        int | None, typer.Option(help="Pairs an epoch. Default: 1 % of all same-class pairs.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of each side kept for validation.")] = 0.1,
    ema: Annotated[float, typer.Option(help="Decay of the weights' moving average; 0 is off.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of split, pairs and weights.")] = 0,
    accumulate: Annotated[
        int, typer.Option(help="Parts of a batch that go through the network one by one, for less memory.")
    ] = 1,
    precision: Annotated[
        str,
        typer.Option(
            help="float32, bfloat16 or, on a GPU, float16.",
            autocompletion=words("float32", "bfloat16", "float16"),
        ),
    ] = "float32",
    keep: Annotated[
        str,
        typer.Option(
            help="Network kept: best (held-out loss of an epoch) or last.",
            autocompletion=words("best", "last"),
        ),
    ] = "best",
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without a lower held-out loss. Default: off."),
    ] = None,
    checkpoint_steps: Annotated[
        int, typer.Option(help="Steps between two checkpoints; each epoch ends with one.")
    ] = 1000,
    device: options.Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    recheck: options.Recheck = False,
) -> None:
    """Train a scorer on same-class pairs of real and generated token maps (equations 4 and 5).

    \b
    Examples:
      tts train-scorer --loss pairwise
      tts train-scorer --real data/real --generated data/generated --loss pointwise --scales 2- --out scorer
    """
    loading("training data")
    from tts.engine.launch import Launch
    from tts.scorers.train_config import TrainConfig
    from tts.scorers.train_run import run_train

    given = {key: value for key, value in locals().items() if key in TrainConfig.__dataclass_fields__}
    texts = {"real": str(real or ""), "generated": str(generated or ""), "out": str(out or "")}
    config = TrainConfig(**{**given, **texts, "weights": tuple(str(weight) for weight in weights or ())})
    _prepare(config)
    if not Launch.from_environment().main:
        run_train(config)
        return
    with progress_bar("training", "steps") as progress:
        summary = run_train(config, progress)
    if summary is not None:
        _report(summary, as_json)


def _prepare(config: TrainConfig) -> None:
    """Collect what the work folder lacks, if real images are at hand, and say which data are taken."""
    from tts.engine.launch import Launch, agree
    from tts.scorers.located import located, missing_data
    from tts.workspace import DEFAULT_BACKBONE, others_with_data

    launch = Launch.from_environment()
    missing = agree(launch, lambda: missing_data(config))
    if missing and launch.main:
        commands = (f"tts collect --backbone {side.backbone}" for side in missing)
        texts = (
            c + f" --real {side.real}" * bool(side.real) for c, side in zip(commands, missing, strict=True)
        )
        say(f"note: no data yet, so first what these do: {'; '.join(texts)}")
    for side in missing:
        collect_side(side)
    if launch.main and not (config.real and config.generated):
        found = located(config)
        others = [] if config.backbone else others_with_data(DEFAULT_BACKBONE)
        more = f"; --backbone {' or '.join(others)} takes other data" if others else ""
        say(f"note: training on {found.generated} and {found.real}{more}")


def _report(summary: TrainSummary, as_json: bool) -> None:
    if summary.finished_before:
        say("note: the training is finished, nothing is left to do; pass --overwrite to train anew")
    elif not summary.pictures:
        say("note: no pictures without matplotlib; install scalewise-tts[demo]")
    for text in summary.warnings:
        say(f"warning: {text}")
    rows = list(zip(summary.scales, summary.loss, summary.accuracy, strict=True))
    if as_json:
        scorer = {"scorer": str(summary.scorer), "epoch": summary.epoch}
        held = [list(row) for row in rows]
        print_json({**scorer, "held_out": held, "warnings": list(summary.warnings)})
        return
    table = [(str(k), f"{a:.4f}", f"{b:.3f}") for k, a, b in rows]
    print_table(("SCALE", "LOSS ↓", "ACCURACY ↑"), table, LEGEND)
    epoch = f"epoch {summary.epoch} of {summary.epochs}"
    echo(f"scorer in {summary.scorer} ({epoch}, {summary.seconds:.0f} s)")
