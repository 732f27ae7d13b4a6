"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli.completion import REFERENCES, guidance, names, words
from tts_cli.output import only_json

Backbone = Annotated[
    str,
    typer.Option(
        help="Name of `tts list`, or a folder of `tts convert`.",
        autocompletion=names("backbones", files=True),
    ),
]
Weights = Annotated[
    list[Path] | None,
    typer.Option(help="Local file, index or folder of weights; give it twice where they lie apart."),
]
Part = Annotated[
    str | None, typer.Option(help="Weights to take of a file that holds several, like ema or model.")
]
Schedule = Annotated[
    str | None,
    typer.Option(help="Sides of the scales, like 1,2,3,4, or a name; where the backbone leaves it free."),
]
Guidance = Annotated[
    str | None,
    typer.Option(help="Guidance form of `tts list`. Default: the backbone's first.", autocompletion=guidance),
]
SampleAllScales = Annotated[
    bool,
    typer.Option("--sample-all-scales", help="Draw also at scales that the publishers decode greedily."),
]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", autocompletion=words("auto", "cpu", "cuda", "mps")),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="float32, bfloat16 or float16. With candidates bfloat16 changes 74 % of images and more, float16"
        " 21 %: near ties have another winner. Most CPUs are slower with them.",
        autocompletion=words("float32", "bfloat16", "float16"),
    ),
]
Settings = Annotated[
    Path | None, typer.Option(help="File of settings, as of `tts tune`; options given here win.")
]
Strategy = Annotated[
    str,
    typer.Option(
        help="Name[:argument] of `tts list`: lsrs, best-of-n, beam, particles, or a plugin's.",
        autocompletion=names("strategies"),
    ),
]
ImageScorer = Annotated[
    str,
    typer.Option(
        help="With best-of-n: name[:argument] of `tts list`; auto is digits for digits.",
        autocompletion=names("image_scorers", "auto"),
    ),
]
Scorer = Annotated[
    str,
    typer.Option(
        help="Name[:argument], a checkpoint file, none, or auto for the backbone's own.",
        autocompletion=names("scorers", "auto", "none", files=True),
    ),
]
Selector = Annotated[
    str, typer.Option(help="Name[:argument] of `tts list`.", autocompletion=names("selectors"))
]
Candidates = Annotated[
    str, typer.Option(help="M, or m_1,...,m_K with one number a scale; or N whole images.")
]
CandidatesOf = Annotated[
    str | None, typer.Option(help="Other M, or m_1,...,m_K, for some labels, like '0-4=8;5-9=32'.")
]
StartScale = Annotated[int | None, typer.Option(help="First scale with M candidates, from 1. Default: 2.")]
EndScale = Annotated[int | None, typer.Option(help="Last one. Default: the last scale.")]
TopKSelect = Annotated[int, typer.Option(help="k of the topk selector.")]
Temperature = Annotated[float, typer.Option(help="T of the topk and softmax selectors.")]
Uint8 = Annotated[
    str | None,
    typer.Option(
        help="truncate or round. Default: the family's rule.", autocompletion=words("truncate", "round")
    ),
]
Sampler = Annotated[
    str,
    typer.Option(
        help="exact, or fast: the same distribution and scores but for rounding.",
        autocompletion=words("exact", "fast"),
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the fast sampler's parts; CUDA graphs on a GPU. Default: on a GPU with Triton.",
    ),
]
Chunk = Annotated[int | None, typer.Option(help="Candidates of an image scored at once.")]
ScoreMemory = Annotated[int, typer.Option(help="MiB for scoring, where --chunk is not given.")]
Cfg = Annotated[
    float | None,
    typer.Option(help="Guidance strength: 0 is off, 1 in form llamagen. Default: the backbone's."),
]
TopK = Annotated[int | None, typer.Option(help="Codes kept by top-k; 0 is off. Default: the backbone's.")]
TopP = Annotated[float | None, typer.Option(help="Mass kept by top-p; 0 is off. Default: the backbone's.")]
BatchSize = Annotated[int | None, typer.Option(help="Images at once; changes speed, not results.")]
ApplyOrientation = Annotated[
    bool,
    typer.Option("--apply-orientation", help="Turn image files upright by EXIF; published tools do not."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what --out already holds.")]
Json = Annotated[bool, typer.Option("--json", callback=only_json, help="Print JSON.")]


def _recheck(context: typer.Context, value: bool) -> None:
    """Check files in full until the command ends."""
    if value:
        from tts.cache import rechecking

        context.with_resource(rechecking())


Recheck = Annotated[
    bool,
    typer.Option(
        "--recheck",
        callback=_recheck,
        help="Read every file in full, even where size and times are those of the last check.",
    ),
]
Extend = Annotated[bool, typer.Option("--extend", help="Add the images that --out does not have yet.")]
Share = Annotated[
    str | None,
    typer.Option("--shard", help="i/n: make only the i-th of n shares, as a task of a job array."),
]
ShardItems = Annotated[
    int | None, typer.Option(help="Images of a shard, the most a killed process loses. Default: 512.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log progress and warnings as JSON lines.")]
Features = Annotated[
    str,
    typer.Option(
        help="Name[:argument] of `tts list`; auto is digits for digits, else inception.",
        autocompletion=names("features", "auto"),
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        help="heldout, train or all real digits; or an npz such as ADM's, or a folder.",
        autocompletion=REFERENCES,
    ),
]
