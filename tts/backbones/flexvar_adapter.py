"""FlexVAR as a backbone: raw token maps, so a scorer sees r_k alone (LSRS paper, appendix A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from tts.backbones.adapter import Adapter, halves
from tts.backbones.families import Family, check_parts
from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.flexvar import FlexVarConfig, FlexVarTransformer, upsample
from tts.backbones.flexvar_weights import (
    build_tokenizer,
    build_transformer,
    infer_flexvae_config,
    infer_flexvar_config,
)
from tts.backbones.presets import FLEXVAR_GUIDANCES, FLEXVAR_PUBLISHED, FLEXVAR_SCHEDULES, SCHEDULE_256
from tts.config import check_schedule
from tts.interfaces import BackboneInfo
from tts.specs import LLAMAGEN_GUIDANCE, BackboneOptions, SamplingDefaults

SAMPLED_SIDES = frozenset((1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 23, 24, 32))
"""Where the published sampler draws at random; at other sides, and above the trained one, it is greedy."""

RAMP = 9
"""The published guidance grows over so many scales at most, and goes on growing beyond them."""


class FlexVarState:
    """One batch on its way through the scales; only the last token map matters for what follows."""

    def __init__(self, backbone: FlexVarBackbone, labels: Tensor, cfg: float) -> None:
        self.transformer, self.tokenizer, self.info = backbone.transformer, backbone.tokenizer, backbone.info
        self.batch = labels.shape[0]
        self.cfg = cfg
        self.scale = 0
        self.guided = cfg != self.info.guidance.off
        if self.guided:  # the second half of the rows is the unconditional one
            labels = torch.cat((labels, torch.full_like(labels, self.info.classes)))
        self.session = backbone.engine.start(labels, self.info.tokens)
        self.code_map: Tensor | None = None  # B C S S, of the scale before

    def logits(self) -> Tensor:
        """Guided logits (B, L_k, V) of the current scale."""
        side = self.info.schedule[self.scale]
        inputs = None
        if self.code_map is not None:
            code_map = upsample(self.code_map, side)  # B C S S
            inputs = repeat(code_map, "b c h w -> (half b) (h w) c", half=1 + self.guided)  # R L C
        x = self.transformer.embed(inputs, self.session.condition, side)  # R L D
        start = sum(self.info.lengths[: self.scale])
        logits = self.session.logits(x, start)  # R L V
        return self._guide(*logits.chunk(2)) if self.guided else logits

    def _guide(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Both published forms; the strength of the first is not capped at cfg after its ramp."""
        if self.info.guidance == LLAMAGEN_GUIDANCE:
            return unconditional + self.cfg * (conditional - unconditional)
        t = self.cfg
        if self.info.schedule[self.scale] <= self.transformer.config.trained_side:
            t = self.cfg * self.scale / min(self.info.scales - 1, RAMP)
        return (1 + t) * conditional - t * unconditional

    def propose(self, tokens: Tensor) -> Tensor:
        """The code maps r_k of candidates (B, M, L_k), bicubic-upsampled to the grid: (B, M, C, H, W)."""
        rows = rearrange(tokens, "b m l -> (b m) l")
        maps = self.tokenizer.quantize.code_map(rows, self.info.schedule[self.scale])
        return rearrange(upsample(maps, self.info.grid), "(b m) c h w -> b m c h w", b=self.batch)

    def commit(self, tokens: Tensor) -> None:
        """Take the chosen map (B, L_k) and go on to the next scale."""
        self.code_map = self.tokenizer.quantize.code_map(tokens, self.info.schedule[self.scale])
        self.scale += 1

    def preview(self, tokens: Tensor) -> Tensor:
        """Images (B, M, 3, S, S) in [0, 1] of the maps r_k of candidates (B, M, L_k).

        A map is decoded at its own side, which gives a smaller image, and that is enlarged.
        """
        rows = rearrange(tokens, "b m l -> (b m) l")
        maps = self.tokenizer.quantize.code_map(rows, self.info.schedule[self.scale])
        images, size = to_images(self.tokenizer.decode(maps)), self.info.image_size
        if images.shape[-1] != size:
            images = F.interpolate(images, size=(size, size), mode="bilinear")
        return rearrange(images, "(b m) c h w -> b m c h w", b=self.batch)

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        self.session.reindex(halves(rows, self.batch, self.guided))
        if self.code_map is not None:
            self.code_map = self.code_map[rows]
        self.batch = len(rows)

    def decode(self) -> Tensor:
        """Images (B, 3, ., .) in [0, 1] of the last token map."""
        assert self.code_map is not None, "decode follows the last commit"
        return to_images(self.tokenizer.decode(self.code_map))


