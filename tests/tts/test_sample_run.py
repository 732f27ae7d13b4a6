"""The whole run of ``tts sample`` with the embedded digits."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts import __version__
from tts.backbones.storage import TOKENIZER_FILE, TRANSFORMER_FILE, embedded_folder
from tts.backbones.var_adapter import VarBackbone
from tts.engine.folder import STAGING, WORK
from tts.engine.progress import Progress
from tts.errors import CheckpointError, RunError, StoppedError, UsageError
from tts.evaluation.digits import CLASSIFIER_FILE, DigitsImageScorer
from tts.io import load_tensors, read_json, save_tensors, sha256_file, to_uint8
from tts.resolve import build_image_scorer
from tts.sample_config import SampleConfig
from tts.sample_job import SampleJob
from tts.sample_run import run_sample
from tts.scorers.checkpoint import load_scorer, save_scorer
from tts.scorers.learned import LearnedScorer


@pytest.fixture
def config(tmp_path, digits_scorer):
    return SampleConfig(
        scorer=str(digits_scorer),
        candidates="3",
        labels="7,1",
        seeds="0-2",
        device="cpu",
        out=str(tmp_path / "run"),
        save_tokens=True,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_scorer):
    """A run with everything written, and its folder."""
    config = SampleConfig(
        scorer=str(digits_scorer),
        candidates="3",
        labels="7,1",
        seeds="0-2",
        device="cpu",
        formats=("png", "npz"),
        out=str(tmp_path_factory.mktemp("finished") / "run"),
        save_tokens=True,
        trace=True,
    )
    return config, run_sample(config)


def tokens_of(out):
    return load_tensors(Path(out) / "tokens.safetensors")[0]


def files(folder):
    """All files and when they were written."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def content(folder):
    """All files but the record, whose timing differs."""
    return {name: data for name, (data, _) in files(folder).items() if name != "run.json"}


def by_item(out):
    """Token maps by label and seed."""
    found = tokens_of(out)
    keys = zip(found["labels"].tolist(), found["seeds"].tolist(), strict=True)
    return dict(zip(keys, found["tokens"].tolist(), strict=True))


def test_the_summary_says_what_was_made(finished):
    config, summary = finished
    assert summary.out == Path(config.out)
    assert (summary.images, summary.candidates, summary.remarks) == (6, (1, 3, 3, 3), ())
    outcome = summary.outcome
    assert (outcome.made, outcome.finished_before, outcome.finished) == (6, False, True)
    assert (outcome.shards_done, outcome.shards) == (1, 1)
    assert summary.images_per_second > 0
    assert summary.images_per_second == read_json(summary.out / "run.json")["timing"]["images_per_second"]


def test_a_run_leaves_nothing_but_its_files(finished):
    _, summary = finished
    images = [f"images/{label}/{seed:06d}.png" for label in ("0001", "0007") for seed in range(3)]
    made = ["plan.json", "run.json", "samples.npz", "shards/shard-00000.safetensors"]
    saved = ["tokens.safetensors", "trace.safetensors"]
    assert sorted(files(summary.out)) == ["grid.png", *images, *made, *saved]
    assert not (summary.out / WORK).exists()


def test_images_are_those_of_the_recorded_maps(finished, digits_backbone):
    _, summary = finished
    tensors, metadata = load_tensors(summary.out / "tokens.safetensors")
    assert metadata == {"backbone": "var-digits", "schedule": "1,2,3,4"}
    expected = to_uint8(digits_backbone.decode(tensors["tokens"]), "truncate").astype(int)
    with np.load(summary.out / "samples.npz", allow_pickle=False) as arrays:
        pixels = arrays["arr_0"]
        assert arrays["arr_1"].tolist() == tensors["labels"].tolist() == [7, 7, 7, 1, 1, 1]
        assert arrays["seeds"].tolist() == tensors["seeds"].tolist() == [0, 1, 2, 0, 1, 2]
    assert pixels.shape == (6, 16, 16, 3)
    assert abs(pixels - expected).max() <= 1
    names = [f"images/{label}/{seed:06d}.png" for label in ("0007", "0001") for seed in range(3)]
    for name, image in zip(names, pixels, strict=True):
        with Image.open(summary.out / name) as opened:
            np.testing.assert_array_equal(np.asarray(opened), image)


