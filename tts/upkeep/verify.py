"""Verifying a folder: every shard against its checksum, and what a finished run has beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tts.data.collect import LISTING
from tts.data.listing import ImageFolder
from tts.data.manifest import Manifest
from tts.engine.folder import RunFolder
from tts.engine.verifying import Fault, Finding, brief, verify_shard
from tts.errors import CheckpointError
from tts.io import load_tensors, sha256_file
from tts.upkeep.found import Found, find
from tts.upkeep.sample_files import Joined, image_faults

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verdict:
    """What verifying found: faults, and of all shards those that are ``whole`` and still ``to_make``.

    ``images`` counts the items of whole shards.
    """

    found: Found
    faults: tuple[Fault, ...] = ()
    shards: int = 0
    whole: int = 0
    to_make: int = 0
    images: int = 0

    @property
    def broken(self) -> list[int]:
        """Numbers of the shards that must be made again."""
        return sorted({fault.shard for fault in self.faults if fault.shard is not None})


def verify(folder: Path, tell: Progress = lambda done, total: None) -> Verdict:
    """Read everything that a folder's plan or manifest names; ``tell`` hears of shards."""
    found = find(folder)
    start = Verdict(found, found.faults)
    if found.run is not None:
        return _verify_run(found, found.run, start, tell)
    assert found.manifest is not None
    return _verify_listed(found.manifest, start, tell)


def _verify_run(found: Found, run: RunFolder, verdict: Verdict, tell: Progress) -> Verdict:
    """Compare a run with its plan."""
    joined = Joined(run) if found.kind == "sample" and found.ended else None
    listed = {shard.name: shard.sha256 for shard in found.manifest.shards} if found.manifest else {}
    for shard in run.shards:
        finding = verify_shard(run, shard, found.ended)
        verdict = _counted(verdict, finding, list(_beside(found, run, finding, joined, listed)))
        tell(shard.number + 1, len(run.shards))
    faults = joined.finish() if joined else list(_data_faults(found, run))
    return replace(verdict, faults=(*verdict.faults, *faults), shards=len(run.shards))


def _counted(verdict: Verdict, finding: Finding, beside: list[Fault]) -> Verdict:
    """The verdict with one shard more."""
    faults = [finding.fault] if finding.fault else beside
    return replace(
        verdict,
        faults=(*verdict.faults, *faults),
        whole=verdict.whole + (finding.rows is not None),
        to_make=verdict.to_make + (finding.rows is None and finding.fault is None),
        images=verdict.images + (finding.rows.items if finding.rows else 0),
    )


def _beside(
    found: Found, run: RunFolder, finding: Finding, joined: Joined | None, listed: dict[str, str]
) -> Iterator[Fault]:
    """What is wrong with files that belong to a whole shard."""
    if finding.rows is None:
        return
    if found.kind == "sample":
        yield from image_faults(run.path, finding.shard, finding.rows)
    if joined:
        joined.compare(finding.shard, finding.rows)
    path = run.shard_path(finding.shard.number)
    if path.name in listed and sha256_file(path) != listed[path.name]:
        yield Fault(found.layout.record, f"names another checksum for {path.name}, which is whole")


def _data_faults(found: Found, run: RunFolder) -> Iterator[Fault]:
    """What is wrong with the files that a data set has beside its shards."""
    names = [run.shard_path(shard.number).name for shard in run.shards]
    if found.ended and found.manifest and [shard.name for shard in found.manifest.shards] != names:
        yield Fault(found.layout.record, "lists other shards than the plan")
    wanted = run.plan.identity.get("images")
    if found.kind == "sample" or wanted is None:
        return
    path = run.path / LISTING
    if not path.exists():
        yield Fault(LISTING, "missing")
        return
    try:
        if ImageFolder.load(path, run.path).fingerprint() != wanted:
            yield Fault(LISTING, "lists other images than the plan")
    except CheckpointError as error:
        yield Fault(LISTING, brief(error, path))


def _verify_listed(manifest: Manifest, verdict: Verdict, tell: Progress) -> Verdict:
    """Compare a data set without a plan with its manifest."""
    faults = []
    for done, shard in enumerate(manifest.shards):
        fault = _listed_fault(verdict.found.folder / shard.name, shard.sha256)
        faults += [Fault(shard.name, fault, done)] if fault else []
        verdict = replace(
            verdict,
            whole=verdict.whole + (fault is None),
            images=verdict.images + (0 if fault else shard.items),
        )
        tell(done + 1, len(manifest.shards))
    return replace(verdict, faults=(*verdict.faults, *faults), shards=len(manifest.shards))


def _listed_fault(path: Path, sha256: str) -> str | None:
    if not path.exists():
        return "missing"
    try:
        if sha256_file(path) == sha256:
            return None
        load_tensors(path)
    except CheckpointError as error:
        return brief(error, path)
    return f"does not match its checksum {sha256[:12]}"
