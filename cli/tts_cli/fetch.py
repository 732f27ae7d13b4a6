"""``tts fetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from tts.manager import get_plugins
from tts_cli.progress import progress_bar

INCEPTION = "inception"


def fetch(
    name: Annotated[
        str, typer.Argument(help="A published backbone of `tts list`, or inception for `tts eval`.")
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
            print(f"inception: {fetch_weights(progress)}")
        return
    spec = get_plugins().backbones.get(name)
    from tts.backbones.fetch import fetch as download

    for role, path in download(spec).items():
        print(f"{role}: {path}")
