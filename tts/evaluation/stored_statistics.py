"""Statistics that a reference file holds beside its images, which may cover more images than it has.

Axis letters: D pooled features, E spatial features. The names are those of the ADM evaluation's files.
"""

from __future__ import annotations

from dataclasses import dataclass

from tts.errors import CheckpointError, UsageError
from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.npz_file import NpzFile

POOL, SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")


@dataclass(frozen=True)
class StoredStatistics:
    """Mean (D,) and covariance (D, D) of pooled features, and those of spatial features (E,) if stored."""

    pool: FrechetStatistics
    spatial: FrechetStatistics | None


def read_statistics(file: NpzFile) -> StoredStatistics | None:
    """The statistics of a file, ``None`` if it has none for FID."""
    pool = _read(file, *POOL)
    return None if pool is None else StoredStatistics(pool, _read(file, *SPATIAL))


def _read(file: NpzFile, mean: str, covariance: str) -> FrechetStatistics | None:
    if mean not in file and covariance not in file:
        return None
    if mean not in file or covariance not in file:
        lacking = covariance if mean in file else mean
        raise CheckpointError(f"{file.path} has no {lacking} beside its partner; fetch the file again")
    for name in (mean, covariance):
        if file.arrays[name].dtype.kind != "f":
            raise CheckpointError(
                f"{name} of {file.path} is {file.arrays[name].dtype}, statistics are floats"
            )
    try:
        return FrechetStatistics.stored(file.array(mean), file.array(covariance))
    except UsageError as error:
        raise CheckpointError(f"{file.path}, {mean} and {covariance}: {error}") from error
