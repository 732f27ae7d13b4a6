"""Groups of commands; the root adds the plugins' and prints every mendable error as one line."""

from __future__ import annotations

import inspect
import re
import sys
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tts.errors import TtsError, UsageError, check_text
from tts.limits import brief
from tts.manager import get_plugins
from tts.owners import naming
from tts_cli.output import echo

LONGEST = 1000
"""Characters of an error; of a longer one the middle, which repeats what was typed, is left out."""

EMPTY = re.compile("--[a-z-]+=")
"""An option without a value, as of a shell's variable that is not set."""

INTERRUPTED = 130  # what Typer makes of Ctrl-C: 128 + SIGINT


class Group(TyperGroup):
    """A group whose help page has the first sentence of every command in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands that are not hidden; long summaries go on in the next line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _summary(command)) for name, command in commands if command and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class RootGroup(Group):
    """The root command.

    Errors that the user can mend are one line on stderr, with the error's exit code; anything else keeps its
    traceback.
    """

    _extended = False
    _foreign: frozenset[str] = frozenset()
    _called = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse empty words and what is not UTF-8, add plugins' commands, warn of broken ones, parse."""
        for before, word in pairwise(("", *args)):
            check_text(word)
            if word == "" or EMPTY.fullmatch(word):
                option = word or before if (word or before).startswith("--") else ""
                raise UsageError(
                    f"{option.strip('-=') or 'an argument'} is empty; give a value or leave it out"
                )
        if not self._extended:
            self._extended = True
            found = _plugin_commands(self.commands)
            self._foreign = frozenset(found)
            self.commands.update(found)
        if not ctx.resilient_parsing:  # completion wants no warnings
            for entry in get_plugins().broken():
                _say(f"warning: plugin {_one_line(str(entry.reason))}")
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, and remember whose it is."""
        found = super().resolve_command(ctx, args)
        self._called = str(found[0])
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it returns is no exit code. A closed pipe shows here, not at exit."""
        try:
            with naming(self._code, (typer.TyperException, typer.Abort, typer.Exit)):
                super().invoke(ctx)
        finally:
            sys.stdout.flush()

    def _code(self) -> dict[str, str]:
        """Whose code may fail inside the toolkit's commands; a plugin's own command speaks for itself."""
        return {} if self._called in self._foreign else get_plugins().code()

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit."""
        if not kwargs.get("standalone_mode", True):
            return super().main(*args, **kwargs)
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs) or 0
            if code == INTERRUPTED:
                _say("error: interrupted")
        except TtsError as error:
            if str(error):
                _say(f"error: {_one_line(str(error))}")
            code = error.exit_code
        except typer.TyperException as error:
            _say(_usage_message(error))
            code = error.exit_code
        except typer.Abort:
            _say("error: aborted")
            code = 1
        sys.exit(code)


def _summary(command: Any) -> str:
    """The first paragraph of a command's help."""
    text = inspect.cleandoc(command.short_help or command.help or "")
    return " ".join(text.partition("\n\n")[0].partition("\b")[0].split())


def _plugin_commands(taken: Any) -> dict[str, Any]:
    app = typer.Typer(rich_markup_mode=None)
    get_plugins().register_commands(app, taken)
    return dict(get_group(app).commands)


def _usage_message(error: typer.TyperException) -> str:
    """Put Typer's message into the house form; the help page that stands in for a missing command stays."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is not None and message == context.get_help():
        return message
    faults = getattr(error.__cause__, "errors", None)  # of pydantic, which newer versions of Typer ask
    for fault in faults() if callable(faults) else ():
        message = message.replace("Input should", f"{brief(str(fault['input']))!r} should")
    message = _one_line(message).rstrip(".").replace(". Did you mean", "; did you mean")
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    if context is None:
        return f"error: {message}"
    stop = "" if message.endswith("?") else ";"
    return f"error: {message}{stop} see {context.command_path} --help"


def _one_line(message: str) -> str:
    line = " ".join(line.strip() for line in message.splitlines())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def _say(message: str) -> None:
    for line in message.splitlines():
        echo(line, err=True)