def test_scores_and_trace_agree(finished):
    _, summary = finished
    tensors, trace = tokens_of(summary.out), load_tensors(summary.out / "trace.safetensors")[0]
    assert tensors["winner_scores"].isnan().any(dim=0).tolist() == [True, False, False, False]
    assert not tensors["winner_index"][:, 0].any()
    assert set(trace) == {"scores.2", "scores.3", "scores.4"}
    for scale in (2, 3, 4):
        best, index = trace[f"scores.{scale}"].max(dim=1)
        assert torch.equal(tensors["winner_scores"][:, scale - 1], best)
        assert torch.equal(tensors["winner_index"][:, scale - 1], index)


def test_the_record_says_how_it_was_made(finished, digits_backbone, digits_scorer):
    config, summary = finished
    record = read_json(summary.out / "run.json")
    settings = {**config.settings(), **config.choice()}
    assert record["settings"] == json.loads(json.dumps(settings))
    assert (record["settings"]["labels"], record["settings"]["seeds"]) == ("7,1", "0-2")
    assert (record["finished"], record["images"]) == (True, 6)
    assert record["resolved"]["candidates"] == [1, 3, 3, 3]
    assert record["resolved"]["cfg"] == 1.5
    assert (record["resolved"]["stream"], record["resolved"]["items"]) == ("SAMPLE", 6)
    assert record["resolved"]["uint8"] == "truncate"
    assert record["backbone"]["name"] == "var-digits"
    assert record["backbone"]["weights_sha256"] == digits_backbone.weights_hash()
    assert record["scorer"]["name"] == "learned"
    assert record["scorer"]["sha256"] == sha256_file(digits_scorer)
    assert record["scorer"]["training"] == {"settings": {"seed": 3}}
    assert record["selector"] == "greedy"
    assert record["environment"]["scalewise-tts"] == __version__
    assert record["environment"]["libraries"]["torch"] == torch.__version__
    assert record["environment"]["device"] == "cpu"
    assert any(plugin.startswith("scalewise-tts ") for plugin in record["environment"]["plugins"])
    timing = record["timing"]
    assert timing["generate_seconds"] > 0
    assert timing["images_per_second"] == pytest.approx(6 / timing["generate_seconds"])
    assert (timing["images"], timing["batch_size"]) == (6, 256)


def test_the_time_is_that_of_generating(config):
    started = time.perf_counter()
    run_sample(replace(config, batch_size=2), lambda progress: time.sleep(0.1))
    elapsed = time.perf_counter() - started
    assert 0 < read_json(Path(config.out) / "run.json")["timing"]["generate_seconds"] <= elapsed - 0.3


def test_the_same_run_again_changes_nothing(finished):
    config, summary = finished
    before = files(summary.out)
    again = run_sample(config)
    assert files(summary.out) == before
    assert (again.images, again.outcome.made, again.outcome.finished_before) == (6, 0, True)
    assert again.images_per_second == summary.images_per_second


def test_the_same_run_elsewhere_makes_the_same_files(finished, tmp_path):
    config, summary = finished
    run_sample(replace(config, out=str(tmp_path)))
    assert content(tmp_path) == content(summary.out)
    for name in ("settings", "resolved", "backbone", "scorer"):
        assert read_json(tmp_path / "run.json")[name] == read_json(summary.out / "run.json")[name]


@pytest.mark.parametrize("choice", [{"seeds": "2,1,0"}, {"labels": "1,7"}, {"seeds": "0,1-2"}])
def test_the_same_images_said_otherwise_are_the_same_run(finished, choice):
    config, summary = finished
    before = files(summary.out)
    assert run_sample(replace(config, **choice)).outcome.finished_before
    assert files(summary.out) == before


EXECUTIONS = [{"batch_size": 1}, {"batch_size": 4, "chunk": 1}, {"score_memory": 1}]


