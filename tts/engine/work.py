"""The engine: any number of processes take, make and write the shards of a run until it is finished."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tts.engine.folder import (
    RunFolder,
    broken_shards,
    clear_work,
    recorded_plan,
    remove_leftovers,
    replace_run,
)
from tts.engine.job import Job, Timing
from tts.engine.plan import ShardRange, Share
from tts.engine.progress import Census, Report
from tts.engine.publishing import Made, Publisher
from tts.engine.shards import Rows, read_shard, write_shard
from tts.engine.stopping import Stop
from tts.engine.worker import Worker, opening
from tts.errors import CheckpointError, RunError
from tts.io import make_folder, write_json

POLL = 0.3
"""Seconds between two looks for shards that other processes may have left."""

TRIES = 3
"""How often a process finds a file broken until it gives up."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What this process did: items made, whether the run was finished before, and whether it is now."""

    made: int
    finished_before: bool
    finished: bool
    shards_done: int
    shards: int


def work(
    run: RunFolder,
    worker: Worker,
    job: Job,
    stop: Stop,
    share: Share | None = None,
    report: Report = lambda progress: None,
    warn: Say = lambda message: None,
) -> Outcome:
    """Make shards until none is left, wait for those of others, and finish the run.

    While a shard is published the next one is made, if the job overlaps. A ``share`` ends with its own
    shards; whoever makes the last shard of all finishes the run. Raises ``StoppedError`` after a signal, with
    finished batches kept.
    """
    shards = run.shards
    if run.finished():
        return Outcome(0, True, True, len(shards), len(shards))
    with worker.holding("check") as first:
        for fault in broken_shards(run) if first else ():
            warn(f"{fault}; it is made again")
    shift = _Shift(run, worker, job, stop, Census(run, worker, report), warn)
    with shift.publisher:
        shift.tell()
        return shift.work(share)


