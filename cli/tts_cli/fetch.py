"""``tts fetch``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from tts.manager import get_plugins
from tts_cli.completion import names
from tts_cli.output import echo
from tts_cli.progress import progress_bar, say_note

INCEPTION = "inception"


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="A published backbone of `tts list`, or inception for `tts eval`.",
            autocompletion=names("backbones", "inception"),
        ),
    ],
) -> None:
    """Download published weights into the Hugging Face cache, or inception's into TTS_CACHE.

    \b
    Examples:
      HF_HOME=/data/hub tts fetch var-d30
      TTS_CACHE=/data/tts tts fetch inception
    """
    if name == INCEPTION:
        from tts.evaluation.inception_weights import fetch_weights

        with progress_bar("inception", "MiB") as progress:
            echo(f"inception: {fetch_weights(progress)}")
        return
    spec = get_plugins().backbones.get(name)
    from tts.backbones.fetch import fetch as download
    from tts.backbones.fetch import revision_of
    from tts.backbones.storage import check_published

    for role, path in download(spec, partial(check_published, spec), say_note).items():
        echo(f"{role}: {path} (revision {revision_of(path) or 'unknown'})")
