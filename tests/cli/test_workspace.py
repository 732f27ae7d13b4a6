"""The work folder: commands without folders, one after the other, in a place where nothing is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tts.data.collect_config import CollectConfig
from tts.scorers import located

Run = Callable[..., Any]
Text = Callable[..., str]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to be in, and no download cache."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TTS_WORK")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return folder


def typed(run: Run, line: str) -> Any:
    """Run a line as it is typed."""
    command, *words = shlex.split(line)
    assert command == "tts"
    return run(*words)


def record(run: str) -> dict[str, Any]:
    """What a run of samples says of itself."""
    found: dict[str, Any] = json.loads((Path("tts-work") / run / "run.json").read_text())
    return found


def test_the_embedded_model_in_three_small_steps(run: Run) -> None:
    done = typed(run, "tts collect --per-class 20")
    assert done.code == 0
    assert done.stdout.splitlines() == [
        "200 images collected in tts-work/var-digits/generated",
        "200 images collected in tts-work/var-digits/real",
    ]
    assert done.stderr == ""
    done = typed(run, "tts train-scorer --loss pairwise --epochs 1 --epoch-pairs 256")
    assert done.code == 0
    assert "note: training on tts-work/var-digits/generated and tts-work/var-digits/real\n" in done.stderr
    scorer = "tts-work/var-digits/scorer/scorer.safetensors"
    assert f"scorer in {scorer} (" in done.stdout
    done = typed(run, "tts sample --selector topk --labels 0 --seeds 0")
    out = "tts-work/var-digits/samples/topk-8-trained"
    assert done.stdout.startswith(f"1 images in {out} (candidates 1,8,8,8, scorer {scorer}, ")
    assert f"note: scorer {scorer}, which was trained for this model" in done.stderr
    made = record("var-digits/samples/topk-8-trained")
    assert made["settings"]["scorer"] == made["scorer"]["file"] == scorer
    assert len(made["scorer"]["sha256"]) == 64


def test_without_data_the_embedded_model_gets_them_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(located, "CollectConfig", partial(CollectConfig, per_class=12))
    done = typed(run, "tts train-scorer --epochs 1 --epoch-pairs 128")
    assert done.code == 0, done.stderr
    commands = "tts collect --backbone var-digits; tts collect --backbone var-digits --real digits"
    assert f"note: no data yet, so first what these do: {commands}\n" in done.stderr
    assert "120 images collected in tts-work/var-digits/real\n" in done.stdout
    assert "scorer in tts-work/var-digits/scorer/" in done.stdout


def test_the_shipped_scorer_comes_after_the_trained_one(run: Run, trained: Any) -> None:
    done = typed(run, "tts sample --labels 0 --seeds 0")
    assert done.stdout.startswith("1 images in tts-work/var-digits/samples/greedy-8 (")
    assert done.stderr == ""
    assert record("var-digits/samples/greedy-8")["settings"]["scorer"] == "learned"
    place = Path("tts-work/var-digits-l/scorer")
    place.mkdir(parents=True)
    (place / "scorer.safetensors").write_bytes((trained.scorer / "scorer.safetensors").read_bytes())
    done = typed(run, "tts sample --backbone var-digits-l --labels 0 --seeds 0")
    assert "note: scorer tts-work/var-digits-l/scorer/scorer.safetensors is left out (" in done.stderr
    assert "; learned is taken in its place" in done.stderr
    assert record("var-digits-l/samples/greedy-8")["settings"]["scorer"] == "learned"


def test_a_scorer_that_is_no_scorer_is_left_out(run: Run) -> None:
    place = Path("tts-work/var-digits/scorer")
    place.mkdir(parents=True)
    (place / "scorer.safetensors").write_bytes(b"nothing")
    done = typed(run, "tts sample --labels 0 --seeds 0")
    assert done.code == 0
    assert "is left out (" in done.stderr
    assert record("var-digits/samples/greedy-8")["settings"]["scorer"] == "learned"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten class folders with pictures."""
    for label in range(10):
        folder = tmp_path / "pictures" / f"class-{label}"
        folder.mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (32, 32), (20 * label, 20 * i, 99)).save(folder / f"{i}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("var-d30", "var"),
        pytest.param("flexvar-d24", "flexvar", marks=pytest.mark.slow),
        pytest.param("var-own", "var-own", marks=pytest.mark.slow),
    ],
)
def test_a_converted_model_goes_the_same_way(
    run: Run, tiny_files: Any, pictures: Path, name: str, text: str
) -> None:
    kind = "flexvar_tiny" if "flex" in name else "var_tiny"
    transformer, tokenizer = tiny_files(kind)
    schedule = "--schedule 1,2,3,4" if "flex" in name else ""
    convert = f"tts convert --transformer {transformer} --tokenizer {tokenizer} {schedule} --name {name}"
    assert f"{name} in tts-work/{name}/model: depth 2" in typed(run, convert).stdout
    refused = typed(run, convert)
    assert (refused.code, "already holds a converted model" in refused.stderr) == (2, True)
    missing = typed(run, f"tts train-scorer --backbone {text}")
    assert missing.code == 2
    assert (
        f"run 'tts collect --backbone {text}' and 'tts collect --backbone {text} --real DIR'"
        in missing.stderr
    )
    done = typed(run, f"tts collect --backbone {text} --per-class 4")
    assert done.stdout == f"40 images collected in tts-work/{name}/generated\n"
    assert (
        done.stderr == f"note: a scorer needs real images, too: 'tts collect --backbone {text} --real DIR'\n"
    )
    done = typed(run, f"tts collect --backbone {text} --real {pictures}")
    assert (done.code, done.stderr) == (0, "")
    done = typed(run, f"tts train-scorer --backbone {text} --epochs 1 --epoch-pairs 128")
    assert (done.code, f"scorer in tts-work/{name}/scorer/" in done.stdout) == (0, True)
    done = typed(run, f"tts sample --backbone {text} --selector topk --labels 0 --seeds 0")
    assert done.stdout.startswith(f"1 images in tts-work/{name}/samples/topk-8-trained (")


