"""``tts bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts_cli import options
from tts_cli.output import echo, print_json, print_table
from tts_cli.progress import loading, progress_bar, say_note

if TYPE_CHECKING:
    from tts.bench.report import BenchReport


def bench(
    backbone: options.Backbone = "var-digits",
    weights: options.Weights = None,
    part: options.Part = None,
    schedule: options.Schedule = None,
    guidance: options.Guidance = None,
    scorer: options.Scorer = "auto",
    selector: options.Selector = "greedy",
    candidates: Annotated[str, typer.Option(help="Numbers M; 1 is always among them.")] = "1,4,32,128",
    batch: Annotated[
        str, typer.Option(help="Images at once, like 1,8; auto doubles them while that is faster.")
    ] = "auto",
    rounds: Annotated[int, typer.Option(help="Times that each is measured, in random order.")] = 15,
    decode: Annotated[bool, typer.Option("--decode/--no-decode", help="Time the image decoder, too.")] = True,
    start_scale: options.StartScale = None,
    end_scale: options.EndScale = None,
    top_k_select: options.TopKSelect = 8,
    temperature: options.Temperature = 1.0,
    cfg: options.Cfg = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sample_all_scales: options.SampleAllScales = False,
    sampler: options.Sampler = "exact",
    compile_parts: options.Compile = None,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    chunk: options.Chunk = None,
    score_memory: options.ScoreMemory = 512,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and a plot.")] = None,
    overwrite: options.Overwrite = False,
    every: Annotated[
        bool, typer.Option("--all", help="Show all columns, with counts of operations.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Measure what selection costs: time, memory and operations; random weights where there are none.

    \b
    Examples:
      tts bench
      tts bench --backbone var-d16 --candidates 1,4,32 --dtype bfloat16 --sampler fast --out bench
    """
    loading(backbone)
    from tts.bench.config import BenchConfig
    from tts.bench.run import run_bench
    from tts.sample_config import SampleConfig

    given = {key: value for key, value in locals().items() if key in SampleConfig.__dataclass_fields__}
    sample = SampleConfig(**{**given, "weights": tuple(map(str, weights or ())), "out": None})
    folder = None if out is None else str(out)
    config = BenchConfig(sample, candidates, batch, rounds, decode, folder, overwrite)
    with progress_bar("timing", "batches") as progress:
        report = run_bench(config, progress, lambda text: say_note(text, False))
    _show(report, every, as_json)


def _show(report: BenchReport, every: bool, as_json: bool) -> None:
    """Print the table with what belongs to it, or all of it as JSON."""
    from tts.bench.table import columns, footer, legend

    if as_json:
        print_json(report.record())
        return
    print_table(*columns(report, every), legend(every))
    for line in footer(report):
        echo(line)
