"""The built-in backbones as a table of the fields that differ. Imports no torch.

Settings and figures: VAR (Tian et al. 2024) and the LSRS paper, section 4 and appendix A.
"""

from __future__ import annotations

from tts.specs import BackboneSpec, CollectDefaults, SamplingDefaults

SCHEDULE_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
SCHEDULE_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)
VAR_PUBLISHED = SamplingDefaults(cfg=1.5, top_k=900, top_p=0.96)
VAR_REPO = "FoundationVision/var"
VAR_TOKENIZER = "vae_ch160v4096z32.pth"

_VAR_SIZES = (
    # name, parameters, image size, schedule, aliases
    ("var-d16", "310 M", 256, SCHEDULE_256, ()),
    ("var-d20", "601 M", 256, SCHEDULE_256, ()),
    ("var-d24", "1.03 G", 256, SCHEDULE_256, ()),
    ("var-d30", "2.01 G", 256, SCHEDULE_256, ("var",)),
    ("var-d36", "2.35 G", 512, SCHEDULE_512, ()),
)


def _published_var(
    name: str, parameters: str, image_size: int, schedule: tuple[int, ...], aliases: tuple[str, ...]
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        family="var",
        factory="tts.backbones.var_adapter:build_published",
        summary=f"VAR, ImageNet {image_size}x{image_size}, {parameters} parameters",
        schedule=schedule,
        classes=1000,
        codebook_size=4096,
        channels=32,
        image_size=image_size,
        sampling=VAR_PUBLISHED,
        aliases=aliases,
        repo=VAR_REPO,
        files={"transformer": f"{name.replace('-', '_')}.pth", "tokenizer": VAR_TOKENIZER},
    )


def _digits(name: str, summary: str, cfg: float) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        family="var",
        factory="tts.backbones.var_adapter:build_embedded",
        summary=summary,
        schedule=(1, 2, 3, 4),
        classes=10,
        codebook_size=256,
        channels=16,
        image_size=16,
        sampling=SamplingDefaults(cfg=cfg, top_k=0, top_p=0.0),
        collect=CollectDefaults(cfg=0.0),
        default_scorer="learned",
    )


SPECS = (
    _digits("var-digits", "handwritten digits, embedded; weak on purpose, so that greedy LSRS gains", 1.5),
    _digits("var-digits-l", "handwritten digits, embedded; better trained", 0.1),
    *(_published_var(*row) for row in _VAR_SIZES),
)