@dataclass
class _Shift:
    """One process's time at work on a run."""

    run: RunFolder
    worker: Worker
    job: Job
    stop: Stop
    census: Census
    warn: Say

    def __post_init__(self) -> None:
        self.publisher = Publisher(self.publish)
        self.broken: Counter[Path] = Counter()

    def work(self, share: Share | None) -> Outcome:
        """Make and publish shards as long as there are any for this process."""
        made, shards, publisher = 0, self.run.shards, self.publisher
        while not self.run.finished():
            done = self.census.look()
            self.check()
            if len(done) == len(shards):
                publisher.settle()
                self.finish()
                continue
            mine = [s for s in shards if s.number not in done and (share is None or s.number in share)]
            taken = self.take([shard for shard in mine if shard != publisher.pending])
            if taken is not None:
                made += self.make(taken)
            elif publisher.pending:
                publisher.settle()
            elif not mine:
                return Outcome(made, False, False, len(done), len(shards))
            else:
                self.wait()
        self.census.complete()
        return Outcome(made, False, True, len(shards), len(shards))

    def check(self) -> None:
        """Stop here if a signal asked for it, or if a shard could not be published."""
        self.publisher.check()
        if not self.stop:
            return
        self.publisher.settle()
        self.census.look()
        done, shards = len(self.census.done), len(self.run.shards)
        self.stop.check(
            f"{done} of {shards} shards are whole, run the same command (without --overwrite) to go on"
        )

    def count(self, taken: int) -> None:
        """Say how many items are finished, of the shard in hand and of one that is not published yet."""
        given = self.publisher.pending
        waiting = given.count if given and given.number not in self.census.done else 0
        self.worker.items = taken + waiting

    def tell(self, taken: int = 0) -> None:
        """Report."""
        self.census.glance()
        self.count(taken)
        self.census.tell()

    def wait(self) -> None:
        """Give the other processes time."""
        self.tell()
        time.sleep(POLL)
        if self.run.lost() and self.run.lost():  # a plan is for a moment in neither place to be read
            raise RunError(
                f"{self.run.out} was removed or holds another run now; start this one again elsewhere"
            )

    def take(self, wanted: Sequence[ShardRange]) -> ShardRange | None:
        """The first shard that no other process has in hand."""
        for shard in wanted:
            if self.worker.take(str(shard.number)):
                if not self.run.shard_path(shard.number).exists():
                    return shard
                self.worker.release(str(shard.number))  # made since we looked
        return None

    def make(self, shard: ShardRange) -> int:
        """Make a shard in hand; returns the number of items made. Kept batches of an earlier try count."""
        partial = self.run.partial_path(shard.number)
        parts, seconds = _kept(partial, shard)
        taken = kept = sum(part.taken for part in parts)
        items = self.run.items[shard.first : shard.first + shard.count]
        try:
            self.count(taken)
            batches = self.job.make(items[taken:], shard.first + taken) if taken < shard.count else iter(())
            started = time.perf_counter()
            for rows in batches:
                seconds += time.perf_counter() - started
                parts.append(rows)
                taken += rows.taken
                self.tell(taken)
                self.publisher.check()
                if self.stop and taken < shard.count:
                    write_shard(partial, Rows.join(parts), shard, {"seconds": repr(seconds)})
                    self.check()
                started = time.perf_counter()
            self.publisher.put(Made(shard, parts, seconds))
            if not self.job.overlaps:
                self.publisher.settle()
        except BaseException:
            self.worker.items = 0
            self.worker.release(str(shard.number))
            raise
        self.count(0)
        return taken - kept

    def publish(self, made: Made) -> None:
        """Write a shard with all that belongs to it, and give it back; the publisher's thread does."""
        shard, run = made.shard, self.run
        try:
            items = run.items[shard.first : shard.first + shard.count]
            rows, notes = self.job.publish(items, made.joined())
            time_file = run.work / f"time-{shard.number:05d}.json"
            write_json(time_file, {"seconds": made.seconds, "items": rows.items})
            path = run.shard_path(shard.number)
            make_folder(path.parent)
            write_shard(path, rows, shard, notes)
            run.partial_path(shard.number).unlink(missing_ok=True)
        finally:
            self.worker.release(str(shard.number))

    def finish(self) -> None:
        """Write the record, or wait for another process that does; removes shards that prove broken."""
        with self.worker.holding("finish") as mine:
            if not mine or self.run.finished():
                return self.wait()
            faults = [fault for shard in self.run.shards if (fault := self._fault(shard))]
            if not faults:
                self.job.finish(self.run, Timing.of(self.run.work))
                self._close()
        return None

    def _close(self) -> None:
        """Tidy up behind the record, while nobody opens the folder; one run may replace another."""
        run = self.run
        if recorded_plan(run.path, run.layout) != run.plan.id:
            path = run.path / run.layout.record
            return self._again(path, f"{path} does not say what was written")
        with opening(run.out):
            remove_leftovers(run.path)
            clear_work(run.work)
            if run.path != run.out:
                replace_run(run.out, run.path, run.layout)
        return None

    def _fault(self, shard: ShardRange) -> bool:
        """Whether a shard's contents are wrong; it is removed then."""
        path = self.run.shard_path(shard.number)
        try:
            read_shard(path, shard)
        except CheckpointError as error:
            path.unlink(missing_ok=True)
            self._again(path, str(error))
            return True
        return False

    def _again(self, path: Path, fault: str) -> None:
        """Say that a file is made again, or give up where that does not help."""
        self.broken[path] += 1
        if self.broken[path] == TRIES:
            raise RunError(
                f"{fault.partition('; ')[0]}, {TRIES} times in a row; check the disk, or choose another --out"
            )
        self.warn(f"{fault}; it is made again")


def _kept(path: Path, shard: ShardRange) -> tuple[list[Rows], float]:
    """The batches that a stopped process kept of a shard, and the seconds they took."""
    if path.exists():
        with suppress(CheckpointError, ValueError):
            rows, metadata = read_shard(path, shard, whole=False)
            return [rows], float(metadata.get("seconds", 0))
    return [], 0.0