@pytest.mark.parametrize("execution", [*EXECUTIONS, {"shard_items": 4}])
def test_how_a_run_is_carried_out_changes_nothing(finished, tmp_path, execution):
    config, summary = finished
    run_sample(replace(config, out=str(tmp_path), **execution))
    ours, theirs = tokens_of(tmp_path), tokens_of(summary.out)
    for name in ("tokens", "winner_index", "labels", "seeds"):
        assert torch.equal(ours[name], theirs[name])
    torch.testing.assert_close(
        ours["winner_scores"], theirs["winner_scores"], rtol=1e-4, atol=1e-4, equal_nan=True
    )


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_run_carried_out_otherwise_is_no_other_run(finished, execution):
    config, summary = finished
    before = files(summary.out)
    assert run_sample(replace(config, **execution)).outcome.finished_before
    assert files(summary.out) == before


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"cfg": 0.5, "seeds": "0-1"}, "(cfg, seeds)"),
        ({"formats": ("png",)}, "(formats)"),
        ({"scorer": "likelihood"}, "(scorer)"),
        ({"uint8": "round", "candidates": "1"}, "(candidates, uint8)"),
        ({"shard_items": 4}, "(shard_items)"),
    ],
)
@pytest.mark.parametrize("extend", [False, True])
def test_other_settings_are_refused_by_name(finished, changes, fields, extend):
    config, summary = finished
    before = files(summary.out)
    words = f"holds a run with other settings {fields}; choose another --out or pass --overwrite"
    with pytest.raises(UsageError, match=f"{re.escape(words)}$"):  # and no word of --extend
        run_sample(replace(config, **changes, extend=extend))
    assert files(summary.out) == before


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"seeds": "0-3"}, "(seeds)"),
        ({"seeds": "0-1"}, "(seeds)"),
        ({"labels": "7,2"}, "(labels)"),
        ({"labels": None, "seeds": None, "per_class": 3}, "(labels, per_class, seeds)"),
    ],
)
def test_other_images_are_refused_by_name(finished, changes, fields, refused):
    config, summary = finished
    before = files(summary.out)
    with refused("holds a run with other settings", fields, "--overwrite, or --extend to add items"):
        run_sample(replace(config, **changes))
    assert files(summary.out) == before


def test_other_weights_under_the_same_name_are_refused(config, monkeypatch, refused):
    config = replace(config, scorer="likelihood")  # a trained one would be refused itself
    run_sample(config)
    before = files(config.out)
    monkeypatch.setattr(VarBackbone, "weights_hash", lambda self: "0" * 64)
    with refused("(weights)"):
        run_sample(config)
    assert files(config.out) == before


def test_another_scorer_under_the_same_name_is_refused(config, digits_scorer, tmp_path, refused):
    scorer = tmp_path / "scorer.safetensors"
    shutil.copy(digits_scorer, scorer)
    run_sample(replace(config, scorer=str(scorer)))
    before = files(config.out)
    network, card, _ = load_scorer(digits_scorer, 4)
    save_scorer(scorer, network, replace(card, training={"settings": {"seed": 4}}))
    with refused("(scorer)"):
        run_sample(replace(config, scorer=str(scorer)))
    assert files(config.out) == before


