"""Errors that the user can mend: printed as one line, never as a traceback."""

from __future__ import annotations

import os


class TtsError(Exception):
    """Base of every error that the user can mend.

    The message is one line, lower case, without a full stop: the value, the rule and the next step.
    """

    exit_code = 1


class UsageError(TtsError):
    """A value that the user gave is wrong (exit code 2)."""

    exit_code = 2


class RunError(TtsError):
    """A run that started properly has failed (exit code 1)."""


class StoppedError(RunError):
    """A signal asked the run to stop, and it did so in good order; ``remark`` says how to go on."""

    def __init__(self, number: int, remark: str) -> None:
        name = {2: "interrupted", 15: "terminated"}.get(number, f"stopped by signal {number}")
        super().__init__(f"{name}; {remark}")
        self.exit_code = 128 + number


class PeerError(TtsError):
    """Another process of this run has failed and says why; this one ends with its exit code, in silence."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


class PluginError(UsageError):
    """A plugin that the run asks for is missing, broken or ambiguous."""


class CheckpointError(UsageError):
    """A file of weights, tokens or scores cannot be used for this run."""


class ShapeError(TtsError):
    """A plugin returned a tensor of the wrong shape or dtype."""


class ScoreError(RunError):
    """A scorer returned NaN or infinity."""


def reason(error: BaseException) -> str:
    """What an exception says, in one line that starts in lower case and has no full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = " ".join((text or type(error).__name__).split()).rstrip(".")
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]


LONGEST = 1000
"""Characters of what an exception of other people's code says."""


def described(error: BaseException) -> str:
    """The class of an exception and what it says, in one line; what it says may itself fail."""
    try:
        text = " ".join(str(error).split())[:LONGEST]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def check_text(path: str | os.PathLike[str]) -> None:
    """Refuse a name that is not UTF-8: safetensors opens no such file, and no record can name it."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        shown = os.fspath(path).encode("utf-8", "backslashreplace").decode().replace("\\udc", "\\x")
        raise UsageError(
            f"'{shown}' is not valid UTF-8; rename the file or folder, or choose another"
        ) from None
