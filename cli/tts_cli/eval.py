"""``tts eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts.workspace import finished_samples
from tts_cli import completion, options
from tts_cli.eval_table import show_evaluation
from tts_cli.output import echo, print_json
from tts_cli.progress import loading, progress_bar, say

if TYPE_CHECKING:
    from tts.engine.launch import Launch
    from tts.evaluation.prepared import EvalConfig


def evaluate(
    samples: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of `tts sample`, npz files or image folders; the first is the base."
            " Default: the runs in tts-work."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="heldout, train or all real digits; or an npz such as ADM's, or a folder. Default: heldout.",
            autocompletion=completion.REFERENCES,
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="Name[:argument] of `tts list`; auto is digits where a set is, else inception.",
            autocompletion=completion.names("features", "auto"),
        ),
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
    resize: Annotated[
        str | None,
        typer.Option(help="SIZE[:RULE]: make images of other sizes alike, by adm, bicubic, lanczos or box."),
    ] = None,
    apply_orientation: options.ApplyOrientation = False,
    write_reference: Annotated[
        Path | None,
        typer.Option(help="Store statistics of the images here, in ADM's format, and compare nothing."),
    ] = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also store the JSON in this file.")] = None,
    as_json: options.Json = False,
    recheck: options.Recheck = False,
) -> None:
    """Compare sets of images with real ones by the ADM protocol: FID, sFID, IS, precision, recall.

    \b
    Examples:
      tts eval
      tts eval samples/var-d16 packed.npz --reference VIRTUAL_imagenet256_labeled.npz --json
    """
    loading("features and images")
    from tts.engine.launch import Launch
    from tts.errors import UsageError
    from tts.evaluation.eval_run import run_eval
    from tts.evaluation.figures import MetricOptions
    from tts.evaluation.prepared import DEFAULT_REFERENCE, EvalConfig, check_out
    from tts.evaluation.resizing import Resize
    from tts.io import write_json
    from tts.packing import no_bar

    metrics = MetricOptions(
        neighbours, adm_half, split, bootstrap, extrapolate=extrapolate, seed=seed, manifold=not no_manifold
    )
    launch = Launch.from_environment()
    wanted = Resize.parse(resize) if resize is not None else None
    chosen = (features, metrics, batch_size, device, wanted, apply_orientation)
    compared = DEFAULT_REFERENCE if reference is None else reference
    config = EvalConfig(tuple(samples or finished_samples()), compared, *chosen)
    check_out(out, config)
    bar = progress_bar if launch.main else no_bar
    if write_reference is not None:
        if reference is not None or out is not None:
            raise UsageError("--write-reference compares nothing; leave out --reference and --out")
        _write(config, write_reference, launch, as_json)
        return
    found = run_eval(config, launch, lambda text: say(f"warning: {text}"), bar)
    if found is None:
        return
    if out is not None:
        write_json(out, found.to_json())
    if as_json:
        print_json(found.to_json())
    else:
        show_evaluation(found, parts)
        for note in (*found.notes, *(f"{run.run}: {note}" for run in found.runs for note in run.notes)):
            echo(note)


def _write(config: EvalConfig, path: Path, launch: Launch, as_json: bool) -> None:
    """Write a reference and say so."""
    from tts.evaluation.written_reference import run_write_reference
    from tts.packing import no_bar

    bar = progress_bar if launch.main else no_bar
    made = run_write_reference(config, path, launch, lambda text: say(f"warning: {text}"), bar)
    if made is not None and as_json:
        print_json(made.to_json())
    elif made is not None:
        echo(f"statistics of {made.images} images by {made.features} and {made.kept} images in {made.path}")
        for note in made.notes:
            echo(note)
