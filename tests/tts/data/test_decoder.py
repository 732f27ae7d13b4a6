"""Worker processes: the same images in the same order, errors inside, and an end in every case."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tts.data.decode import decode
from tts.data.decoder import AHEAD, CHUNK, Decoder, _Worker, default_workers
from tts.errors import RunError
from tts.images import ImageError

BROKEN = (3, 17, 18)
COUNT = 150


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Numbered images, three of which cannot be read."""
    folder, pixels = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(COUNT)]
    for i, path in enumerate(paths):
        Image.fromarray(pixels.integers(0, 256, (20, 30 + i % 5, 3), np.uint8)).save(path)
    paths[3].write_bytes(b"not an image")
    paths[17].unlink()
    paths[18].unlink()
    paths[18].mkdir()
    return [(1000 + i, path) for i, path in enumerate(paths)]


@pytest.fixture(scope="module")
def pair():
    """Two worker processes."""
    with Decoder(2, 16, "random", seed=5) as decoder:
        yield decoder


def processes(decoder):
    return [worker.process for worker in decoder._pool._workers]


def plain(results):
    """Results that can be compared."""
    return [
        (item, type(x), str(x))
        if isinstance(x, ImageError)
        else (item, x.remarks, x.pixels.shape, x.pixels.tobytes())
        for item, x in results
    ]


def test_two_processes_give_what_one_gives(pair, paths):
    found = list(pair.images(paths))
    assert [item for item, _ in found] == list(range(1000, 1000 + COUNT))
    assert [i for i, (_, x) in enumerate(found) if isinstance(x, ImageError)] == list(BROKEN)
    assert "no such file" in str(found[17][1])
    item, path = paths[40]
    assert np.array_equal(found[40][1].pixels, decode(path, 16, "random", 5, item).pixels)
    with Decoder(0, 16, "random", seed=5) as alone:
        assert plain(alone.images(paths)) == plain(found)


def test_the_processes_stay(pair, paths):
    before = [next(pair.images(paths[:1])), [process.pid for process in processes(pair)]]
    assert len(list(pair.images(paths[:5]))) == 5
    assert list(pair.images([])) == []
    assert [process.pid for process in processes(pair)] == before[1]
    assert all(process.is_alive() for process in processes(pair))


@pytest.mark.parametrize("taken", [1, CHUNK, 3 * CHUNK + 1])
def test_few_images_are_in_flight(pair, paths, taken):
    drawn = []
    images = pair.images((drawn.append(item) or (item, path)) for item, path in paths)
    for _ in range(taken):
        next(images)
    in_flight = AHEAD * pair.workers * CHUNK
    assert len(drawn) <= taken + in_flight
    assert len(drawn) >= min(COUNT, in_flight)
    images.close()  # the rest is given up, and the processes serve the next
    assert [item for item, _ in pair.images(paths[:20])] == list(range(1000, 1020))


def test_without_workers_nothing_is_ahead(paths):
    drawn = []
    decoder = Decoder(0, 16)
    images = decoder.images((drawn.append(item) or (item, path)) for item, path in paths)
    next(images)
    assert drawn == [1000]


def test_nothing_starts_before_it_is_used():
    with Decoder(2, 16) as decoder:
        assert decoder._pool is None
    decoder.close()


def test_a_killed_process_is_one_line(paths, refused):
    with Decoder(1, 16) as decoder:
        images = decoder.images(paths * 20)
        next(images)
        (process,) = processes(decoder)
        os.kill(process.pid, signal.SIGKILL)
        with refused("an image worker process died (exit code -9)", "--workers", kind=RunError, code=1):
            list(images)
        with refused("an image worker process died", kind=RunError, code=1):
            list(decoder.images(paths))
    assert len(list(decoder.images(paths[:3]))) == 3  # with a new process
    decoder.close()


def test_a_process_that_dies_while_it_writes(refused):
    ours, theirs = multiprocessing.Pipe()
    os.write(theirs.fileno(), struct.pack("!i", 1000) + b"half of the results")
    with socket.socket(fileno=os.dup(theirs.fileno())) as writer:
        writer.shutdown(socket.SHUT_WR)
    dead = SimpleNamespace(join=lambda timeout: None, exitcode=-9)
    with ours, theirs, refused("an image worker process died (exit code -9)", kind=RunError, code=1):
        _Worker(dead, ours).ask([])


def test_a_failure_keeps_no_buffer_that_must_outlive_it(refused):
    """Collecting a ``BytesIO`` whose bytes are in use is an error that is raised nowhere (Python 3.13)."""
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    dead = SimpleNamespace(join=lambda timeout: None, exitcode=-9)
    with ours, pytest.raises(RunError) as caught:
        _Worker(dead, ours).ask([(0, "a.png")])
    frames = traceback.walk_tb(caught.value.__cause__.__traceback__)
    kept = [value for frame, _ in frames for value in frame.f_locals.values()]
    assert len(kept) > 3
    assert [view for view in kept if isinstance(view, memoryview) and not isinstance(view.obj, bytes)] == []


def test_closing_in_the_middle_does_not_wait_for_the_work(paths):
    before = threading.active_count()
    with Decoder(1, 512) as decoder:
        images = decoder.images(paths)
        next(images)
        (process,) = processes(decoder)
    assert process.exitcode == -signal.SIGKILL
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
def test_signals_are_the_parents_and_no_worker_outlives_it(end, paths):
    """The workers hold their parent's stdout, which ends when the last of them has."""
    program = f"""
import os, pathlib, signal, sys, time
from tts.data.decoder import Decoder, _Worker
seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: seen.append(number))
def interrupt():
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
start = _Worker.start
def start_and_interrupt(recipe):
    worker = start(recipe)
    interrupt()  # while the process imports
    return worker
_Worker.start = start_and_interrupt
decoder = Decoder(1, 16)
images = decoder.images([(i, pathlib.Path({str(paths[0][1])!r})) for i in range(1000)])
next(images)
interrupt()
for _ in range(500):
    next(images)
print(sorted(set(seen)), flush=True)
{end}
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, start_new_session=True
    )
    assert (done.stdout, done.stderr) == ("[2, 15]\n", "")


def test_the_number_of_processes(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    assert default_workers(999, 1) == 0
    assert [default_workers(1000, local) for local in (1, 2, 4, 8, 40)] == [8, 5, 2, 1, 1]
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert default_workers(1000) == 3


def test_settings_out_of_range(refused):
    with refused("workers -1 must be at least 0"):
        Decoder(-1, 16)
    with refused("unknown crop 'left'; use center or random"):
        Decoder(2, 16, "left")


def test_processes_that_cannot_start(paths, refused, monkeypatch):
    def start(process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", start)
    with Decoder(3, 16) as decoder, refused("cannot start 3 image worker processes", kind=RunError, code=1):
        list(decoder.images(paths))