def test_overwriting_leaves_nothing_of_the_old_run(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    (folder / "notes.txt").write_text("mine")
    changes = {"labels": "3", "formats": ("png",), "save_tokens": False, "trace": False, "overwrite": True}
    run_sample(replace(config, out=str(folder), **changes))
    images = [f"images/0003/{seed:06d}.png" for seed in range(3)]
    made = ["grid.png", *images, "notes.txt", "plan.json", "shards/shard-00000.safetensors"]
    assert sorted(content(folder)) == made
    assert run_sample(
        replace(config, out=str(folder), **{**changes, "overwrite": False})
    ).outcome.finished_before


def test_overwriting_with_the_same_settings_makes_the_images_anew(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    before = files(folder)
    outcome = run_sample(replace(config, out=str(folder), overwrite=True)).outcome
    assert (outcome.made, outcome.finished_before) == (6, False)
    after = files(folder)
    assert content(folder) == content(summary.out)
    assert all(after[name][1] > written for name, (_, written) in before.items())


def test_an_overwritten_run_stays_whole_until_the_new_one_is_finished(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    before = files(folder)
    new = replace(config, out=str(folder), cfg=0.5, batch_size=2, shard_items=2)
    seen = []

    def interrupt(progress):
        seen.append(progress.items_done)
        kept = {name: file for name, file in files(folder).items() if not name.startswith((STAGING, WORK))}
        assert kept == before
        if progress.items_done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sample(replace(new, overwrite=True), interrupt)
    assert seen == [0, 2, 4]
    kept = {name: file for name, file in files(folder).items() if not name.startswith((STAGING, WORK))}
    assert kept == before
    outcome = run_sample(new).outcome  # what was begun goes on
    assert (outcome.made, outcome.finished) == (4, True)
    run_sample(replace(new, out=str(tmp_path / "whole")))
    assert content(folder) == content(tmp_path / "whole")
    assert not (folder / STAGING).exists()


def test_an_exception_loses_the_current_shard_only(config, tmp_path):
    def interrupt(progress):
        if progress.items_done == 4:
            raise KeyboardInterrupt

    broken = replace(config, formats=("png", "npz"), batch_size=2, shard_items=2)
    with pytest.raises(KeyboardInterrupt):
        run_sample(broken, interrupt)
    out = Path(config.out)
    left = {name for name in files(out) if not name.startswith(WORK)}
    images = {"images/0007/000000.png", "images/0007/000001.png"}
    assert left == {*images, "plan.json", "shards/shard-00000.safetensors"}
    seen = []
    assert run_sample(broken, seen.append).outcome.made == 4
    assert [progress.items_done for progress in seen] == [2, 4, 6, 6]
    assert read_json(out / "run.json")["finished"] is True
    assert read_json(out / "run.json")["timing"]["images"] == 6
    run_sample(replace(broken, out=str(tmp_path / "whole")))
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)]
)
def test_a_signal_stops_after_the_batch_and_keeps_it(config, tmp_path, refused, number, name, code):
    stopped = replace(config, formats=("png", "npz"), batch_size=4)
    with refused(f"{name}; 0 of 1 shards are whole, run the same command", kind=StoppedError, code=code):
        run_sample(stopped, lambda progress: progress.items_done and os.kill(os.getpid(), number))
    out = Path(config.out)
    assert {name for name in files(out) if not name.startswith(WORK)} == {"plan.json"}
    assert [path.name for path in (out / WORK).glob("partial-*")] == ["partial-00000.safetensors"]
    assert run_sample(stopped).outcome.made == 2
    assert read_json(out / "run.json")["timing"]["images"] == 6
    run_sample(replace(stopped, out=str(tmp_path / "whole")))
    assert content(out) == content(tmp_path / "whole")


def test_a_signal_at_the_end_of_a_shard_keeps_the_shard(config, refused):
    stopped = replace(config, shard_items=3)
    with refused("interrupted; 1 of 2 shards are whole", kind=StoppedError, code=130):
        run_sample(stopped, lambda progress: progress.items_done and os.kill(os.getpid(), signal.SIGINT))
    assert run_sample(stopped).outcome.made == 3


def test_progress_counts_images_and_shards(config):
    seen = []
    run_sample(replace(config, batch_size=2, shard_items=4), seen.append)
    assert all(isinstance(progress, Progress) for progress in seen)
    counts = [(p.items_done, p.items, p.shards_done, p.shards, p.processes) for p in seen]
    assert counts == [(n, 6, done, 2, 1) for n, done in ((0, 0), (2, 0), (4, 0), (6, 1), (6, 2))]
    first, *later = seen
    assert first.items_per_second is first.seconds_left is None
    assert all(progress.items_per_second > 0 for progress in later)
    assert [progress.seconds_left > 0 for progress in later] == [True, True, False, False]


