"""``tts fetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from tts.manager import get_plugins


def fetch(
    backbone: Annotated[str, typer.Argument(help="Name of a published backbone of `tts list`.")],
) -> None:
    """Download a published backbone's weights into the Hugging Face cache.

    \b
    Examples:
      tts fetch var-d16
      HF_HOME=/data/hub tts fetch var-d30
    """
    spec = get_plugins().backbones.get(backbone)
    from tts.backbones.fetch import fetch as download

    for role, path in download(spec).items():
        print(f"{role}: {path}")
