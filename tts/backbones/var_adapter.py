"""VAR as a backbone: residual fusion, so a scorer sees e_k = F(r_<=k) (LSRS paper, section 3.3)."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor

from tts.backbones.adapter import Adapter, halves
from tts.backbones.families import Family, check_parts
from tts.backbones.presets import VAR_PUBLISHED
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.var_weights import (
    build_tokenizer,
    build_transformer,
    infer_var_config,
    infer_vqvae_config,
)
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.fast.fusion import FastFusion
from tts.interfaces import BackboneInfo
from tts.specs import VAR_GUIDANCE, BackboneOptions, SamplingDefaults


class VarState:
    """One batch on its way through the scales; f_hat (B, C, H, W) is the running latent."""

    def __init__(self, backbone: VarBackbone, labels: Tensor, cfg: float) -> None:
        self.transformer, self.tokenizer = backbone.transformer, backbone.tokenizer
        self.fusion = backbone.fusion or backbone.tokenizer.quantize
        self.batch = labels.shape[0]
        self.cfg = cfg
        self.scale = 0
        self.guided = cfg != VAR_GUIDANCE.off
        if self.guided:  # the second half of the rows is the unconditional one
            labels = torch.cat((labels, torch.full_like(labels, backbone.info.classes)))
        self.session = backbone.engine.start(labels, backbone.info.tokens)
        self.f_hat = self.tokenizer.quantize.empty_latent(self.batch)  # B C H W

    def logits(self) -> Tensor:
        """Guided logits (B, L_k, V) of the current scale."""
        inputs = None
        if self.scale:
            inputs = self.tokenizer.quantize.next_input(self.f_hat, self.scale)  # B L C
            inputs = repeat(inputs, "b l c -> (half b) l c", half=1 + self.guided)  # R L C
        x = self.transformer.embed(inputs, self.session.condition, self.scale)  # R L D
        start, _ = self.transformer.span(self.scale)
        logits = self.session.logits(x, start)  # R L V
        return self._guide(logits)

    def _guide(self, logits: Tensor) -> Tensor:
        """(1 + t) cond - t uncond with t growing linearly from 0 to cfg over the scales."""
        if not self.guided:
            return logits
        conditional, unconditional = logits.chunk(2)
        t = self.cfg * self.scale / (len(self.transformer.config.schedule) - 1)
        return (1 + t) * conditional - t * unconditional

    @property
    def latent(self) -> Tensor:
        """f_hat (B, C, H, W), which all candidates of an image share."""
        return self.f_hat

    def increments(self, tokens: Tensor) -> Tensor:
        """What candidates (B, M, L_k) add to f_hat: (B, M, C, H, W)."""
        rows = rearrange(tokens, "b m l -> (b m) l")
        increment = self.fusion.increment(rows, self.scale)
        return rearrange(increment, "(b m) c h w -> b m c h w", b=self.batch)

    def propose(self, tokens: Tensor) -> Tensor:
        """e_k (B, M, C, H, W) of candidates (B, M, L_k)."""
        return self.f_hat[:, None] + self.increments(tokens)

    def commit(self, tokens: Tensor) -> None:
        """Add the chosen map (B, L_k) to f_hat and go on to the next scale."""
        self.f_hat = self.f_hat + self.tokenizer.quantize.increment(tokens, self.scale)
        self.scale += 1

    def preview(self, tokens: Tensor) -> Tensor:
        """Images (B, M, 3, S, S) in [0, 1] of e_k of candidates (B, M, L_k)."""
        latents = rearrange(self.propose(tokens), "b m c h w -> (b m) c h w")
        images = (self.tokenizer.decode(latents) + 1) / 2
        return rearrange(images, "(b m) c h w -> b m c h w", b=self.batch)

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        self.session.reindex(halves(rows, self.batch, self.guided))
        self.f_hat = self.f_hat[rows]
        self.batch = len(rows)

    def decode(self) -> Tensor:
        """Images (B, 3, S, S) in [0, 1]."""
        return (self.tokenizer.decode(self.f_hat) + 1) / 2


class VarBackbone(Adapter[VarTransformer, Vqvae]):
    """A VAR transformer with its tokenizer."""

    fusion: FastFusion | None = None

    def fast(self, compile_parts: bool = False) -> VarBackbone:
        """The same model for the fast sampler, whose candidates fuse in the weights' dtype on a GPU."""
        other = super().fast(compile_parts)
        dtype = torch.float32 if self.device.type == "cpu" else self.transformer.word_embed.weight.dtype
        other.fusion = FastFusion(self.tokenizer.quantize, dtype)
        return other

    def begin(self, labels: Tensor, cfg: float) -> VarState:
        """Start a batch for labels (B,)."""
        return VarState(self, labels.to(self.device), cfg)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Token maps (B, sum L_k) of images (B, 3, S, S) in [0, 1]."""
        return self.tokenizer.encode(images.to(self.device) * 2 - 1)

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] of token maps (B, sum L_k)."""
        f_hat = self.tokenizer.quantize.views(tokens.to(self.device))[-1]
        return (self.tokenizer.decode(f_hat) + 1) / 2

    @torch.no_grad()
    def views(self, tokens: Tensor) -> list[Tensor]:
        """e_k (B, C, H, W) at each scale."""
        return self.tokenizer.quantize.views(tokens.to(self.device))


def make_info(
    name: str,
    transformer: VarConfig,
    tokenizer: VqvaeConfig,
    sampling: SamplingDefaults,
    options: BackboneOptions = BackboneOptions(),
) -> BackboneInfo:
    """The facts of a VAR from its two configurations, which must agree; its schedule is fixed."""
    check_parts(transformer, tokenizer)
    return BackboneInfo(
        name=name,
        family=FAMILY.name,
        schedule=transformer.schedule,
        codebook_size=transformer.codebook_size,
        channels=transformer.channels,
        grid=transformer.schedule[-1],
        classes=transformer.classes,
        image_size=tokenizer.image_size,
        guidance=options.guidance or FAMILY.guidance[0],
        sampling=sampling,
        stochastic=(True,) * len(transformer.schedule),
    )


FAMILY = Family(
    name="var",
    title="VAR",
    sampling=VAR_PUBLISHED,
    guidance=(VAR_GUIDANCE,),
    fallback=None,
    schedules={},
    transformer_config=VarConfig,
    tokenizer_config=VqvaeConfig,
    recognises=lambda state: "pos_1LC" in state and state["pos_1LC"].ndim == 3,
    infer_transformer=infer_var_config,
    infer_tokenizer=lambda state, config: infer_vqvae_config(state, config.schedule),
    build_transformer=build_transformer,
    build_tokenizer=build_tokenizer,
    image_size=lambda transformer, tokenizer: tokenizer.image_size,
    max_side=lambda config: None,
    make_info=make_info,
    backbone=VarBackbone,
)
