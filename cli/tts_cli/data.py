"""``tts data``: what folders hold, whether it is whole, and how several become one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tts_cli import options
from tts_cli.group import Group
from tts_cli.output import echo, print_json
from tts_cli.progress import progress_bar, run_log, say
from tts_cli.units import size

if TYPE_CHECKING:
    from tts.upkeep.facts import Facts
    from tts.upkeep.verify import Verdict

data = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(help="Folder of `tts sample` or `tts collect`.")]


@data.callback()
def _data() -> None:
    """Look after folders of samples and token maps: what they hold, whether they are whole, merging them.

    \b
    Examples:
      tts data info samples/softmax
      tts data verify data/generated --repair
    """


@data.command()
def info(folder: Folder, as_json: options.Json = False) -> None:
    """Say what a folder holds, how far it is, and how to go on with it; changes nothing.

    \b
    Examples:
      tts data info data/generated
      tts data info samples/softmax --json
    """
    from tts.upkeep.facts import gather

    facts = gather(folder)
    if as_json:
        print_json(asdict(facts))
        return
    for name, text in _lines(facts):
        echo(f"{name:<12}{text}")


@data.command()
def verify(
    folder: Folder,
    repair: Annotated[bool, typer.Option("--repair", help="Make what is broken again.")] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Read everything in a folder and compare it with its checksums; exit code 1 if something is broken.

    \b
    Examples:
      tts data verify samples/softmax
      tts data verify data/generated --repair
    """
    from tts.errors import RunError
    from tts.upkeep.verify import verify as read

    with progress_bar("verifying", "shards") as tell:
        verdict = read(folder, tell)
    found = verdict
    if not as_json:
        _print_faults(verdict)
    if repair and verdict.faults:
        verdict = _repaired(verdict, device, as_json)
    if as_json:
        print_json(_verdict_json(found, verdict))
    else:
        echo(_totals(verdict))
    if verdict.faults:
        advice = (
            "still broken after --repair" if repair else f"mend it with 'tts data verify {folder} --repair'"
        )
        raise RunError(f"{_count(len(verdict.faults), 'fault')} in {folder}; {advice}")


@data.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Parts of one run, or finished data sets.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Merge parts of one run that --shard made on separate disks, or finished data sets of equal settings.

    \b
    Examples:
      tts data merge node1/samples node2/samples --out samples
      tts data merge data/first data/more --out data/all
    """
    from tts.upkeep.merge import finish
    from tts.upkeep.merge import merge as join

    made = join(folders, out, progress_bar, lambda text: say(f"note: {text}"))
    if made.run is not None and made.complete:
        with run_log("finishing", False) as log:
            finish(made, device, log.report, log.warn)
    if as_json:
        names = ("kind", "images", "shards", "shards_planned", "dropped", "go_on")
        print_json(
            {"out": str(out), **{name: getattr(made, name) for name in names}, "finished": made.complete}
        )
        return
    if made.dropped:
        say(f"note: {_count(made.dropped, 'exact duplicate')} left out")
    if made.complete:
        echo(f"{made.images} images merged in {out}")
        return
    missing = made.shards_planned - made.shards
    merged = f"{made.shards} of {made.shards_planned} shards merged in {out}"
    echo(f"{merged}; make the {missing} missing with: {made.go_on}")


def _repaired(verdict: Verdict, device: str, as_json: bool) -> Verdict:
    """Repair, then verify again."""
    from tts.upkeep.repair import repair
    from tts.upkeep.verify import verify as read

    with run_log("repairing", False) as log:
        repair(verdict, device, log.report, log.warn, lambda text: say(f"note: {text}"))
    with progress_bar("verifying again", "shards") as tell:
        after = read(verdict.found.folder, tell)
    if not as_json:
        _print_faults(after)
    return after


def _print_faults(verdict: Verdict) -> None:
    """A line a fault, and who is at work."""
    from tts.engine.worker import at_work, who

    for fault in verdict.faults:
        echo(fault)
    if busy := at_work(verdict.found.folder):
        say(f"note: {who(busy)} is at work in {verdict.found.folder}")
    if verdict.found.replaced:
        say(f"note: {verdict.found.replaced}, which is to replace this run, was not verified")


def _totals(verdict: Verdict) -> str:
    found, whole = verdict.found, f"{verdict.whole} of {_count(verdict.shards, 'shard')} whole"
    parts = [whole, f"{verdict.images} images", _count(len(verdict.faults), "fault")]
    if not found.ended:
        parts.append(f"unfinished, {_count(verdict.to_make, 'shard')} still to be made")
    advice = "" if found.ended else f"; 'tts data info {found.folder}' has the command that goes on"
    return f"{', '.join(parts)} in {found.folder}{advice}"


def _verdict_json(found: Verdict, left: Verdict) -> dict[str, object]:
    """Faults that were found, and what is left of them after a repair."""
    from tts.engine.worker import at_work, who

    counts = {name: getattr(left, name) for name in ("shards", "whole", "to_make", "images")}
    return {
        "folder": str(left.found.folder),
        "kind": left.found.kind,
        "finished": left.found.ended,
        **counts,
        "found": [asdict(fault) for fault in found.faults],
        "faults": [asdict(fault) for fault in left.faults],
        "at_work": who(at_work(left.found.folder)) or None,
    }


def _lines(facts: Facts) -> list[tuple[str, str]]:
    """The facts as names and texts."""
    kind = "run of tts sample" if facts.kind == "sample" else f"data set, {facts.kind}"
    sides = "-".join(map(str, facts.backbone["schedule"] or ()))
    weights = str(facts.backbone["weights"])[:12]
    lines = [
        ("folder", facts.folder),
        ("kind", kind),
        ("backbone", f"{facts.backbone['name']}, schedule {sides}, weights {weights}"),
        ("settings", _named(facts.settings)),
        *(("asked for", _named(choice) or "the defaults") for choice in facts.choices),
        ("images", f"{facts.images} of {facts.images_planned}"),
        ("shards", f"{facts.shards} of {facts.shards_planned}"),
        ("classes", _balance(facts)),
        ("size", size(facts.bytes)),
    ]
    if facts.skipped:
        lines.append(("skipped", f"{_count(facts.skipped, 'unreadable image')}"))
    lines += [("remark", text) for text in facts.remarks]
    lines += [("fault", f"{name}: cannot be read") for name in facts.unreadable]
    lines += [("fault", text) for text in facts.faults]
    lines.append(("state", "finished" if facts.finished else "unfinished"))
    optional = {"at work": facts.at_work, "replacement": facts.replacement, "go on": facts.go_on}
    return [*lines, *((name, text) for name, text in optional.items() if text)]


def _balance(facts: Facts) -> str:
    """Images a class: one number, or the lowest and the highest."""
    if (balance := facts.balance) is None:
        return "none yet"
    if balance.lowest == balance.highest:
        return f"{balance.classes}, {_count(balance.lowest, 'image')} each"
    low, high = f"{balance.lowest} (class {balance.lowest_class})", balance.highest
    return f"{balance.classes}, {low} to {_count(high, 'image')} (class {balance.highest_class})"


def _named(settings: dict[str, object]) -> str:
    """Settings that are set, as ``cfg 1.5, top-k 900``."""
    texts = []
    for name, value in settings.items():
        if value is None or value is False or value == [] or name in ("backbone", "decode"):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        text = text[:12] if name.endswith("sha256") else text
        texts.append(name.replace("_", "-") + ("" if value is True else f" {text}"))
    return ", ".join(texts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
