"""The ``tts`` command: its options and the table of built-in commands."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Annotated

import typer

from tts import __version__
from tts_cli.bench import bench
from tts_cli.collect import collect
from tts_cli.convert import convert
from tts_cli.data import data
from tts_cli.eval import evaluate
from tts_cli.fetch import fetch
from tts_cli.grid import grid
from tts_cli.group import RootGroup
from tts_cli.list import list_names
from tts_cli.output import echo
from tts_cli.pack import pack
from tts_cli.plugin import plugin
from tts_cli.plugins import show_plugins
from tts_cli.report import report
from tts_cli.sample import sample
from tts_cli.sweep import sweep
from tts_cli.train_scorer import train_scorer
from tts_cli.tune import tune

# In the order of the help page. A command's module imports what is heavy inside its functions.
COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample,
    "collect": collect,
    "train-scorer": train_scorer,
    "eval": evaluate,
    "sweep": sweep,
    "tune": tune,
    "bench": bench,
    "grid": grid,
    "report": report,
    "pack": pack,
    "fetch": fetch,
    "convert": convert,
    "list": list_names,
    "plugins": show_plugins,
}

# Commands that have commands of their own; the help page shows them last.
GROUPS: dict[str, typer.Typer] = {"data": data, "plugin": plugin}

app = typer.Typer(
    name="tts",
    cls=RootGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


def _print_version(value: bool) -> None:
    if value:
        echo(f"scalewise-tts {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Test-time scaling for VAR image models (not text-to-speech).

    \b
    Examples:
      tts sample
      tts sample --candidates 32 --out digits
    """


def main() -> None:
    """Run the command line; Ctrl-C while the interpreter ends is no error of the toolkit's."""
    try:
        app()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
