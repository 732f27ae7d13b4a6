"""From the names on the command line to built parts."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

import tts
from tts.backbones.storage import TOKENIZER_FILE, TRANSFORMER_FILE, embedded_folder
from tts.config import DTYPE_NAMES
from tts.errors import CheckpointError, PluginError
from tts.manager import get_plugins
from tts.resolve import (
    build_backbone,
    build_image_scorer,
    build_scorer,
    build_selector,
    find_backbone,
    split_argument,
    torch_device,
    torch_dtype,
)
from tts.scorers.learned import LearnedScorer
from tts.scorers.likelihood import LikelihoodScorer
from tts.selectors import GreedySelector, RandomSelector, SoftmaxSelector, TopKSelector

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that the machine has so many CUDA devices, and MPS or not."""

    def pretend(cuda, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.fixture
def converted(tmp_path):
    """The embedded digits as a folder of ``tts convert``."""
    folder = tmp_path / "converted"
    folder.mkdir()
    for source, name in zip(embedded_folder("var-digits"), (TRANSFORMER_FILE, TOKENIZER_FILE), strict=True):
        shutil.copy(source, folder / name)
    return folder


@pytest.fixture
def spec():
    return get_plugins().backbones.get("var-digits")


def test_auto_takes_the_best_device(gpus):
    gpus(2)
    assert torch_device("auto") == torch.device("cuda")
    gpus(0, mps=True)
    assert torch_device("auto") == torch.device("mps")
    gpus(0)
    assert torch_device("auto") == CPU


@pytest.fixture
def launched(monkeypatch):
    """Pretend to be one of ``torchrun``'s processes."""

    def pretend(world, local_rank):
        variables = {
            "MASTER_ADDR": "node0",
            "RANK": local_rank,
            "WORLD_SIZE": world,
            "LOCAL_RANK": local_rank,
            "LOCAL_WORLD_SIZE": world,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return pretend


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_a_launch_has_its_own_gpu(gpus, launched, name):
    gpus(4)
    launched(4, 2)
    assert torch_device(name) == torch.device("cuda:2")
    gpus(2)  # more processes than GPUs share them
    launched(4, 3)
    assert torch_device(name) == torch.device("cuda:1")
    launched(1, 0)
    assert torch_device(name) == torch.device("cuda")


def test_a_launch_leaves_other_devices_alone(gpus, launched):
    launched(4, 2)
    gpus(4)
    assert torch_device("cuda:1") == torch.device("cuda:1")
    assert torch_device("cpu") == torch_device("CPU") == CPU
    assert torch_device("CUDA:1") == torch.device("cuda:1")
    gpus(0)
    assert torch_device("auto") == CPU


def test_devices_that_are_there(gpus):
    gpus(2, mps=True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert torch_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_devices_that_are_not_there(gpus, name, refused):
    gpus(0)
    with refused(f"device {name!r} is not available on this machine", "--device"):
        torch_device(name)


def test_a_gpu_too_many(gpus, refused):
    gpus(2)
    with refused("device 'cuda:2' is not available"):
        torch_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:-1", "cpu:0", "mps:0", "tpu:1"])
def test_devices_that_do_not_exist(gpus, name, refused):
    gpus(2)
    with refused(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps"):
        torch_device(name)


def test_dtypes(refused):
    assert torch_dtype("float32") is torch.float32
    assert torch_dtype("bfloat16") is torch.bfloat16
    assert torch_dtype("float16") is torch.float16
    for name, others in DTYPE_NAMES.items():
        for other in (name.upper(), f"torch.{name}", *others, *map(str.upper, others)):
            assert torch_dtype(other) is getattr(torch, name)
    for name in ("float64", "int8", ""):
        with refused(f"unknown dtype {name!r}; use float32, bfloat16, float16"):
            torch_dtype(name)


def test_names_and_aliases_of_backbones():
    assert find_backbone("var-digits")[0].name == "var-digits"
    spec, files = find_backbone("var")
    assert (spec.name, files) == ("var-d30", ())


def test_unknown_backbones(refused, tmp_path):
    with refused("unknown backbone 'var-d17'; did you mean", kind=PluginError):
        find_backbone("var-d17")
    for text in (str(tmp_path / "none"), "./none", "some/where"):
        with refused(f"no backbone folder {text!r}", "tts convert", "tts list"):
            find_backbone(text)


def test_a_folder_is_a_backbone(converted, digits_backbone):
    spec, files = find_backbone(str(converted))
    assert (spec.name, files, spec.default_scorer) == ("var-digits", (converted,), None)
    built_spec, backbone = build_backbone(str(converted), (), CPU, torch.float32)
    assert built_spec == spec
    assert backbone.info == digits_backbone.info
    assert backbone.weights_hash() == digits_backbone.weights_hash()
    tokens = torch.arange(60).view(2, 30)
    assert torch.equal(backbone.decode(tokens), digits_backbone.decode(tokens))


def test_a_folder_without_a_model(tmp_path, refused):
    with refused(TRANSFORMER_FILE, kind=CheckpointError):
        find_backbone(str(tmp_path))


def test_a_folder_has_its_own_weights(converted, refused):
    with refused("--weights does not go with the converted folder"):
        build_backbone(str(converted), (converted / TRANSFORMER_FILE,), CPU, torch.float32)


def test_a_folder_of_results_does_not_hide_a_name(tmp_path, monkeypatch, digits_backbone, spec, refused):
    for name in ("var-digits", "var", "likelihood", "learned"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_backbone("var-digits") == (spec, ())
    assert find_backbone("var")[0].name == "var-d30"
    with refused(TRANSFORMER_FILE, kind=CheckpointError):
        find_backbone("./var-digits")
    assert isinstance(build_scorer("likelihood", spec, digits_backbone, CPU), LikelihoodScorer)


def test_the_embedded_model_is_built_by_name(digits_backbone):
    spec, backbone = build_backbone("var-digits", (), CPU, torch.float32)
    assert spec.default_scorer == "learned"
    assert backbone.info == digits_backbone.info
    assert backbone.info.schedule == spec.schedule
    assert backbone.info.classes == spec.classes
    assert backbone.info.codebook_size == spec.codebook_size


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("learned", ("learned", None)),
        ("learned:x.pth", ("learned", "x.pth")),
        ("learned:C:\\x", ("learned", "C:\\x")),
        ("learned:", ("learned", "")),
    ],
)
def test_a_name_and_its_argument(text, parts):
    assert split_argument(text) == parts


def test_no_scorer(spec, digits_backbone):
    assert build_scorer("none", spec, digits_backbone, CPU) is None


def test_scorers_by_name(spec, digits_backbone, digits_scorer):
    assert isinstance(build_scorer("likelihood", spec, digits_backbone, CPU), LikelihoodScorer)
    scorer = build_scorer(f"learned:{digits_scorer}", spec, digits_backbone, CPU)
    assert isinstance(scorer, LearnedScorer)
    assert scorer.path == digits_scorer


def test_a_scorer_by_file_or_folder(spec, digits_backbone, digits_scorer):
    for text in (str(digits_scorer), str(digits_scorer.parent)):
        scorer = build_scorer(text, spec, digits_backbone, CPU)
        assert isinstance(scorer, LearnedScorer)
        assert scorer.path == digits_scorer


def test_auto_is_the_scorer_that_ships(spec, digits_backbone, digits_scorer, monkeypatch, tmp_path):
    shutil.copy(digits_scorer, tmp_path / "var-digits-scorer.safetensors")
    monkeypatch.setattr("tts.scorers.learned.EMBEDDED", tmp_path)
    scorer = build_scorer("auto", spec, digits_backbone, CPU)
    assert isinstance(scorer, LearnedScorer)
    assert scorer.path == tmp_path / "var-digits-scorer.safetensors"


def test_auto_where_no_scorer_ships(spec, digits_backbone, monkeypatch, tmp_path, refused):
    monkeypatch.setattr("tts.scorers.learned.EMBEDDED", tmp_path)
    with refused("no scorer ships with var-digits", "tts train-scorer", kind=CheckpointError):
        build_scorer("auto", spec, digits_backbone, CPU)


def test_auto_where_the_backbone_names_none(spec, digits_backbone):
    scorer = build_scorer("auto", replace(spec, default_scorer=None), digits_backbone, CPU)
    assert scorer.name == "likelihood"  # it needs no training; tts sample says so


def test_unknown_scorers(spec, digits_backbone, refused, tmp_path):
    with refused("unknown scorer 'likelyhood'; did you mean 'likelihood'?", kind=PluginError):
        build_scorer("likelyhood", spec, digits_backbone, CPU)
    for name in ("none.safetensors", "none.pth", "none.pt"):
        with refused(name, kind=CheckpointError):
            build_scorer(str(tmp_path / name), spec, digits_backbone, CPU)


def test_selectors_by_name():
    assert build_selector("greedy", 8, 1.0) == GreedySelector()
    assert build_selector("random", 8, 1.0) == RandomSelector()
    assert build_selector("softmax", 8, 0.5) == SoftmaxSelector(0.5)
    assert build_selector("topk", 3, 0.5) == TopKSelector(3, 0.5)


def test_unknown_selectors_and_bad_settings(refused):
    with refused("unknown selector 'gredy'; did you mean 'greedy'?", kind=PluginError):
        build_selector("gredy", 8, 1.0)
    with refused("temperature 0 must be at least 1e-06"):
        build_selector("softmax", 8, 0.0)
    with refused("top-k-select 0 must be at least 1"):
        build_selector("topk", 0, 1.0)


def test_parts_of_plugins_get_their_argument(install, digits_backbone):
    install(
        "acme-parts",
        """
        from tts import ScorerSpec, SelectorSpec

        @tts.hookimpl
        def tts_register_scorers():
            return [ScorerSpec("acme-score", "acme_parts:Part", "s", argument="X")]

        @tts.hookimpl
        def tts_register_selectors():
            return [SelectorSpec("acme-select", "acme_parts:Part", "s", argument="X")]

        class Part:
            name, needs_scores, score, select = "acme", True, None, None

            def __init__(self, request):
                self.request = request
        """,
    )
    spec = get_plugins().backbones.get("var-digits")
    scorer = build_scorer("acme-score:a:b.pth", spec, digits_backbone, CPU)
    assert (scorer.request.argument, scorer.request.device) == ("a:b.pth", CPU)
    assert scorer.request.backbone is digits_backbone
    selector = build_selector("acme-select:0.3", 5, 2.0)
    assert (selector.request.argument, selector.request.top_k, selector.request.temperature) == (
        "0.3",
        5,
        2.0,
    )


def test_an_argument_that_no_plugin_declares_is_refused(install, refused):
    install(
        "acme-plain",
        """
        from tts import SelectorSpec

        @tts.hookimpl
        def tts_register_selectors():
            return [SelectorSpec("acme-plain", "acme_plain:Part", "s")]

        class Part:
            name, needs_scores, select = "acme", True, None

            def __init__(self, request):
                pass
        """,
    )
    assert build_selector("acme-plain", 5, 2.0).name == "acme"
    with refused("selector 'acme-plain' takes no argument, got '3'; leave it out"):
        build_selector("acme-plain:3", 5, 2.0)


def test_a_judge_of_the_other_kind_is_pointed_to_its_option(spec, digits_backbone, refused):
    with refused("'digits' judges whole images", "pass --scorer preview:digits", kind=PluginError):
        build_scorer("digits", spec, digits_backbone, CPU)
    with refused("'likelihood' judges maps, not whole images; pass --scorer likelihood", kind=PluginError):
        build_image_scorer("likelihood", digits_backbone.info, CPU)


def test_a_part_whose_module_ends_the_process_or_prints_is_named(
    install, spec, digits_backbone, capsys, refused
):
    install(
        "acme-exit",
        "@tts.hookimpl\ndef tts_register_scorers():\n"
        "    return [tts.ScorerSpec('acme-exit', 'acme_part:build', '')]\n",
    )
    install("acme-part", "print('hello')\nraise SystemExit(3)\n", entry_points="[other]\nx = y\n")
    with refused("scorer 'acme-exit' (acme-exit 1.0", "cannot be imported (SystemExit: 3)", kind=PluginError):
        build_scorer("acme-exit", spec, digits_backbone, CPU)
    assert capsys.readouterr() == ("", "hello\n")


def test_the_package_lists_its_lazy_names():
    assert {"Scorer", "SearchResult", "Strategy", "ScorerSpec", "hookimpl"} <= set(dir(tts))
    assert all(hasattr(tts, name) for name in dir(tts))
