"""``tts eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.eval_table import show_evaluation
from tts_cli.output import print_json
from tts_cli.progress import progress_bar, say


def evaluate(
    samples: Annotated[
        list[Path],
        typer.Argument(help="Folders of `tts sample`, npz files or image folders; the first is the base."),
    ],
    reference: Annotated[
        str, typer.Option(help="heldout, train or all real digits; or an npz such as ADM's, or a folder.")
    ] = "heldout",
    features: Annotated[
        str, typer.Option(help="Name[:argument] of `tts list`; auto is digits for digits, else inception.")
    ] = "auto",
    parts: Annotated[bool, typer.Option("--parts", help="Show the parts of the Frechet distance.")] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples for 95% intervals of all figures; 0 is none.")
    ] = 0,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Add distance and score at infinitely many images.")
    ] = False,
    neighbours: Annotated[int, typer.Option(min=1, help="k of precision and recall.")] = 3,
    adm_half: Annotated[
        bool, typer.Option("--adm-half", help="Distances in half precision, as the ADM evaluator.")
    ] = False,
    no_manifold: Annotated[
        bool, typer.Option("--no-manifold", help="Leave out precision and recall, the slowest.")
    ] = False,
    split: Annotated[int, typer.Option(min=2, help="Images of a part of the Inception Score.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --bootstrap and --extrapolate.")] = 0,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also store the JSON in this file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Compare sets of images with real ones by the ADM protocol: FID, sFID, IS, precision, recall.

    \b
    Examples:
      tts eval samples/baseline samples/greedy
      tts eval samples/var-d16 packed.npz --reference VIRTUAL_imagenet256_labeled.npz --json
    """
    from tts.engine.launch import Launch
    from tts.evaluation.eval_run import EvalConfig, check_out, run_eval
    from tts.evaluation.figures import MetricOptions
    from tts.io import write_json
    from tts.packing import no_bar

    metrics = MetricOptions(
        neighbours, adm_half, split, bootstrap, extrapolate=extrapolate, seed=seed, manifold=not no_manifold
    )
    check_out(out)
    launch = Launch.from_environment()
    config = EvalConfig(tuple(samples), reference, features, metrics, batch_size, device)
    bar = progress_bar if launch.main else no_bar
    found = run_eval(config, launch, lambda text: say(f"warning: {text}"), bar)
    if found is None:
        return
    if out is not None:
        write_json(out, found.to_json())
    if as_json:
        print_json(found.to_json())
    else:
        show_evaluation(found, parts)
