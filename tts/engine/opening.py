"""Opening a run folder for what is asked: beginning, joining, extending, overwriting, or refusing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tts.engine.folder import (
    MOVING,
    STAGING,
    WORK,
    Layout,
    RunFolder,
    clear_work,
    recorded_plan,
    remove_run,
    replace_run,
)
from tts.engine.launch import Launch, agree
from tts.engine.plan import PLAN_FILE, Plan, Request, Segment, fingerprint, same_items
from tts.engine.worker import Worker, at_work, opening, who
from tts.errors import CheckpointError, RunError, UsageError
from tts.io import ensure_writable_dir
from tts.pipeline import Item

Replan = Callable[[dict[str, Any]], Sequence[Item]]
"""The items of an earlier choice of the same run."""


@dataclass(frozen=True)
class Mode:
    """How to treat what a folder holds."""

    overwrite: bool = False
    extend: bool = False


def check_mode(mode: Mode, share: str | None) -> None:
    """Refuse what contradicts itself."""
    if mode.overwrite and mode.extend:
        raise UsageError("--overwrite starts afresh and --extend adds items; pass one of them")
    if mode.overwrite and share is not None:
        raise UsageError(
            "--overwrite does not go with --shard, whose processes would remove each other's work;"
            " remove the folder first"
        )


@contextmanager
def open_run(
    out: Path, layout: Layout, request: Request, replan: Replan, mode: Mode = Mode()
) -> Iterator[tuple[RunFolder, Worker]]:
    """Open a folder for what is asked; gives the run and this process as one of its workers.

    Other settings are refused by name. Processes that open one folder at once wait for each other.
    """
    ensure_writable_dir(out)
    with ExitStack() as stack:
        with opening(out):
            run = _Opening(out, layout, request, replan, mode).choose()
            worker = stack.enter_context(Worker(run.work))
        yield run, worker


@contextmanager
def open_together(
    launch: Launch, out: Path, layout: Layout, request: Request, replan: Replan, mode: Mode
) -> Iterator[tuple[RunFolder, Worker]]:
    """Open a folder with all processes of a launch: rank 0 decides, the others join."""
    with ExitStack() as stack:
        opened: list[tuple[RunFolder, Worker]] = []

        def decide() -> str:
            opened.append(stack.enter_context(open_run(out, layout, request, replan, mode)))
            return str(opened[0][0].path)

        if launch.restarts:  # torchrun has started these processes anew: the work goes on
            mode = replace(mode, overwrite=False)
        path = Path(agree(launch, decide))
        if not opened:
            opened.append(stack.enter_context(join_run(out, path, layout, request, replan)))
        yield opened[0]


@contextmanager
def join_run(
    out: Path, path: Path, layout: Layout, request: Request, replan: Replan
) -> Iterator[tuple[RunFolder, Worker]]:
    """Join the run that another process of this launch has opened in ``path``."""
    plan = Plan.load(path)
    if plan is None:  # the others have finished and moved it
        path, plan = out, Plan.load(out)
    if plan is None:
        raise RunError(f"{path} has lost its {PLAN_FILE}; start the run again")
    with Worker(path / WORK) as worker:
        yield RunFolder(out, path, layout, plan, planned_items(plan, request, replan)), worker


def planned_items(plan: Plan, request: Request, replan: Replan) -> Sequence[Item]:
    """The items of a plan in their order; what its segments share counts once."""
    first, *more = plan.segments
    if not more and first.fingerprint == request.plan.segments[0].fingerprint:
        return request.items
    items: list[Item] = []
    seen: set[Item] = set()
    for segment in plan.segments:
        new = [item for item in _replanned(segment.choice, replan) if item not in seen]
        if (len(new), fingerprint(new)) != (segment.items, segment.fingerprint):
            raise UsageError(
                f"the items of {segment.choice} are not what they were when the run began;"
                " choose another --out or pass --overwrite"
            )
        items += new
        seen.update(new)
    return items


def _replanned(choice: dict[str, Any], replan: Replan) -> Sequence[Item]:
    """The items of a recorded choice; none of one that no command wrote."""
    try:
        return replan(choice)
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()


@dataclass(frozen=True)
class _Opening:
    """One decision on what to do with a folder, made by one process at a time."""

    out: Path
    layout: Layout
    request: Request
    replan: Replan
    mode: Mode

    def choose(self) -> RunFolder:
        staging = self.out / STAGING
        self._check_kind()
        if (staging / MOVING).exists() or recorded_plan(staging, self.layout) is not None:
            replace_run(self.out, staging, self.layout)  # a process died while it did so
        busy = [peer for folder in (self.out, staging) for peer in at_work(folder)]
        if self.mode.overwrite and not busy:
            return self._overwrite(staging)
        plan = self._known()
        for folder, found in ((staging, Plan.load(staging)), (self.out, plan)):
            if found and self._is_asked_for(found):
                return RunFolder(self.out, folder, self.layout, found, self._planned(found))
        if self.mode.overwrite:
            raise UsageError(
                f"{who(busy)} is at work in {self.out}; stop it before --overwrite, or choose another --out"
            )
        if plan is None:
            return self._begin(self.out)
        if self.mode.extend and not plan.differences(self._asked(plan)):
            return self._extend(plan)
        raise UsageError(self._refusal(plan))

    def _check_kind(self) -> None:
        """Refuse a folder of another command, even to overwrite it: its files have other names."""
        with suppress(CheckpointError):
            plan = Plan.load(self.out)
            if plan and plan.kind not in self.layout.kinds:
                raise UsageError(f"{self.out} holds {plan.kind} data; choose another --out")

    def _known(self) -> Plan | None:
        """The plan of the user's folder; refuses results without one."""
        plan = Plan.load(self.out)
        if plan is None:
            results = [self.out / self.layout.record, *sorted(self.out.glob("shard-*.safetensors"))]
            found = [path.name for path in results if path.exists()]
            if found and not self.mode.overwrite:
                raise UsageError(
                    f"{self.out} holds {found[0]} but no {PLAN_FILE} to compare with;"
                    " choose another --out or pass --overwrite"
                )
        return plan

    def _planned(self, plan: Plan) -> Sequence[Item]:
        return planned_items(plan, self.request, self.replan)

    def _asked(self, plan: Plan) -> Plan:
        """The requested plan, with the folder's shard size unless another one was asked for."""
        asked = self.request.plan
        return replace(asked, shard_items=plan.shard_items) if self.request.any_size else asked

    def _is_asked_for(self, plan: Plan) -> bool:
        return not plan.differences(self._asked(plan)) and same_items(self._planned(plan), self.request.items)

    def _refusal(self, plan: Plan) -> str:
        base = plan.differences(self._asked(plan))
        before, asked = plan.segments[-1].choice, self.request.choice
        chosen = [key for key in {*before, *asked} if before.get(key) != asked.get(key)]
        names = ", ".join(sorted(name.removesuffix("_sha256") for name in (*base, *chosen))) or "items"
        more = "" if base else ", or --extend to add items"
        return (
            f"{self.out} holds a run with other settings ({names});"
            f" choose another --out or pass --overwrite{more}"
        )

    def _begin(self, folder: Path) -> RunFolder:
        folder.mkdir(exist_ok=True)
        plan = self.request.plan
        plan.save(folder)
        return RunFolder(self.out, folder, self.layout, plan, self.request.items)

    def _extend(self, plan: Plan) -> RunFolder:
        """Add the items that the folder does not have yet."""
        before = self._planned(plan)
        seen = set(before)
        new = [item for item in self.request.items if item not in seen]
        if new and (busy := at_work(self.out)):
            raise UsageError(f"{who(busy)} is at work in {self.out}; wait for it before --extend")
        if new:
            if recorded_plan(self.out, self.layout) == plan.id:
                clear_work(self.out / WORK)  # what a process left that died after the record
            segment = Segment(self.request.choice, len(new), fingerprint(new))
            plan = replace(plan, segments=(*plan.segments, segment))
            plan.save(self.out)
        return RunFolder(self.out, self.out, self.layout, plan, [*before, *new])

    def _overwrite(self, staging: Path) -> RunFolder:
        """Begin afresh; a finished run stays until the new one is."""
        shutil.rmtree(staging, ignore_errors=True)
        if recorded_plan(self.out, self.layout) is not None:
            return self._begin(staging)
        remove_run(self.out, self.layout)
        return self._begin(self.out)
