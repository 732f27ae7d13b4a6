"""``tts sweep``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tts_cli import options
from tts_cli.output import echo, print_json, print_table
from tts_cli.progress import loading, run_log, say_note
from tts_cli.settings import settings_of

if TYPE_CHECKING:
    from tts.evaluation.sweep.config import SweepConfig
    from tts.evaluation.sweep.run import SweepSummary


def sweep(
    context: typer.Context,
    axes: Annotated[
        list[str] | None, typer.Argument(metavar="AXIS=V,V", help="Further axes of a single --grid.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder; what it has of this sweep is kept. Default: tts-work/BACKBONE/sweep."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=V,V",
            help="All combinations of its axes; several quoted grids are united. Values that hold commas are"
            " separated by ; instead.",
        ),
    ] = None,
    images: Annotated[int, typer.Option(help="Images of a point and seed set, by classes in turn.")] = 1000,
    seeds: Annotated[str, typer.Option(help="Seed sets: 3 is 0, 1 and 2; or like 10-14 or 0,3.")] = "3",
    features: options.Features = "auto",
    reference: options.Reference = "heldout",
    against: Annotated[
        str | None,
        typer.Option(help="Compare with another sweep's folder, or with a point of this one by its id."),
    ] = None,
    time: Annotated[
        int | None,
        typer.Option(
            metavar="ROUNDS",
            help="Time all points of the folder in so many interleaved rounds, in this process; let nothing"
            " else compute.",
        ),
    ] = None,
    time_images: Annotated[int, typer.Option(help="Images of a point and round of --time.")] = 250,
    backbone: options.Backbone = "var-digits",
    weights: options.Weights = None,
    part: options.Part = None,
    schedule: options.Schedule = None,
    settings: options.Settings = None,
    strategy: options.Strategy = "lsrs",
    scorer: options.Scorer = "auto",
    image_scorer: options.ImageScorer = "auto",
    selector: options.Selector = "greedy",
    candidates: options.Candidates = "8",
    start_scale: options.StartScale = None,
    end_scale: options.EndScale = None,
    top_k_select: options.TopKSelect = 8,
    temperature: options.Temperature = 1.0,
    cfg: options.Cfg = None,
    guidance: options.Guidance = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sample_all_scales: options.SampleAllScales = False,
    uint8: options.Uint8 = None,
    no_manifold: Annotated[
        bool, typer.Option("--no-manifold", help="Leave out precision and recall, the slowest.")
    ] = False,
    keep_images: Annotated[
        bool, typer.Option("--keep-images", help="Keep each set's images in an npz of its point.")
    ] = False,
    sampler: options.Sampler = "exact",
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. Default: torch's; the cores' share under torchrun.")
    ] = None,
    batch_size: options.BatchSize = None,
    chunk: options.Chunk = None,
    score_memory: options.ScoreMemory = 512,
    log_json: options.LogJson = False,
    as_json: options.Json = False,
    recheck: options.Recheck = False,
) -> None:
    """Measure many settings with the same noise: grids of options, resumable, by any number of processes.

    \b
    Examples:
      tts sweep --grid candidates=1,2,4,8 selector=greedy,softmax --images 1000 --seeds 3 --out sweep
      tts sweep --grid "candidates=32 start_scale=1,2,3" --grid "strategy=best-of-n candidates=2,4" --out st
    """
    loading(str(settings or backbone), log_json)
    from tts.evaluation.sweep.run import run_sweep

    config = _config(context, locals())
    what = ("sweeping", "sets") if time is None else ("timing", "rounds")
    with run_log(what[0], log_json, what[1]) as log:
        summary = run_sweep(config, log.report, log.warn)
    _report(summary, time is not None, log_json, as_json)


def _config(context: typer.Context, given: dict[str, Any]) -> SweepConfig:
    """The configuration of the options, and of the settings file for those that are not given."""
    from tts.evaluation.figures import MetricOptions
    from tts.evaluation.sweep.config import BASE, SweepConfig
    from tts.sample_config import SampleConfig

    fields = {name: given[name] for name in BASE if name in given}
    files = {"weights": tuple(map(str, given["weights"] or ()))}
    found = {name: value for name, value in settings_of(context, given["settings"]).items() if name in BASE}
    own = {name: value for name, value in given.items() if name in SweepConfig.__dataclass_fields__}
    texts = {
        "out": None if given["out"] is None else str(given["out"]),
        "grids": tuple(given["grid"] or ()),
        "further": tuple(given["axes"] or ()),
    }
    metrics = MetricOptions(manifold=not given["no_manifold"])
    base = SampleConfig(**{**fields, **files, **found})
    return SweepConfig(**{**own, **texts, "base": base, "metrics": metrics})


def _report(summary: SweepSummary, timed: bool, log_json: bool, as_json: bool) -> None:
    """Remarks on stderr, then the table of all points or of their times, or JSON."""
    from tts.engine.launch import Launch
    from tts.evaluation.sweep.against_table import comparison_table
    from tts.evaluation.sweep.overview import overview, timings

    if not Launch.from_environment().main:
        return
    for remark in summary.remarks:
        say_note(remark, log_json)
    tables = [timings(summary.results) if timed else overview(summary.results)]
    if summary.comparison is not None:
        tables.append(comparison_table(summary.comparison))
    if as_json:
        print_json(_json(summary))
        return
    for table in tables:
        print_table(table.header, table.rows, table.caption)
    echo(f"{len(summary.results.points)} points in {summary.results.folder}")


def _json(summary: SweepSummary) -> dict[str, object]:
    """The results, as in results.json, with the times and the comparison."""
    from tts.evaluation.sweep.reading import RESULTS
    from tts.records import read_record

    folder = summary.results.folder
    comparison = None if summary.comparison is None else asdict(summary.comparison)
    asked = {"points": summary.points, "seed_sets": summary.seed_sets, "made": summary.made}
    timing = None if summary.results.timing is None else asdict(summary.results.timing)
    results = read_record(folder / RESULTS, dict[str, Any], "file of results", "sweep again", own=True)
    return {"out": str(folder), **asked, "results": results, "timing": timing, "against": comparison}
