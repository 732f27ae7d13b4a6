"""What happens to a folder that holds something already."""

from __future__ import annotations

import threading
import time

import pytest

from tts.engine import folder as folders
from tts.engine.opening import Mode, check_mode
from tts.errors import CheckpointError, UsageError
from tts.io import read_json, write_json

FINISHED = [
    "all.safetensors",
    *(f"parts/shard-{i:05d}.safetensors" for i in range(3)),
    "plan.json",
    "record.json",
]


def test_a_new_run(runs, expected):
    outcome = runs.run()
    assert (outcome.made, outcome.finished_before, outcome.finished) == (10, False, True)
    assert (outcome.shards_done, outcome.shards) == (3, 3)
    assert runs.values() == expected(10)
    assert runs.names() == FINISHED


def test_a_finished_run_is_left_alone(runs, asked, job):
    runs.run()
    before = {name: (runs.out / name).stat().st_mtime_ns for name in FINISHED}
    one = job()
    for same in (asked(), asked(shard_items=None)):
        outcome = runs.run(same, one)
        assert (outcome.made, outcome.finished_before, outcome.finished) == (0, True, True)
    assert (one.made, one.finished) == ([], 0)
    assert {name: (runs.out / name).stat().st_mtime_ns for name in runs.names()} == before


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "blue", "size": 1}, "(colour, size); choose another --out or pass --overwrite"),
        ({"count": 12}, "(count); choose another --out or pass --overwrite, or --extend to add items"),
        ({"count": 12, "colour": "blue"}, "(colour, count)"),
        ({"shard_items": 5}, "(shard_items)"),
    ],
)
def test_other_settings_are_refused_by_name(runs, asked, finished, changes, words):
    if finished:
        runs.run()
    else:
        with runs.open():
            pass
    before = runs.names()
    with pytest.raises(UsageError, match="holds a run with other settings") as error:
        runs.run(asked(**changes))
    assert words in str(error.value)
    assert runs.names() == before


def test_results_without_a_plan_are_refused(runs):
    runs.run()
    (runs.out / "plan.json").unlink()
    with pytest.raises(UsageError, match=r"holds record.json but no plan.json.*--overwrite"):
        runs.run()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_another_command_is_refused(runs, asked, overwrite):
    runs.run()
    write_json(runs.out / "plan.json", {**read_json(runs.out / "plan.json"), "kind": "other"})
    with pytest.raises(UsageError, match="holds other data; choose another --out"):
        runs.run(asked(), overwrite=overwrite)


