"""VAR-d30 at its real size, by way of the command line: 8 GB of synthetic weights, one image."""

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


def save_as_published(state, file):
    """Write a state dict as the authors do."""
    torch.save(state, file)
    assert file.stat().st_size > sum(tensor.nbytes for tensor in state.values())


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_var_d30_samples_one_image_in_half_precision(synthetic_state, tmp_path):
    files = {name: tmp_path / f"{name}.pth" for name in ("var_d30", "vae_ch160v4096z32")}
    out = tmp_path / "out"
    options = (
        *("--backbone", "var-d30", "--dtype", "bfloat16", "--device", "cpu", "--labels", "207"),
        *("--seeds", "0", "--candidates", "4", "--scorer", "likelihood", "--save-tokens", "--out", str(out)),
    )
    weights = [part for file in files.values() for part in ("--weights", str(file))]
    try:
        for name, file in files.items():  # one state at a time: 8 GB of memory, then as much of disk
            save_as_published(synthetic_state(name), file)
            gc.collect()
        command = [sys.executable, "-m", "tts_cli", "sample", *options, *weights]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"1 images in {out} (candidates 1,4,4,4,4,4,4,4,4,4, ")
    assert "error" not in done.stderr
    with Image.open(out / "images" / "0207" / "000000.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (256, 256, 3)
    assert pixels.std() > 1
    record = json.loads((out / "run.json").read_text())
    assert record["backbone"]["name"] == "var-d30"
    assert record["backbone"]["schedule"] == list(SCHEDULE_256)
    assert record["backbone"]["classes"] == 1000
    assert len(record["backbone"]["weights_sha256"]) == 64
    resolved = record["resolved"]
    assert resolved["candidates"] == [1] + 9 * [4]
    assert (resolved["cfg"], resolved["top_k"], resolved["top_p"]) == (1.5, 900, 0.96)
    assert record["settings"]["dtype"] == "bfloat16"
    assert record["settings"]["weights"] == [str(file) for file in files.values()]
    assert record["scorer"] == {"name": "likelihood"}
    assert record["timing"]["generate_seconds"] > 0
