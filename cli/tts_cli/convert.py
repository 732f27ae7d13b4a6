"""``tts convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts.workspace import place_of
from tts_cli import options
from tts_cli.completion import words
from tts_cli.output import echo
from tts_cli.progress import loading


def convert(
    transformer: Annotated[Path, typer.Option(help="File, index or folder that holds the transformer.")],
    tokenizer: Annotated[Path, typer.Option(help="The same of the tokenizer; may be the same file.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for `--backbone`. Default: tts-work/NAME/model, found by --backbone NAME."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="Model family: var or flexvar. Default: as the weights say.",
            autocompletion=words("var", "flexvar"),
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="Sides of the scales, like 1,2,3,4 or a name, where the weights do not say."),
    ] = None,
    trained_side: Annotated[
        int | None,
        typer.Option(help="flexvar: largest side trained on, above which it is greedy. Default: 16."),
    ] = None,
    part: options.Part = None,
    name: Annotated[str | None, typer.Option(help="Name in records. Default: FAMILY-dDEPTH.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Convert published weights into a safetensors folder that `--backbone` accepts.

    \b
    Examples:
      tts convert --transformer var_d16.pth --tokenizer vae_ch160v4096z32.pth --out var-d16
      tts convert --family flexvar --transformer mine.pth --tokenizer FlexVAE.pth --schedule 8 --out mine
    """
    loading(str(transformer))
    from tts.backbones.convert import convert as convert_files

    config = convert_files(
        transformer, tokenizer, out, family, name, schedule, trained_side, part, echo, overwrite
    )
    folder = out or place_of(config.name).model
    net = config.transformer
    scales = ",".join(map(str, net.schedule))
    echo(
        f"{config.name} in {folder}: depth {net.depth}, width {net.width},"
        f" {net.classes} classes, scales {scales}"
    )
