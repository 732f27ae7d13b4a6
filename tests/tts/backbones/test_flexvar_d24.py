"""FlexVAR-d24 at its real size, through the command line: 4 GB of synthetic weights, converted, one image."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tts.backbones.presets import SCHEDULE_256


def tts(*arguments):
    """Run ``tts`` in a process of its own; it must succeed."""
    command = [sys.executable, "-m", "tts_cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def converted(synthetic_state, tmp_path):
    """Folder of ``tts convert``; the wrapped published files are gone again."""
    transformer, tokenizer = tmp_path / "FlexVARd24-epo349.pth", tmp_path / "FlexVAE.pth"
    torch.save({"trainer": {"var_wo_ddp": synthetic_state("flexvar_d24")}}, transformer)
    torch.save({"model": synthetic_state("flexvae")}, tokenizer)
    gc.collect()
    folder = tmp_path / "flexvar-d24"
    done = tts("convert", "--family", "flexvar", "--transformer", transformer, "--tokenizer", tokenizer,
               "--out", folder)  # fmt: skip
    schedule = ",".join(map(str, SCHEDULE_256))
    assert f"flexvar-d24 in {folder}: depth 24, width 1536, 1000 classes, scales {schedule}" in done.stdout
    transformer.unlink()
    tokenizer.unlink()
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_flexvar_d24_samples_one_image_in_half_precision(converted, tmp_path):
    out = tmp_path / "out"
    done = tts(
        *("sample", "--backbone", "flexvar", "--selector", "topk", "--weights", converted),
        *("--dtype", "bfloat16", "--device", "cpu", "--labels", "207", "--seeds", "0", "--candidates", "4"),
        *("--save-tokens", "--out", out),
    )
    assert done.stdout.startswith(f"1 images in {out} (candidates 1,4,4,4,4,4,4,4,4,4, ")
    assert "note: flexvar-d24 has no scorer of its own, so candidates are ranked by likelihood" in done.stderr
    with Image.open(out / "images" / "0207" / "000000.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (256, 256, 3)
    assert pixels.std() > 1
    record = json.loads((out / "run.json").read_text())
    assert record["backbone"]["name"] == "flexvar-d24"
    assert record["backbone"]["schedule"] == list(SCHEDULE_256)
    assert record["backbone"]["guidance"]["name"] == "flexvar"
    assert record["backbone"]["greedy_scales"] == []
    resolved = record["resolved"]
    assert (resolved["cfg"], resolved["top_k"], resolved["top_p"]) == (2.5, 900, 0.95)
    assert resolved["uint8"] == "round"
