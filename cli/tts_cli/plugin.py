"""``tts plugin``: start a plugin of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.group import Group
from tts_cli.output import echo, print_json

plugin = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None)


@plugin.callback()
def _plugin() -> None:
    """Start a plugin of your own; `tts plugins` shows those that are installed.

    \b
    Examples:
      tts plugin new tts-score-smooth --kind scorer
      tts plugin new tts-select-second --kind selector --out ~/code
    """


@plugin.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the distribution, like tts-score-smooth.")],
    kind: Annotated[
        str,
        typer.Option(help="selector, scorer, image-scorer, strategy, loss, features or backbone."),
    ],
    out: Annotated[Path, typer.Option(help="Folder in which the package's folder is made.")] = Path("."),
    author: Annotated[str | None, typer.Option(help="'Name' or 'Name <address>', for the metadata.")] = None,
    license_name: Annotated[
        str, typer.Option("--license", help="MIT, or none: a reminder to choose one.")
    ] = "MIT",
    as_json: options.Json = False,
) -> None:
    """Write a package that works: a part of the kind, its tests and all that publishing needs.

    \b
    Examples:
      tts plugin new tts-score-smooth --kind scorer
      tts plugin new tts-backbone-mosaic --kind backbone --author "Ada Lee <ada@lee.org>" --json
    """
    from tts.manager import get_plugins
    from tts.plugin_template.kinds import find_kind
    from tts.plugin_template.write import write_package

    made = write_package(name, find_kind(kind), out, get_plugins(), author, license_name)
    if as_json:
        print_json(asdict(made))
        return
    echo(f"{made.kind} {made.part!r}: {len(made.files)} files in {made.folder}")
    echo("next:")
    for step in made.next_steps:
        echo(f"  {step}")
