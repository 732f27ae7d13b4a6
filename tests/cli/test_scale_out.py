"""Several processes, stops and full disks, by way of the command line."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tts.data.store import TokenStore

Popen = Callable[..., "subprocess.Popen[str]"]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tts_cli")


@pytest.fixture
def start(tts_environment: dict[str, str]) -> Iterator[Popen]:
    """Starts Python with arguments, by default ``tts``; kills what is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*args: object, launcher: tuple[str, ...] = ("-m", "tts_cli"), **options: Any) -> Any:
        environment = {**tts_environment, "OMP_NUM_THREADS": "1", "TTS_PLUGINS": ""}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, *launcher, *map(str, args)]
        process = subprocess.Popen(command, env=environment, **pipes, **options)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    stdout, stderr = process.communicate(timeout=240)
    return process.returncode, stdout, stderr


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait until something is there; the process must still run."""
    for _ in range(1200):
        if found():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("waited for too long")


def same_data(one: Path, other: Path) -> None:
    """Both data sets have the same shards, byte for byte."""
    a, b = TokenStore.open(one), TokenStore.open(other)
    a.verify()
    assert a.manifest.shards == b.manifest.shards
    assert a.manifest.per_class == b.manifest.per_class


@pytest.mark.slow
def test_two_processes_of_torchrun_collect_and_sample(start: Popen, succeed: Any, tmp_path: Path) -> None:
    options = ("--per-class", 40, "--shard-items", 50)
    code, stdout, stderr = ended(
        start("collect", *options, "--out", tmp_path / "two", "--log-json", launcher=TORCHRUN)
    )
    assert code == 0, stderr
    assert stdout == f"400 images collected in {tmp_path / 'two'}\n"  # said once
    events = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    last = events[-1]
    assert (last["event"], last["what"]) == ("progress", "collecting generated")
    assert (last["items_done"], last["items"]) == (400, 400)
    assert (last["shards_done"], last["shards"], last["seconds_left"]) == (8, 8, 0)
    succeed("collect", *options, "--out", tmp_path / "one")
    same_data(tmp_path / "two", tmp_path / "one")

    drawn = ("--candidates", 3, "--per-class", 8, "--shard-items", 10, "--batch-size", 5, "--save-tokens")
    sample = ("sample", *drawn, "--format", "png,npz")
    code, stdout, stderr = ended(start(*sample, "--out", tmp_path / "run-two", launcher=TORCHRUN))
    assert code == 0, stderr
    assert stdout.startswith(f"80 images in {tmp_path / 'run-two'} (candidates 1,3,3,3")
    assert len(stdout.splitlines()) == 1
    succeed(*sample, "--out", tmp_path / "run-one")
    two, one = tmp_path / "run-two", tmp_path / "run-one"
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    for name in names:
        if name.name != "run.json":
            assert (two / name).read_bytes() == (one / name).read_bytes(), name


@pytest.mark.slow
def test_all_processes_of_torchrun_refuse_together(start: Popen, succeed: Any, tmp_path: Path) -> None:
    succeed("collect", "--per-class", 1, "--out", tmp_path)
    code, stdout, stderr = ended(
        start("collect", "--per-class", 2, "--out", tmp_path, launcher=TORCHRUN, cwd=tmp_path)
    )
    assert (code, stdout) == (1, "")  # torchrun's own
    refusals = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(refusals) == 1
    assert "holds a run with other settings (per_class)" in refusals[0]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 3.0])
def test_a_torchrun_that_dies_before_its_processes_meet_leaves_none(
    start: Popen, tmp_path: Path, seconds: float
) -> None:
    process = start("collect", "--per-class", 40, "--out", tmp_path / "set", launcher=TORCHRUN)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def second() -> list[int]:
        started = [int(child) for child in children.read_text().split()]
        return [one for one in started if b"\0RANK=1\0" in Path(f"/proc/{one}/environ").read_bytes()]

    wait_for(second, process)
    (late,) = second()
    os.kill(late, signal.SIGSTOP)  # the first one waits for it
    time.sleep(seconds)
    process.kill()
    process.wait()
    os.kill(late, signal.SIGCONT)
    _, stderr = process.communicate(timeout=120)  # the end of the pipes, which the processes hold, too
    assert "Traceback" not in stderr
    assert stderr.count("error: ") == 1
    assert "error: torchrun is gone; start the run again\n" in stderr


@pytest.mark.parametrize("command", ["sample", "collect", "train-scorer", "sweep", "pack", "convert", "eval"])
def test_a_name_that_is_not_utf_8_is_refused(refuse: Any, tmp_path: Path, command: str) -> None:
    line = refuse(command, "--out", tmp_path / os.fsdecode(b"out\xff"))
    assert line.endswith("out\\xff' is not valid UTF-8; rename the file or folder, or choose another")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_good_order(
    start: Popen, succeed: Any, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--per-class", 3000, "--shard-items", 100, "--batch-size", 20)
    process = start("collect", *options, "--out", tmp_path / "stopped")
    wait_for(lambda: list((tmp_path / "stopped").glob("shard-*")), process)
    process.send_signal(number)
    code, stdout, stderr = ended(process)
    assert (code, stdout) == (128 + number, "")
    assert stderr.splitlines()[-1].startswith(
        "error: interrupted; " if number == 2 else "error: terminated; "
    )
    assert "shards are whole, run the same command (without --overwrite) to go on" in stderr
    whole = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped").glob("shard-*")}
    shutil.rmtree(tmp_path / "stopped" / ".work", ignore_errors=True)
    assert len(whole) < 300

    few = ("--per-class", 30, "--shard-items", 100)
    succeed("collect", *few, "--out", tmp_path / "few")
    stored = load_file(tmp_path / "stopped" / "shard-00000.safetensors")
    assert len(stored["labels"]) == 100
    assert set(stored) == {"tokens", "labels", "seeds"}


@pytest.mark.slow
def test_two_commands_into_one_folder_share_the_work(start: Popen, succeed: Any, tmp_path: Path) -> None:
    options = ("--per-class", 150, "--shard-items", 25, "--batch-size", 5)
    both = [start("collect", *options, "--out", tmp_path / "shared") for _ in range(2)]
    for process in both:
        code, stdout, stderr = ended(process)
        assert (code, stderr) == (0, "")
        assert stdout.startswith("1500 images ")
    succeed("collect", *options, "--batch-size", 100, "--out", tmp_path / "alone")
    same_data(tmp_path / "shared", tmp_path / "alone")


def test_another_run_into_a_folder_at_work_is_refused(start: Popen, refuse: Any, tmp_path: Path) -> None:
    process = start("collect", "--per-class", 3000, "--batch-size", 10, "--out", tmp_path)
    wait_for((tmp_path / "plan.json").exists, process)
    for option in ((), ("--overwrite",), ("--extend",)):
        line = refuse("collect", "--per-class", 3001, *option, "--out", tmp_path)
        assert ("at work" if option else "(per_class)") in line
    assert process.poll() is None


def test_a_full_disk_is_one_line_and_loses_nothing(start: Popen, succeed: Any, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the shards have about 9 kB, the npz has more."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    options = ("sample", "--per-class", 10, "--shard-items", 10, "--format", "npz", "--candidates", 1)
    out = tmp_path / "full"
    code, stdout, stderr = ended(start(*options, "--out", out, preexec_fn=limit))
    assert (code, stdout) == (1, "")
    (line,) = stderr.splitlines()
    assert line.startswith("error: cannot write ")
    assert "samples.npz (file too large); check the space" in line
    assert not [path for path in out.rglob("*.tmp") if "worker" not in path.name]
    shards = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert len(shards) == 10
    assert succeed(*options, "--out", out).startswith("100 images in ")
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == shards


def test_a_folder_without_the_right_to_write_is_refused(start: Popen, tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    drop, override = 24, 1  # PR_CAPBSET_DROP and CAP_DAC_OVERRIDE, with which root may write everywhere

    def be_ordinary() -> None:
        if os.getuid() == 0:
            assert libc.prctl(drop, override, 0, 0, 0) == 0

    tmp_path.chmod(0o555)
    try:
        process = start("collect", "--per-class", 1, "--out", tmp_path / "set", preexec_fn=be_ordinary)
        code, stdout, stderr = ended(process)
    except subprocess.SubprocessError:
        pytest.skip("this root cannot give up the right to write everywhere")
    finally:
        tmp_path.chmod(0o755)
    assert (code, stdout) == (2, "")
    expected = f"cannot write to folder {tmp_path / 'set'} (permission denied); choose another folder"
    assert stderr == f"error: {expected}\n"
