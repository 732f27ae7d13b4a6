"""Training of the two embedded scorers, through the public command line."""

from __future__ import annotations

from pathlib import Path


def stage(out: Path) -> dict[str, float]:
    """Collect data for both scorers and train them; returns their figures."""
    raise NotImplementedError
