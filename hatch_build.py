"""The README on a package index: links that are relative to the repository become addresses in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURES = (".png", ".svg", ".jpg", ".gif")


def with_addresses(text: str, repository: str) -> str:
    """The text with absolute links; pictures are taken as files, all else as pages."""

    def absolute(link: re.Match[str]) -> str:
        target = link[1]
        if "://" in target or target.startswith("#"):
            return link[0]
        kind = "raw" if target.endswith(PICTURES) else "blob"
        return f"]({repository}/{kind}/main/{target})"

    return re.sub(r"\]\(([^)\s]+)\)", absolute, text)


class CustomMetadataHook(MetadataHookInterface):
    """Gives the distribution its README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in ``readme``."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        readme = with_addresses(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
