"""Statistics that a reference file holds beside its images, which may cover more images than it has.

Axis letters: D pooled features, E spatial features. The names are those of the ADM evaluation's files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tts.errors import CheckpointError, UsageError
from tts.evaluation.features import FeatureExtractor
from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.npz_file import NpzFile
from tts.evaluation.npz_source import read_record

POOL, SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")


@dataclass(frozen=True)
class StoredStatistics:
    """Mean (D,) and covariance (D, D) of pooled features, and those of spatial features (E,) if stored.

    ``maker`` is the identity of the features they are of, if the file says so, as ``tts eval`` writes it.
    """

    pool: FrechetStatistics
    spatial: FrechetStatistics | None
    maker: dict[str, Any] | None = None

    def check_maker(self, text: str, extractor: FeatureExtractor) -> None:
        """Refuse statistics of other features than an extractor's, where the file says whose they are."""
        mine = {key: value for key, value in extractor.describe().items() if key in ("name", "sha256")}
        if self.maker is None or {key: self.maker.get(key) for key in mine} == mine:
            return
        other = self.maker.get("name")
        version = " of other weights" if other == extractor.name else ""
        raise UsageError(
            f"reference {text} has statistics of features {other!r}{version}, these are {extractor.name!r};"
            " choose other --features or write the reference again"
        )


def read_statistics(file: NpzFile) -> StoredStatistics | None:
    """The statistics of a file, ``None`` if it has none for FID."""
    record = read_record(file)
    count, maker = record.get("images"), record.get("features")
    known = isinstance(maker, dict) and isinstance(count, int) and count > 1
    pool = _read(file, *POOL, count if known else None)
    if pool is None:
        return None
    return StoredStatistics(pool, _read(file, *SPATIAL, count if known else None), maker if known else None)


def _read(file: NpzFile, mean: str, covariance: str, count: int | None) -> FrechetStatistics | None:
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
        return FrechetStatistics.stored(file.array(mean), file.array(covariance), count)
    except UsageError as error:
        raise CheckpointError(f"{file.path}, {mean} and {covariance}: {error}") from error
