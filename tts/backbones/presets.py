"""The built-in backbones as a table of the fields that differ. Imports no torch.

Settings and figures: VAR (Tian et al. 2024), FlexVAR (Jiao et al. 2025) and the LSRS paper, section 4 and
appendix A.
"""

from __future__ import annotations

from dataclasses import replace

from tts.specs import (
    FLEXVAR_GUIDANCE,
    LLAMAGEN_GUIDANCE,
    BackboneSpec,
    CollectDefaults,
    SamplingDefaults,
)

SCHEDULE_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
DIGITS_SCHEDULE = (1, 2, 3, 4)
SCHEDULE_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)
VAR_PUBLISHED = SamplingDefaults(cfg=1.5, top_k=900, top_p=0.96)
VAR_REPO = "FoundationVision/var"
VAR_TOKENIZER = "vae_ch160v4096z32.pth"
IMAGENET = ("n01440764", "n15075141")
FLEXVAR_PUBLISHED = SamplingDefaults(cfg=2.5, top_k=900, top_p=0.95)
FLEXVAR_GUIDANCES = (FLEXVAR_GUIDANCE, LLAMAGEN_GUIDANCE)
FLEXVAR_REPO = "jiaosiyu1999/FlexVAR"
FLEXVAR_TOKENIZER = "FlexVAE.pth"
FLEXVAR_TABLE = 32
FLEXVAR_SCHEDULES = {
    "6": (1, 2, 4, 6, 10, 16),
    "8": (1, 2, 3, 5, 7, 10, 13, 16),
    "9": (1, 2, 3, 4, 5, 7, 10, 13, 16),
    "10": SCHEDULE_256,
    "11": (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16),
    "12": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16),
    "13": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16),
    "512": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 23, 32),
}
"""The schedules that FlexVAR was published with, by the number of scales or the size of the images."""

_VAR_SIZES = (
    # name, parameters, image size, schedule, aliases
    ("var-d16", "310 M", 256, SCHEDULE_256, ()),
    ("var-d20", "601 M", 256, SCHEDULE_256, ()),
    ("var-d24", "1.03 G", 256, SCHEDULE_256, ()),
    ("var-d30", "2.01 G", 256, SCHEDULE_256, ("var",)),
    ("var-d36", "2.35 G", 512, SCHEDULE_512, ()),
)

_FLEXVAR_SIZES = (
    # name, parameters, published file, aliases
    ("flexvar-d16", "316 M", "FlexVARd16-epo179.pth", ()),
    ("flexvar-d20", "608 M", "FlexVARd20-epo249.pth", ()),
    ("flexvar-d24", "1.04 G", "FlexVARd24-epo349.pth", ("flexvar",)),
)


def _published_var(
    name: str, parameters: str, image_size: int, schedule: tuple[int, ...], aliases: tuple[str, ...]
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        family="var",
        factory="tts.backbones.build:build_published",
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
        class_names=IMAGENET,
    )


def _published_flexvar(name: str, parameters: str, file: str, aliases: tuple[str, ...]) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        family="flexvar",
        factory="tts.backbones.build:build_published",
        summary=f"FlexVAR, ImageNet, 16 pixels a side of the last scale, {parameters} parameters",
        schedule=SCHEDULE_256,
        classes=1000,
        codebook_size=8912,
        channels=32,
        image_size=256,
        sampling=FLEXVAR_PUBLISHED,
        guidance=FLEXVAR_GUIDANCES,
        max_side=FLEXVAR_TABLE,
        schedules=FLEXVAR_SCHEDULES,
        aliases=aliases,
        repo=FLEXVAR_REPO,
        files={"transformer": file, "tokenizer": FLEXVAR_TOKENIZER},
        class_names=IMAGENET,
    )


def _digits(name: str, summary: str, cfg: float) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        family="var",
        factory="tts.backbones.build:build_embedded",
        summary=summary,
        schedule=DIGITS_SCHEDULE,
        classes=10,
        codebook_size=256,
        channels=16,
        image_size=16,
        sampling=SamplingDefaults(cfg=cfg, top_k=0, top_p=0.0),
        collect=CollectDefaults(cfg=0.0, per_class=500),
        default_scorer="learned",
        class_names=("0", "9"),
        real_images="digits",
    )


def _flexvar_digits(name: str, summary: str, cfg: float) -> BackboneSpec:
    return replace(
        _digits(name, summary, cfg),
        family="flexvar",
        guidance=FLEXVAR_GUIDANCES,
        max_side=DIGITS_SCHEDULE[-1],
        schedules={"3": (1, 2, 4), "4": DIGITS_SCHEDULE},
    )


SPECS = (
    _digits("var-digits", "handwritten digits, embedded; weak on purpose, so that greedy LSRS gains", 1.5),
    _digits("var-digits-l", "handwritten digits, embedded; better trained", 0.1),
    _flexvar_digits("flexvar-digits", "handwritten digits, embedded; a small FlexVAR", 1.5),
    *(_published_var(*row) for row in _VAR_SIZES),
    *(_published_flexvar(*row) for row in _FLEXVAR_SIZES),
)
