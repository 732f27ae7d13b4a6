"""``tts train-scorer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.output import print_json, print_table
from tts_cli.progress import progress_bar, say


def train_scorer(
    real: Annotated[Path, typer.Option(help="Data set of `tts collect --real`.")],
    generated: Annotated[Path, typer.Option(help="Data set of `tts collect`.")],
    out: Annotated[Path, typer.Option(help="Folder of the scorer.")],
    loss: Annotated[str, typer.Option(help="Name of `tts list`.")] = "pairwise",
    backbone: Annotated[
        str | None, typer.Option(help="Default: the one that the data were collected with.")
    ] = None,
    weights: options.Weights = None,
    scales: Annotated[
        str | None, typer.Option(help="Scales trained on, from 1: 2- leaves the first out. Default: all.")
    ] = None,
    condition: Annotated[
        str, typer.Option(help="scale, or side: then one scorer serves every schedule of its sides.")
    ] = "scale",
    epochs: Annotated[int, typer.Option(help="The first one warms up.")] = 4,
    batch: Annotated[int, typer.Option(help="Pairs a step.")] = 128,
    learning_rate: Annotated[float, typer.Option("--lr", help="Adam's learning rate.")] = 3e-4,
    epoch_pairs: Annotated[
        int | None, typer.Option(help="Pairs an epoch. Default: 1 % of all same-class pairs.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of each side kept for validation.")] = 0.1,
    ema: Annotated[float, typer.Option(help="Decay of the weights' moving average; 0 is off.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of split, pairs and weights.")] = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Train a scorer on same-class pairs of real and generated token maps (equations 4 and 5).

    \b
    Examples:
      tts train-scorer --real data/real --generated data/generated --out scorer
      tts train-scorer --real data/real --generated data/generated --loss pointwise --scales 2- --out scorer
    """
    from tts.scorers.train_run import TrainConfig, run_train

    given = {key: value for key, value in locals().items() if key in TrainConfig.__dataclass_fields__}
    texts = {"real": str(real), "generated": str(generated), "out": str(out)}
    config = TrainConfig(**{**given, **texts, "weights": tuple(str(weight) for weight in weights or ())})
    with progress_bar("training", "steps") as progress:
        summary = run_train(config, progress)
    if not summary.pictures:
        say("note: no pictures without matplotlib; install scalewise-tts[demo]")
    rows = list(zip(summary.scales, summary.loss, summary.accuracy, strict=True))
    if as_json:
        print_json({"scorer": str(summary.scorer), "held_out": [list(row) for row in rows]})
        return
    print_table(("SCALE", "LOSS", "ACCURACY"), [(str(k), f"{a:.4f}", f"{b:.3f}") for k, a, b in rows])
    print(f"scorer in {summary.scorer} ({summary.seconds:.0f} s)")