def test_files_are_the_same_where_shards_are_published_beside_the_making(config, tmp_path, monkeypatch):
    some = replace(config, batch_size=2, shard_items=2, formats=("png", "npz"), trace=True)
    run_sample(some)
    monkeypatch.setattr(SampleJob, "overlaps", True)
    run_sample(replace(some, out=str(tmp_path / "beside")))
    plain, beside = Path(some.out), tmp_path / "beside"
    names = sorted(str(path.relative_to(plain)) for path in plain.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(beside)) for path in beside.rglob("*") if path.is_file())
    changed = [name for name in names if (plain / name).read_bytes() != (beside / name).read_bytes()]
    assert changed == ["run.json"]


def test_images_that_cannot_be_written_beside_the_making_are_one_line(config, monkeypatch, refused):
    monkeypatch.setattr(SampleJob, "overlaps", True)
    Path(config.out).mkdir()
    (Path(config.out) / "images").write_text("mine")
    with refused("cannot write", "images", "check the space", kind=RunError, code=1):
        run_sample(replace(config, batch_size=1, shard_items=2))
    (Path(config.out) / "images").unlink()
    assert run_sample(replace(config, batch_size=1, shard_items=2)).outcome.made == 6


def test_more_images_can_be_added(finished, tmp_path):
    config, summary = finished
    folder, more = tmp_path / "copy", {"labels": "7,1,3", "seeds": "0-3"}
    shutil.copytree(summary.out, folder)
    before = files(folder)
    added = run_sample(replace(config, out=str(folder), **more, extend=True))
    assert (added.images, added.outcome.made) == (12, 6)
    after = files(folder)
    kept = [name for name in before if name.startswith(("images/", "shards/"))]
    assert len(kept) == 7
    assert all(after[name] == before[name] for name in kept)
    run_sample(replace(config, out=str(tmp_path / "new"), **more))
    assert by_item(folder) == by_item(tmp_path / "new")
    assert {name for name in after if name.startswith("images/")} == {
        name for name in files(tmp_path / "new") if name.startswith("images/")
    }
    old, found = tokens_of(summary.out), tokens_of(folder)
    for name, column in old.items():
        torch.testing.assert_close(found[name][:6], column, rtol=0, atol=0, equal_nan=True)
    with np.load(folder / "samples.npz") as arrays, np.load(summary.out / "samples.npz") as first:
        assert len(arrays["arr_0"]) == 12
        np.testing.assert_array_equal(arrays["arr_0"][:6], first["arr_0"])
        assert arrays["seeds"].tolist() == found["seeds"].tolist()
    record, timing = read_json(folder / "run.json"), read_json(summary.out / "run.json")["timing"]
    assert (record["images"], record["timing"]["images"], record["resolved"]["items"]) == (12, 12, 12)
    assert record["timing"]["generate_seconds"] > timing["generate_seconds"]
    for same in (more, {**more, "extend": True}, {"extend": True}):  # all of these are there now
        assert run_sample(replace(config, out=str(folder), **same)).outcome.finished_before
    assert files(folder) == after


def test_an_interrupted_extension_keeps_the_run_and_goes_on(finished, tmp_path):
    def interrupt(progress):
        raise KeyboardInterrupt

    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    before = files(folder)
    more = replace(config, out=str(folder), seeds="0-4", extend=True)
    with pytest.raises(KeyboardInterrupt):
        run_sample(more, interrupt)
    after = files(folder)
    assert {name for name in before if after[name] != before[name]} == {"plan.json"}
    assert run_sample(replace(more, extend=False)).outcome.made == 4
    assert len(by_item(folder)) == read_json(folder / "run.json")["timing"]["images"] == 10


def test_shares_of_a_run_make_the_same_run(config, tmp_path):
    shared = replace(config, shard_items=2, batch_size=2, formats=("png", "npz"), trace=True)
    first = run_sample(replace(shared, shard="1/2"))
    assert (first.images, first.outcome.made, first.outcome.finished) == (6, 4, False)
    assert (first.outcome.shards_done, first.outcome.shards) == (2, 3)
    assert first.images_per_second is None
    assert not (Path(config.out) / "run.json").exists()
    again = run_sample(replace(shared, shard="1/2"))
    assert (again.outcome.made, again.outcome.finished) == (0, False)
    second = run_sample(replace(shared, shard="2/2"))
    assert (second.outcome.made, second.outcome.finished) == (2, True)
    assert second.images_per_second > 0
    run_sample(replace(shared, out=str(tmp_path / "whole")))
    assert content(config.out) == content(tmp_path / "whole")
    assert run_sample(replace(shared, shard="1/2")).outcome.finished_before


