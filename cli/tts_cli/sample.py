"""``tts sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tts_cli import options
from tts_cli.completion import words
from tts_cli.output import echo, print_json, state
from tts_cli.progress import loading, run_log, say_note
from tts_cli.settings import settings_of

if TYPE_CHECKING:
    from tts.sample_config import SampleConfig
    from tts.sample_run import SampleSummary


def sample(
    context: typer.Context,
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
    candidates_of: options.CandidatesOf = None,
    start_scale: options.StartScale = None,
    end_scale: options.EndScale = None,
    top_k_select: options.TopKSelect = 8,
    temperature: options.Temperature = 1.0,
    labels: Annotated[str | None, typer.Option(help="Class labels, like 0-9,12. Default: 0-9.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds for each label. Default: 0-4.")] = None,
    per_class: Annotated[
        int | None, typer.Option(help="So many images a label, all with different seeds.")
    ] = None,
    cfg: options.Cfg = None,
    guidance: options.Guidance = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    sample_all_scales: options.SampleAllScales = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder. Default: tts-work/BACKBONE/samples/SETTINGS.")
    ] = None,
    formats: Annotated[
        str,
        typer.Option("--format", help="png, npz, or png,npz.", autocompletion=words("png", "npz", "png,npz")),
    ] = "png",
    save_tokens: Annotated[bool, typer.Option("--save-tokens", help="Write tokens.safetensors.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Write all candidates' scores.")] = False,
    from_tokens: Annotated[Path | None, typer.Option(help="Start from saved token maps.")] = None,
    from_scale: Annotated[
        int | None, typer.Option(help="With --from-tokens: the first scale to generate anew, from 1.")
    ] = None,
    randomize_scale: Annotated[
        int | None, typer.Option(help="Replace this scale's map by random tokens (figure 1).")
    ] = None,
    uint8: options.Uint8 = None,
    sampler: options.Sampler = "exact",
    compile_parts: options.Compile = None,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    chunk: options.Chunk = None,
    score_memory: options.ScoreMemory = 512,
    overwrite: options.Overwrite = False,
    extend: options.Extend = False,
    shard: options.Share = None,
    shard_items: options.ShardItems = None,
    log_json: options.LogJson = False,
    as_json: options.Json = False,
    recheck: options.Recheck = False,
) -> None:
    """Generate images, choosing among candidate token maps at each scale (LSRS, Algorithm 1).

    \b
    Examples:
      tts sample
      tts sample --labels 0-9 --seeds 0-4 --candidates 32 --selector softmax --out digits
    """
    loading(str(settings or backbone), log_json)
    from tts.engine.launch import Launch
    from tts.sample_run import run_sample

    config = _config(context, locals())
    with run_log("sampling", log_json) as log:
        summary = run_sample(config, log.report, log.warn)
    if Launch.from_environment().main:
        for remark in summary.remarks:
            say_note(remark, log_json)
        _show(summary, as_json)


def _config(context: typer.Context, given: dict[str, Any]) -> SampleConfig:
    """The configuration of the options, and of the settings file for those that are not given."""
    from tts.sample_config import SampleConfig

    fields = {key: value for key, value in given.items() if key in SampleConfig.__dataclass_fields__}
    texts = {key: str(given[key]) for key in ("out", "from_tokens") if given[key] is not None}
    files = tuple(str(weight) for weight in given["weights"] or ())
    parts = tuple(part.strip() for part in given["formats"].split(","))
    unsaid = settings_of(context, given["settings"])
    return SampleConfig(**{**fields, **texts, "weights": files, "formats": parts, **unsaid})


def _show(summary: SampleSummary, as_json: bool) -> None:
    """Print what was made."""
    from tts.outputs import GRID

    speed, outcome = summary.images_per_second, summary.outcome
    if as_json:
        shards = {"shards_done": outcome.shards_done, "shards": outcome.shards, "finished": outcome.finished}
        made = {"images": summary.images, "made": outcome.made, "images_per_second": speed}
        print_json({"out": str(summary.out), "scorer": summary.scorer, **made, **shards})
        return
    many = summary.whole_images > 1
    counts = f"{'up to ' * summary.mixed}{','.join(map(str, summary.candidates))}"
    m = f"best of {summary.whole_images}" if many else f"candidates {counts}"
    pace = "" if speed is None else f", {speed:.1f} images/s"
    judge = "" if summary.scorer is None else f", scorer {summary.scorer}"
    picture = f"; the first of them: {summary.out / GRID}" if outcome.finished else ""
    echo(f"{state(outcome, summary.images)} in {summary.out} ({m}{judge}{pace}){picture}")
