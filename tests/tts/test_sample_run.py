"""The whole run of ``tts sample`` with the embedded digits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts import __version__
from tts.backbones.storage import TOKENIZER_FILE, TRANSFORMER_FILE, embedded_folder
from tts.errors import RunError
from tts.io import load_tensors, read_json, save_tensors, sha256_file, to_uint8
from tts.sample_config import SampleConfig
from tts.sample_run import run_sample
from tts.scorers.checkpoint import load_scorer, save_scorer


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


def content(folder):
    """All files but the record, whose timing differs."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_the_summary_says_what_was_made(finished):
    config, summary = finished
    assert summary.out == Path(config.out)
    assert (summary.images, summary.candidates, summary.remarks) == (6, (1, 3, 3, 3), ())
    assert summary.seconds > 0


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
    assert record["settings"] == json.loads(json.dumps(config.settings()))
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
    assert 0 < timing["generate_seconds"] <= timing["total_seconds"]
    assert timing["images_per_second"] == pytest.approx(6 / timing["generate_seconds"])
    assert timing["batch_size"] == 256


def test_the_same_run_again_makes_the_same_files(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    before = content(folder)
    run_sample(replace(config, out=str(folder)))
    assert content(folder) == before
    run_sample(replace(config, out=str(tmp_path / "new")))
    assert content(tmp_path / "new") == before
    for name in ("settings", "resolved", "backbone", "scorer"):
        assert read_json(folder / "run.json")[name] == read_json(summary.out / "run.json")[name]


@pytest.mark.parametrize("execution", [{"batch_size": 1}, {"batch_size": 4, "chunk": 1}, {"score_memory": 1}])
def test_how_a_run_is_carried_out_changes_nothing(finished, tmp_path, execution):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    run_sample(replace(config, out=str(folder), **execution))  # not taken for another run
    ours, theirs = tokens_of(folder), tokens_of(summary.out)
    for name in ("tokens", "winner_index", "labels", "seeds"):
        assert torch.equal(ours[name], theirs[name])
    torch.testing.assert_close(
        ours["winner_scores"], theirs["winner_scores"], rtol=1e-4, atol=1e-4, equal_nan=True
    )


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"cfg": 0.5, "seeds": "0-1"}, "(cfg, seeds)"),
        ({"formats": ("png",)}, "(formats)"),
        ({"scorer": "likelihood"}, "(scorer)"),
        ({"uint8": "round", "candidates": "1"}, "(candidates, uint8)"),
    ],
)
def test_other_settings_are_refused_by_name(finished, changes, fields, refused):
    config, summary = finished
    before = content(summary.out)
    with refused("holds a run with other settings", fields, "--overwrite"):
        run_sample(replace(config, **changes))
    assert content(summary.out) == before


def test_overwriting_leaves_nothing_of_the_old_run(finished, tmp_path):
    config, summary = finished
    folder = tmp_path / "copy"
    shutil.copytree(summary.out, folder)
    changes = {"labels": "3", "formats": ("png",), "save_tokens": False, "trace": False, "overwrite": True}
    run_sample(replace(config, out=str(folder), **changes))
    images = [f"images/0003/{seed:06d}.png" for seed in range(3)]
    assert sorted(content(folder)) == ["grid.png", *images]
    run_sample(replace(config, out=str(folder), **{**changes, "overwrite": False}))


def test_an_exception_in_the_middle_leaves_nothing_half_written(config):
    def interrupt(done, total):
        raise KeyboardInterrupt

    broken = replace(config, formats=("png", "npz"), batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        run_sample(broken, interrupt)
    out = Path(config.out)
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert left == ["images/0007/000000.png", "images/0007/000001.png", "run.json"]
    assert read_json(out / "run.json")["finished"] is False
    run_sample(broken)
    assert read_json(out / "run.json")["finished"] is True
    assert (out / "samples.npz").is_file()
    assert (out / "run.json").is_file()


def test_progress_counts_images(config):
    seen = []
    run_sample(replace(config, batch_size=4), lambda done, total: seen.append((done, total)))
    assert seen == [(4, 6), (6, 6)]


def test_a_run_is_refused_before_anything_is_written(config, refused):
    with refused("randomize-scale 5 is out of range"):
        run_sample(replace(config, randomize_scale=5))
    with refused("unknown format 'gif'"):
        run_sample(replace(config, formats=("gif",)))
    with refused("unknown selector 'gredy'; did you mean 'greedy'?"):
        run_sample(replace(config, selector="gredy"))
    with refused("selector greedy needs a scorer"):
        run_sample(replace(config, scorer="none"))
    assert not Path(config.out).exists()


def test_uint8_rounds_if_asked(finished, tmp_path, digits_backbone):
    config, summary = finished
    out = tmp_path / "rounded"
    run_sample(replace(config, out=str(out), uint8="round"))
    assert read_json(out / "run.json")["resolved"]["uint8"] == "round"
    with np.load(out / "samples.npz") as rounded, np.load(summary.out / "samples.npz") as truncated:
        difference = rounded["arr_0"].astype(int) - truncated["arr_0"]
    assert set(np.unique(difference)) == {0, 1}


def test_a_scorer_of_other_weights_is_remarked(config, digits_scorer, tmp_path):
    network, card = load_scorer(digits_scorer, 4)
    other = tmp_path / "other.safetensors"
    save_scorer(other, network, replace(card, identity=replace(card.identity, weights="0" * 64)))
    (remark,) = run_sample(replace(config, scorer=str(other))).remarks
    assert "other.safetensors was trained on other weights of var-digits" in remark


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
    assert read_json(Path(config.out) / "run.json")["finished"] is False


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