def test_a_damaged_shard_is_made_again(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    (folder / "run.json").unlink()
    shard = folder / "shards" / "shard-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    warnings = []
    assert run_sample(replace(config, out=str(folder)), warn=warnings.append).outcome.made == 6
    (warning,) = warnings
    assert str(shard) in warning
    assert "does not match its checksum" in warning
    assert content(folder) == content(summary.out)


def test_out_of_memory_makes_smaller_batches_and_the_same_images(finished, tmp_path, monkeypatch):
    score = LearnedScorer.score

    def tight(self, proposals):
        if len(proposals.labels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(self, proposals)

    config, summary = finished
    monkeypatch.setattr(LearnedScorer, "score", tight)
    warnings = []
    run_sample(replace(config, out=str(tmp_path)), warn=warnings.append)
    assert warnings == ["the device ran out of memory; going on with smaller batches"]
    assert by_item(tmp_path) == by_item(summary.out)
    assert read_json(tmp_path / "run.json")["timing"]["batch_size"] == 1  # 6 halved twice


def test_a_run_is_refused_before_anything_is_written(config, refused):
    with refused("randomize-scale 5 is out of range"):
        run_sample(replace(config, randomize_scale=5))
    with refused("unknown format 'gif'"):
        run_sample(replace(config, formats=("gif",)))
    with refused("unknown selector 'gredy'; did you mean 'greedy'?"):
        run_sample(replace(config, selector="gredy"))
    with refused("selector greedy needs a scorer"):
        run_sample(replace(config, scorer="none"))
    with refused("shard '3/2' must be i/n with i from 1 to n; for example 2/8"):
        run_sample(replace(config, shard="3/2"))
    with refused("shard-items 0 must be at least 1; the default is 512"):
        run_sample(replace(config, shard_items=0))
    assert not Path(config.out).exists()


def test_uint8_rounds_if_asked(finished, tmp_path, digits_backbone):
    config, summary = finished
    out = tmp_path / "rounded"
    run_sample(replace(config, out=str(out), uint8="round"))
    assert read_json(out / "run.json")["resolved"]["uint8"] == "round"
    with np.load(out / "samples.npz") as rounded, np.load(summary.out / "samples.npz") as truncated:
        difference = rounded["arr_0"].astype(int) - truncated["arr_0"]
    assert set(np.unique(difference)) == {0, 1}


def test_a_scorer_of_other_weights_is_refused(config, digits_scorer, tmp_path, refused):
    network, card, _ = load_scorer(digits_scorer, 4)
    other = tmp_path / "other.safetensors"
    save_scorer(other, network, replace(card, identity=replace(card.identity, weights="0" * 64)))
    with refused(
        "scorer was trained for other weights (var-digits, 000000000000), got", kind=CheckpointError
    ):
        run_sample(replace(config, scorer=str(other)))


def test_greedy_decoding_leaves_one_candidate_and_says_so(config):
    summary = run_sample(replace(config, top_k=1, scorer="likelihood"))
    assert summary.candidates == (1, 1, 1, 1)
    (remark,) = summary.remarks
    assert remark.startswith("decoding is greedy at scale 2, 3, 4")


def test_one_candidate_needs_no_scorer(config, monkeypatch, tmp_path):
    monkeypatch.setattr("tts.scorers.learned.EMBEDDED", tmp_path)  # no scorer ships
    run_sample(replace(config, scorer="auto", candidates="1"))
    record = read_json(Path(config.out) / "run.json")
    assert record["scorer"] is None
    assert tokens_of(config.out)["winner_scores"].isnan().all()


def test_a_selector_that_ignores_scores_needs_no_scorer(config, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for source, name in zip(embedded_folder("var-digits"), (TRANSFORMER_FILE, TOKENIZER_FILE), strict=True):
        shutil.copy(source, folder / name)
    run_sample(replace(config, backbone=str(folder), scorer="auto", selector="random"))
    assert read_json(Path(config.out) / "run.json")["scorer"] is None


def test_plugins_observe_every_choice(config, install):
    install(
        "acme-watch",
        """
        seen = []

        @tts.hookimpl
        def tts_after_scale(event):
            seen.append((event.scale, event.duplicates.tolist()))
        """,
    )
    run_sample(config)
    import acme_watch

    assert [scale for scale, _ in acme_watch.seen] == [1, 2, 3]


def test_a_failing_observer_ends_the_run_by_name(config, install, refused):
    install(
        "acme-watch",
        """
        @tts.hookimpl
        def tts_after_scale(event):
            raise ValueError("no disk")
        """,
    )
    with refused("acme-watch", "no disk", kind=RunError, code=1):
        run_sample(config)
    assert {name for name in files(config.out) if not name.startswith(WORK)} == {"plan.json"}


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_from_saved_maps_the_same_run_follows(finished, tmp_path, scale):
    config, summary = finished
    saved = str(summary.out / "tokens.safetensors")
    changes = {"labels": None, "seeds": None, "from_tokens": saved, "from_scale": scale}
    run_sample(replace(config, out=str(tmp_path), trace=False, **changes))
    ours, theirs = tokens_of(tmp_path), tokens_of(summary.out)
    for name in ("tokens", "labels", "seeds"):
        assert torch.equal(ours[name], theirs[name])
    assert ours["winner_scores"][:, : scale - 1].isnan().all()
    torch.testing.assert_close(
        ours["winner_scores"][:, max(1, scale - 1) :], theirs["winner_scores"][:, max(1, scale - 1) :]
    )


def test_from_saved_maps_with_other_settings_the_rest_changes(finished, tmp_path):
    config, summary = finished
    saved = str(summary.out / "tokens.safetensors")
    changes = {"labels": None, "seeds": None, "from_tokens": saved, "from_scale": 3, "candidates": "1"}
    run_sample(replace(config, out=str(tmp_path), trace=False, **changes))
    ours, theirs = tokens_of(tmp_path)["tokens"], tokens_of(summary.out)["tokens"]
    assert torch.equal(ours[:, :5], theirs[:, :5])  # scales 1 and 2
    assert not torch.equal(ours[:, 5:], theirs[:, 5:])


def test_from_saved_maps_with_new_seeds(finished, config, tmp_path):
    _, summary = finished
    rows = tmp_path / "rows.safetensors"
    tensors, metadata = load_tensors(summary.out / "tokens.safetensors")
    save_tensors(rows, {key: value[[0, 3]] for key, value in tensors.items()}, metadata)
    changes = {"labels": None, "seeds": "50-52", "from_tokens": str(rows), "from_scale": 2}
    run_sample(replace(config, **changes))
    found = tokens_of(config.out)
    assert found["labels"].tolist() == [7, 7, 7, 1, 1, 1]
    assert found["seeds"].tolist() == [50, 51, 52] * 2
    assert torch.equal(found["tokens"][:, 0], tensors["tokens"][[0, 0, 0, 3, 3, 3], 0])
    assert len(found["tokens"].unique(dim=0)) == 6


def test_from_maps_of_another_schedule(config, tmp_path, refused):
    file = tmp_path / "maps.safetensors"
    one = torch.zeros(1, dtype=torch.int64)
    save_tensors(file, {"tokens": one.expand(1, 30), "labels": one, "seeds": one + 1}, {"schedule": "1,2,5"})
    with refused(str(file), "holds no token maps of schedule 1,2,3,4"):
        run_sample(replace(config, labels=None, seeds=None, from_tokens=str(file), from_scale=2))


@pytest.mark.parametrize("scale", [1, 4])
def test_a_randomized_scale(finished, tmp_path, scale, digits_backbone):
    config, summary = finished
    run_sample(replace(config, out=str(tmp_path), randomize_scale=scale))
    lengths = (1, 4, 9, 16)
    ours = tokens_of(tmp_path)["tokens"].split(lengths, dim=1)
    theirs = tokens_of(summary.out)["tokens"].split(lengths, dim=1)
    assert [torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)] == [
        k + 1 != scale for k in range(4)
    ]
    expected = to_uint8(digits_backbone.decode(torch.cat(ours, dim=1)), "truncate").astype(int)
    with np.load(tmp_path / "samples.npz") as arrays:
        assert abs(arrays["arr_0"] - expected).max() <= 1


@pytest.fixture
def whole_images(config):
    """Four images an item, of which the judge of digits keeps one."""
    return replace(config, strategy="best-of-n", scorer="auto", candidates="4")


def test_best_of_n_records_who_judged(whole_images, digits_backbone):
    summary = run_sample(whole_images)
    assert (summary.images, summary.whole_images, summary.remarks) == (6, 4, ())
    record, found = read_json(summary.out / "run.json"), tokens_of(summary.out)
    assert (record["strategy"], record["scorer"], record["selector"]) == ("best-of-n", None, None)
    assert record["image_scorer"] == {"name": "digits", "sha256": sha256_file(CLASSIFIER_FILE)}
    assert record["settings"]["strategy"] == "best-of-n"
    assert record["resolved"]["whole_images"] == 4
    scores = found["winner_scores"]
    assert scores.isnan().any(dim=0).tolist() == [True, True, True, False]
    assert 0 <= found["winner_index"][:, -1].min() < found["winner_index"][:, -1].max() < 4
    judge = build_image_scorer("digits", digits_backbone.info, torch.device("cpu"))
    expected = judge.score(digits_backbone.decode(found["tokens"]), found["labels"])
    torch.testing.assert_close(scores[:, -1], expected, rtol=1e-4, atol=1e-4)


def test_best_of_n_goes_on_and_is_another_run_than_others(whole_images, tmp_path, refused):
    run_sample(replace(whole_images, shard_items=3, shard="1/2", out=str(tmp_path / "parts")))
    run_sample(replace(whole_images, out=str(tmp_path / "parts")))
    run_sample(replace(whole_images, shard_items=3))
    parts, whole = tokens_of(tmp_path / "parts"), tokens_of(whole_images.out)
    for name in ("tokens", "winner_index"):
        assert torch.equal(parts[name], whole[name])
    before = files(whole_images.out)
    for changes, names in (
        ({"candidates": "5"}, "(candidates)"),
        ({"image_scorer": "digits"}, "(image_scorer)"),
        ({"strategy": "lsrs"}, "(scorer, strategy)"),  # whose "auto" is a scorer of scales
    ):
        with refused(names):
            run_sample(replace(whole_images, **changes))
    assert files(whole_images.out) == before


def test_another_judge_under_the_same_name_is_another_run(whole_images, monkeypatch, refused):
    run_sample(whole_images)
    monkeypatch.setattr(DigitsImageScorer, "describe", lambda self: {"sha256": "5" * 64, "file": "x"})
    with refused("(image_scorer)"):
        run_sample(whole_images)


def test_greedy_decoding_leaves_one_whole_image_and_says_so(whole_images):
    summary = run_sample(replace(whole_images, top_k=1))
    assert summary.whole_images == 1
    (remark,) = summary.remarks
    assert remark.startswith("decoding is greedy at every scale: one image an item")
    assert tokens_of(summary.out)["winner_scores"].isnan().all()


def test_runs_of_earlier_versions_go_on(finished):
    """Their plans know of one strategy only, so a plan of that strategy says nothing of it."""
    _, summary = finished
    plan = read_json(summary.out / "plan.json")
    assert {"strategy", "image_scorer", "sampler"}.isdisjoint(plan["settings"])
    assert {"image_scorer", "whole_images", "sampler"}.isdisjoint(plan["identity"])
    assert set(plan["identity"]) == {
        *("weights_sha256", "schedule", "scorer_sha256", "tokens_sha256", "candidates", "cfg", "top_k"),
        *("top_p", "stream", "trace", "decode", "uint8_rule"),
    }