def test_a_damaged_plan_is_refused_and_can_be_overwritten(runs, expected):
    runs.run()
    (runs.out / "plan.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"plan\.json is not a valid plan"):
        runs.run()
    runs.run(overwrite=True)
    assert runs.values() == expected(10)


def test_a_damaged_record_is_written_again(runs, expected):
    runs.run()
    (runs.out / "record.json").write_text("{")
    outcome = runs.run()
    assert (outcome.made, outcome.finished) == (0, True)
    assert folders.recorded_plan(runs.out, runs.layout) is not None
    assert runs.values() == expected(10)


class TestExtending:
    def test_adds_what_is_missing(self, runs, asked, job, expected):
        runs.run()
        one = job()
        assert runs.run(asked(17), one, extend=True).made == 7
        assert one.made == list(range(10, 17))
        assert runs.values() == expected(17)
        assert len(runs.names()) == len(FINISHED) + 2

    def test_again_changes_nothing_with_and_without_the_option(self, runs, asked):
        runs.run()
        runs.run(asked(17), extend=True)
        for extend in (True, False):
            assert runs.run(asked(17), extend=extend).finished_before
        assert runs.run(asked(10), extend=True).finished_before  # has these, and more
        with pytest.raises(UsageError, match=r"\(count\)"):
            runs.run(asked(10))

    def test_a_killed_extension_goes_on(self, runs, asked, job, expected):
        runs.run()
        with runs.open(asked(17), extend=True):
            pass
        assert folders.recorded_plan(runs.out, runs.layout) is not None  # the smaller run still stands
        assert runs.run(asked(17), job()).made == 7
        assert runs.values() == expected(17)

    def test_items_in_common_count_once(self, runs, asked, job):
        runs.run(asked(5))
        runs.run(asked(9), extend=True)
        runs.run(asked(12), extend=True)
        assert [seed for _, seed, _ in runs.values()] == list(range(12))

    def test_other_settings_are_refused(self, runs, asked):
        runs.run()
        with pytest.raises(UsageError, match=r"\(colour, count\)"):
            runs.run(asked(12, colour="blue"), extend=True)

    def test_not_while_another_process_is_at_work(self, runs, asked, crowd):
        runs.run()
        with crowd(), pytest.raises(UsageError, match="at work"):
            runs.run(asked(17), extend=True)


class TestOverwriting:
    def test_the_old_run_stays_whole_until_the_new_one_is(self, runs, asked, job, expected):
        runs.run()
        (runs.out / "notes.txt").write_text("mine")

        def look():
            assert runs.values() == expected(10)
            assert (runs.out / "record.json").exists()

        runs.run(asked(6), job(before_batch=look), overwrite=True)
        assert runs.values() == expected(6)
        names = [name for name in FINISHED if "00002" not in name]
        assert runs.names() == sorted(["notes.txt", *names])
        assert not (runs.out / folders.STAGING).exists()

    def test_the_same_settings_are_made_afresh(self, runs, job):
        runs.run()
        one = job()
        assert runs.run(None, one, overwrite=True).made == 10
        assert one.made == list(range(10))

    def test_an_unfinished_run_is_begun_afresh_in_its_place(self, runs, job):
        with pytest.raises(RuntimeError):
            runs.run(None, job(fail_at=5))
        one = job()
        runs.run(None, one, overwrite=True)
        assert one.made == list(range(10))
        assert runs.names() == FINISHED

    def test_a_killed_one_goes_on_without_the_option_and_begins_again_with_it(self, runs, asked, job):
        runs.run()
        for overwrite, made in ((False, [4, 5]), (True, [0, 1, 2, 3, 4, 5])):
            with pytest.raises(RuntimeError):
                runs.run(asked(6), job(fail_at=5), overwrite=True)
            one = job()
            runs.run(asked(6), one, overwrite=overwrite)
            assert one.made == made
            assert runs.names()[-1] == "record.json"

    def test_moving_can_be_interrupted_anywhere(self, runs, asked, monkeypatch, expected):
        """Stop after each file operation of the exchange in turn; opening goes on with it."""
        operations = ("remove_path", "_move")
        originals = {name: getattr(folders, name) for name in operations}
        for left in range(12):
            runs.run(asked(10), overwrite=True)
            counter = iter(range(100))

            def limited(name, counter=counter, left=left):
                def call(*args):
                    if next(counter) == left:
                        raise KeyboardInterrupt
                    return originals[name](*args)

                return call

            for name in operations:
                monkeypatch.setattr(folders, name, limited(name))
            interrupted = False
            try:
                runs.run(asked(6), overwrite=True)
            except KeyboardInterrupt:
                interrupted = True
            monkeypatch.undo()
            runs.run(asked(6))
            assert runs.values() == expected(6)
            assert runs.names() == [name for name in FINISHED if "00002" not in name]
        assert not interrupted  # the last round came through

    def test_while_another_process_makes_the_same_it_joins(self, runs, job, asked, crowd):
        runs.run()
        with runs.open(asked(6), overwrite=True), crowd(folders.STAGING):
            one = job()
            assert runs.run(asked(6), one, overwrite=True).made == 6
        assert one.finished == 1

    def test_not_while_another_process_makes_something_else(self, runs, asked, crowd):
        runs.run()
        with crowd(), pytest.raises(UsageError, match=r"process .* is at work"):
            runs.run(asked(6), overwrite=True)
        assert runs.names() == FINISHED


def test_two_that_open_at_once_share_the_run(runs, job, expected):
    jobs = [job(before_batch=lambda: time.sleep(0.02)) for _ in range(4)]
    threads = [threading.Thread(target=runs.run, args=(None, one)) for one in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seed for one in jobs for seed in one.made) == list(range(10))
    assert sum(one.finished for one in jobs) == 1
    assert runs.values() == expected(10)
    assert runs.names() == FINISHED


@pytest.mark.parametrize(
    ("mode", "share", "words"),
    [
        (Mode(overwrite=True, extend=True), None, "pass one of them"),
        (Mode(overwrite=True), "1/2", "--overwrite does not go with --shard"),
    ],
)
def test_contradictions_are_refused(mode, share, words):
    with pytest.raises(UsageError, match=words):
        check_mode(mode, share)
