"""The authors' own sampler as an arm, from a checkout that the user has: ``--reference-repo PATH``.

Nothing of it is kept here. The checkout's ``models`` package must offer ``build_vae_var`` as the published
VAR repository does; it gets the weights of this project's model, whose names are the published ones.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone


class ReferenceSampler:
    """The checkout's VAR with a backbone's weights in float32; ``dtype`` is what autocast computes in."""

    def __init__(self, repo: Path, backbone: VarBackbone, dtype: torch.dtype) -> None:
        if not (repo / "models").is_dir():
            raise SystemExit(f"{repo} has no folder models; pass the folder of a VAR checkout")
        sys.path.insert(0, str(repo))
        build = importlib.import_module("models").build_vae_var
        config, info = backbone.transformer.config, backbone.info
        self.device, self.dtype = backbone.device, dtype
        vae, var = build(
            device=self.device,
            patch_nums=info.schedule,
            num_classes=info.classes,
            depth=config.depth,
            shared_aln=config.shared_adaln,
        )
        for module, weights in ((vae, backbone.tokenizer), (var, backbone.transformer)):
            found = module.load_state_dict(weights.state_dict(), strict=False)
            if found.unexpected_keys:
                raise SystemExit(f"{repo} does not know {found.unexpected_keys[0]}: not the published model")
        self.var = var.eval()

    @torch.inference_mode()
    def sample(self, labels: Tensor, candidates: int, cfg: float, top_k: int, top_p: float) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] for labels (B,), with one candidate."""
        if candidates != 1:
            raise SystemExit("the published VAR sampler has one candidate")
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            images: Tensor = self.var.autoregressive_infer_cfg(
                B=len(labels), label_B=labels, cfg=cfg, top_k=top_k, top_p=top_p, g_seed=0
            )
        return images
