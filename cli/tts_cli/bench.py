"""``tts bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tts_cli import options
from tts_cli.output import print_json, print_table
from tts_cli.progress import progress_bar, say_note

if TYPE_CHECKING:
    from tts.bench.run import BenchSummary


def bench(
    backbone: options.Backbone = "var-digits",
    candidates: Annotated[str, typer.Option(help="Numbers M to measure, like 1,4,32.")] = "1,4,32,128,1024",
    batch: Annotated[str, typer.Option(help="Images of a batch, like 1,8,24, or auto for the best.")] = "1",
    rounds: Annotated[int, typer.Option(help="Measurements of each, in random order.")] = 5,
    weights: options.Weights = None,
    schedule: options.Schedule = None,
    guidance: options.Guidance = None,
    scorer: options.Scorer = "auto",
    selector: options.Selector = "greedy",
    start_scale: options.StartScale = None,
    end_scale: options.EndScale = None,
    cfg: options.Cfg = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sampler: options.Sampler = "exact",
    compile_parts: options.Compile = None,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    chunk: options.Chunk = None,
    score_memory: options.ScoreMemory = 512,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and the plot.")] = None,
    as_json: options.Json = False,
) -> None:
    """Measure what candidates cost, in time, memory and operations; without weights, with random ones.

    \b
    Examples:
      tts bench --candidates 1,8,64
      tts bench --backbone var-d30 --batch 1,24 --dtype float16 --sampler fast --device cuda --out bench
    """
    from tts.bench.config import BenchConfig
    from tts.bench.run import run_bench
    from tts.sample_config import SampleConfig

    given = {key: value for key, value in locals().items() if key in SampleConfig.__dataclass_fields__}
    files = tuple(map(str, weights or ()))
    base = SampleConfig(**{**given, "weights": files, "candidates": "1", "out": None})
    config = BenchConfig(base, candidates, batch, rounds, None if out is None else str(out))
    with progress_bar("measuring", "rounds") as progress:
        summary = run_bench(config, progress)
    _show(summary, as_json)


HEADER = (
    *("batch", "M", "s a batch", "images/s", "+ ms", "+ %", "+ % without decoder"),
    *("ms a 1000 candidates", "peak GiB", "kernels"),
)


def _show(summary: BenchSummary, as_json: bool) -> None:
    """Remarks on stderr, then the table or JSON."""
    for remark in summary.remarks:
        say_note(remark, False)
    if as_json:
        print_json(summary.record)
        return
    print_table(HEADER, [_row(point) for point in summary.record["points"]])
    noise = summary.record["points"][0]["noise_percent"]
    print(f"noise: M = 1 against itself {noise['low']:+.1f} to {noise['high']:+.1f} %")
    print("kernels, and the peak where no GPU tells it, are counted for eager PyTorch on a GPU")


def _row(point: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    counted, overhead = point["counted"] or {}, point["overhead"]
    peak = point["peak_bytes"] or counted.get("peak")
    thousand = point["milliseconds_a_thousand_candidates"]
    return (
        str(point["batch"]),
        str(point["candidates"]),
        f"{point['seconds']['median']:.4g}",
        f"{point['images_per_second']:.4g}",
        f"{overhead['milliseconds']['median']:.1f}",
        f"{overhead['percent']['median']:.1f}",
        f"{point['overhead_without_decoder']['percent']['median']:.1f}",
        "-" if thousand is None else f"{thousand:.2f}",
        "-" if peak is None else f"{peak / 2**30:.2f}",
        str(counted.get("kernels", "-")),
    )