def test_the_data_of_others_are_mentioned(run: Run, trained: Any) -> None:
    place = Path("tts-work/var-d30/generated")
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes((trained.generated / "manifest.json").read_bytes())
    typed(run, "tts collect --per-class 12")
    done = typed(run, "tts train-scorer --epochs 1 --epoch-pairs 128")
    assert "var-digits/real; --backbone var-d30 takes other data\n" in done.stderr


@pytest.mark.parametrize(("text", "name"), [("var-d30", "var-d30"), ("flexvar", "flexvar-d24")])
@pytest.mark.parametrize("command", ["collect", "sample"])
def test_without_weights_one_line_says_what_to_do(refuse: Text, command: str, text: str, name: str) -> None:
    line = refuse(command, "--backbone", text)
    assert f"run 'tts fetch {name}'" in line
    assert "--weights" in line
    assert "var-digits" in line
    assert not Path("tts-work").exists()


def test_other_settings_have_a_folder_of_their_own(run: Run) -> None:
    for options in ("", "--candidates 1", "--cfg 3 --sample-all-scales", "--strategy beam:2 --candidates 4"):
        assert typed(run, f"tts sample --labels 0 --seeds 0 {options}").code == 0
    made = sorted(path.name for path in Path("tts-work/var-digits/samples").iterdir())
    assert made == ["beam-2-4", "greedy-8", "greedy-8-sample-all-scales-cfg-3.0", "plain"]
    done = typed(run, "tts grid")
    assert done.code == 0, done.stderr
    assert Path("tts-work/compare.png").is_file()


def test_evaluations_take_the_runs_that_are_there(run: Run, refuse: Text) -> None:
    assert "no finished runs in tts-work; make one with 'tts sample'" in refuse("eval")
    typed(run, "tts sample --per-class 3")
    typed(run, "tts sample --per-class 3 --candidates 1")
    rows = [line.split()[0] for line in typed(run, "tts eval --no-manifold").stdout.splitlines() if line]
    assert rows.index("plain") + 1 == rows.index("greedy-8")
    place = Path("tts-work/var-d30/samples/plain")
    place.mkdir(parents=True)
    (place / "run.json").write_text("{}")
    assert "give those of one model, like tts-work/var-digits/samples/*" in refuse("eval")
    for command in (("eval",), ("collect", "--out", "elsewhere", "--real")):  # runs are no classes
        assert "is no class of images; give folders of 'tts sample'" in refuse(
            *command, "tts-work/var-digits/samples"
        )


@pytest.mark.usefixtures("empty")
def test_the_work_folder_can_be_elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TTS_WORK", str(tmp_path / "elsewhere"))
    typed(run, "tts sample --labels 0 --seeds 0 --candidates 1")
    assert (tmp_path / "elsewhere" / "var-digits" / "samples" / "plain" / "run.json").is_file()
    assert not Path("tts-work").exists()


def test_what_is_finished_is_said(run: Run) -> None:
    typed(run, "tts collect --per-class 12")
    assert typed(run, "tts collect --per-class 12").stdout.count("120 images already collected in ") == 2
    train = "tts train-scorer --epochs 1 --epoch-pairs 128"
    typed(run, train)
    assert "the training is finished, nothing is left to do" in typed(run, train).stderr


@pytest.mark.slow
def test_the_three_lines_as_typed(run: Run) -> None:
    """Those of the README, with the embedded model in the place of the published ones."""
    lines = (
        "tts collect --backbone var-digits",
        "tts train-scorer --loss pairwise",
        "tts sample --backbone var-digits --selector topk",
    )
    for line in lines:
        assert line in (Path(__file__).parents[2] / "README.md").read_text()
        done = typed(run, line)
        assert done.code == 0, done.stderr
    assert "scorer tts-work/var-digits/scorer/scorer.safetensors" in done.stdout


@pytest.mark.slow
def test_the_three_lines_for_converted_published_models(run: Run, tiny_files: Any) -> None:
    for kind, name in (("var_tiny", "var-d30"), ("flexvar_tiny", "flexvar-d24")):
        transformer, tokenizer = tiny_files(kind)
        typed(
            run,
            f"tts convert --transformer {transformer} --tokenizer {tokenizer}"
            f" --schedule 1,2,3,4 --name {name}",
        )
    for line in (
        "tts collect --backbone var-d30",
        "tts train-scorer --loss pairwise",
        "tts sample --backbone flexvar --selector topk",
    ):
        assert typed(run, line).code == 0