class FlexVarBackbone(Adapter[FlexVarTransformer, FlexVae]):
    """A FlexVAR transformer with its tokenizer, at the schedule of ``info``."""

    def begin(self, labels: Tensor, cfg: float) -> FlexVarState:
        """Start a batch for labels (B,)."""
        return FlexVarState(self, labels.to(self.device), cfg)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Token maps (B, sum L_k) of images (B, 3, ., .) in [0, 1]."""
        return self.tokenizer.encode(images.to(self.device) * 2 - 1, self.info.schedule)

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, ., .) in [0, 1] of token maps (B, sum L_k); the last scale alone decides them."""
        maps = self.tokenizer.code_maps(tokens.to(self.device), self.info.schedule)
        return to_images(self.tokenizer.decode(maps[-1]))

    @torch.no_grad()
    def views(self, tokens: Tensor) -> list[Tensor]:
        """r_k at each scale: code maps, bicubic-upsampled to the grid, (B, C, H, W)."""
        maps = self.tokenizer.code_maps(tokens.to(self.device), self.info.schedule)
        return [upsample(code_map, self.info.grid) for code_map in maps]


def to_images(decoded: Tensor) -> Tensor:
    """Decoded images, nominally in [-1, 1], clamped and brought to [0, 1]."""
    return (decoded.clamp(-1, 1) + 1) / 2


def make_info(
    name: str,
    transformer: FlexVarConfig,
    tokenizer: FlexVaeConfig,
    sampling: SamplingDefaults,
    options: BackboneOptions = BackboneOptions(),
) -> BackboneInfo:
    """The facts of a FlexVAR from its two configurations, which must agree, and the chosen options."""
    check_parts(transformer, tokenizer)
    schedule = options.schedule or transformer.schedule
    check_schedule(schedule, transformer.table)
    return BackboneInfo(
        name=name,
        family=FAMILY.name,
        schedule=schedule,
        codebook_size=transformer.codebook_size,
        channels=transformer.channels,
        grid=schedule[-1],
        classes=transformer.classes,
        image_size=tokenizer.factor * schedule[-1],
        guidance=options.guidance or FAMILY.guidance[0],
        sampling=sampling,
        stochastic=tuple(
            options.sample_all_scales or (side <= transformer.trained_side and side in SAMPLED_SIDES)
            for side in schedule
        ),
        uint8="round",
    )


FAMILY = Family(
    name="flexvar",
    title="FlexVAR",
    sampling=FLEXVAR_PUBLISHED,
    guidance=FLEXVAR_GUIDANCES,
    fallback=SCHEDULE_256,
    schedules=FLEXVAR_SCHEDULES,
    transformer_config=FlexVarConfig,
    tokenizer_config=FlexVaeConfig,
    recognises=lambda state: "pos_1LC" in state and state["pos_1LC"].ndim == 4,
    infer_transformer=infer_flexvar_config,
    infer_tokenizer=lambda state, config: infer_flexvae_config(state),
    build_transformer=build_transformer,
    build_tokenizer=build_tokenizer,
    image_size=lambda transformer, tokenizer: tokenizer.factor * transformer.schedule[-1],
    max_side=lambda config: config.table,
    make_info=make_info,
    backbone=FlexVarBackbone,
)
