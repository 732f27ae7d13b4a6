"""The model ``tiny`` from top to bottom: tokenizer, predictor, the state of a batch, backbone, factory.

An image is a sum of K images, coarse to fine: a Laplacian pyramid. What scale k adds has ``PATCH`` times the
scale's side and is enlarged to the whole size. It is made of patches, each one of V codes, so the token map
r_k is the numbers of these codes. The predictor gives p(r_k | e_{k-1}, class), where e_{k-1} is the image
that the maps before add up to; all tokens of a scale are drawn at once.

Who calls what:

1. ``build(request)``, once a run: from a spec, a device and a dtype to a backbone.
2. ``backbone.begin(labels, cfg)``, once a batch: a state before the first scale.
3. For each scale ``state.logits()`` once, then ``increments``, ``propose`` and ``preview`` for any candidates
   and any number of times, then ``state.commit(tokens)`` once. With strategies that keep several paths an
   image, ``state.reindex(rows)`` comes before ``logits``, between it and ``commit``, or before ``decode``.
4. ``state.decode()``, once a batch, after the last commit.

``encode``, ``decode``, ``views`` and ``weights_hash`` of the backbone need no state: ``tts collect`` encodes
real images, ``tts train-scorer`` looks at views of recorded tokens, and every record names the hash.

Axis letters: N images of any kind, B images of a batch, M candidates, R rows to keep, L tokens of a scale,
V codes, P pixels of a patch (= C, channels of a map), D width, A heads, S pixels a side, H W the last scale.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn
from tts_backbone_tiny import SPEC

from tts.errors import CheckpointError, UsageError, reason
from tts.interfaces import BackboneInfo
from tts.io import load_tensors, sha256_file
from tts.specs import BackboneRequest

WEIGHTS = Path(__file__).with_name("tts_backbone_tiny.safetensors")
FORMAT = "tts-backbone-tiny-1"

SCHEDULE, CLASSES, SIZE = SPEC.schedule, SPEC.classes, SPEC.image_size
PATCH = SIZE // SCHEDULE[-1]
SCALES = len(SCHEDULE)
LENGTHS = [side * side for side in SCHEDULE]
WIDTH, DEPTH, HEADS = 64, 3, 4


class Pyramid(nn.Module):
    """The tokenizer: a codebook of patches for each scale, ``codes`` (K, V, P), learned by k-means."""

    codes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(SCALES, SPEC.codebook_size, PATCH**2))

    def patches(self, images: Tensor, scale: int) -> Tensor:
        """Patches (N, L, P) of images (N, 1, S, S), averaged down to the size of what the scale adds."""
        small = F.adaptive_avg_pool2d(images, PATCH * SCHEDULE[scale])  # N 1 . .
        return rearrange(F.pixel_unshuffle(small, PATCH), "n p h w -> n (h w) p")

    def nearest(self, patches: Tensor, scale: int) -> Tensor:
        """The codes (N, L) of a scale that are nearest to patches (N, L, P)."""
        distance = (patches[:, :, None] - self.codes[scale]).square().sum(dim=-1)  # N L V
        return distance.argmin(dim=-1)

    def increment(self, tokens: Tensor, scale: int) -> Tensor:
        """The image (N, 1, S, S) that tokens (N, L) of a scale add: their patches, enlarged."""
        patches = rearrange(self.codes[scale][tokens], "n (h w) p -> n p h w", h=SCHEDULE[scale])
        return F.interpolate(F.pixel_shuffle(patches, PATCH), size=(SIZE, SIZE), mode="bilinear")

    def encode(self, images: Tensor) -> Tensor:
        """Token maps (N, sum L) of images (N, 1, S, S): each scale takes the codes nearest to the rest."""
        rest, maps = images, []
        for scale in range(SCALES):
            maps.append(self.nearest(self.patches(rest, scale), scale))
            rest = rest - self.increment(maps[-1], scale)
        return torch.cat(maps, dim=1)

    def sums(self, tokens: Tensor) -> list[Tensor]:
        """e_1 to e_K, (N, 1, S, S) each, of token maps (N, sum L)."""
        maps = tokens.split(LENGTHS, dim=1)
        images = [self.increment(maps[0], 0)]
        for scale in range(1, SCALES):
            images.append(images[-1] + self.increment(maps[scale], scale))
        return images


class Block(nn.Module):
    """Attention and a perceptron, each after a norm whose gain and shift come of the condition."""

    def __init__(self) -> None:
        super().__init__()
        self.modulation = nn.Linear(WIDTH, 4 * WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Same shape as ``x`` (N, L, D), for conditions (N, D)."""
        gain, shift, gain2, shift2 = self.modulation(condition)[:, None].chunk(4, dim=-1)  # N 1 D
        h = F.layer_norm(x, x.shape[-1:]) * (1 + gain) + shift
        q, k, v = rearrange(self.qkv(h), "n l (three a d) -> three n a l d", three=3, a=HEADS)
        h = F.scaled_dot_product_attention(q, k, v)  # N A L D/A
        x = x + self.out(rearrange(h, "n a l d -> n l (a d)"))
        return x + self.mlp(F.layer_norm(x, x.shape[-1:]) * (1 + gain2) + shift2)


class Predictor(nn.Module):
    """p(r_k | e_{k-1}, class): a transformer over the patches of e_{k-1} at the side of scale k.

    The blocks may run in half precision; the heads, one a scale, stay in float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(CLASSES + 1, WIDTH)  # the last row stands for no class
        self.scale = nn.Embedding(SCALES, WIDTH)
        self.position = nn.Embedding(sum(LENGTHS), WIDTH)
        self.patch = nn.Linear(PATCH**2, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, SPEC.codebook_size) for _ in SCHEDULE)

    def forward(self, patches: Tensor, labels: Tensor, scale: int) -> Tensor:
        """Logits (N, L, V), float32, of patches (N, L, P) of e_{k-1} and labels (N,)."""
        position = self.position.weight.split(LENGTHS)[scale]  # L D
        x = self.patch(patches.to(position.dtype)) + position  # N L D
        condition = self.label(labels) + self.scale.weight[scale]  # N D
        for block in self.blocks:
            x = block(x, condition)
        return self.heads[scale](F.layer_norm(x.float(), x.shape[-1:]))


class TinyState:
    """One batch on its way through the scales: labels (B,) and the image so far, e_{k-1} (B, 1, S, S).

    The predictor keeps nothing from scale to scale, so these two are all that ``reindex`` has to take along.
    """

    def __init__(self, backbone: TinyBackbone, labels: Tensor, cfg: float) -> None:
        self.tokenizer, self.predictor = backbone.tokenizer, backbone.predictor
        self.labels, self.cfg, self.scale = labels, cfg, 0
        self.image = torch.zeros(len(labels), 1, SIZE, SIZE, device=labels.device)

    def logits(self) -> Tensor:
        """Guided logits (B, L, V), float32, of the current scale. Called once a scale, first of all."""
        patches = self.tokenizer.patches(self.image, self.scale)  # B L P
        if self.cfg == SPEC.guidance[0].off:
            return self.predictor(patches, self.labels, self.scale)
        labels = torch.cat((self.labels, torch.full_like(self.labels, CLASSES)))  # 2B
        both = self.predictor(patches.repeat(2, 1, 1), labels, self.scale)  # 2B L V
        conditional, unconditional = both.chunk(2)
        t = self.cfg * (SCALES - self.scale) / SCALES
        return conditional + t * (conditional - unconditional)

    @property
    def latent(self) -> Tensor:
        """What all candidates share, (B, C, H, W): e_{k-1}. Optional; spares scorers seeing it M times."""
        return to_map(self.image)

    def increments(self, tokens: Tensor) -> Tensor:
        """What candidates (B, M, L) add to it, (B, M, C, H, W). Optional, beside ``latent``."""
        added = self.tokenizer.increment(rearrange(tokens, "b m l -> (b m) l"), self.scale)
        return rearrange(to_map(added), "(b m) c h w -> b m c h w", m=tokens.shape[1])

    def propose(self, tokens: Tensor) -> Tensor:
        """e_k (B, M, C, H, W) as a scorer sees it, of candidates (B, M, L). Changes nothing."""
        return self.latent[:, None] + self.increments(tokens)

    def preview(self, tokens: Tensor) -> Tensor:
        """e_k as images (B, M, 3, S, S) of candidates (B, M, L). Optional; for judges of pixels."""
        maps = rearrange(self.propose(tokens), "b m c h w -> (b m) c h w")
        images = to_pixels(F.pixel_shuffle(maps, PATCH))
        return rearrange(images, "(b m) c h w -> b m c h w", m=tokens.shape[1])

    def commit(self, tokens: Tensor) -> None:
        """Add the chosen map (B, L) and go on to the next scale. Called once a scale, last of all."""
        self.image = self.image + self.tokenizer.increment(tokens, self.scale)
        self.scale += 1

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,), with repetition. Optional; for strategies ``beam`` and ``particles``."""
        self.image, self.labels = self.image[rows], self.labels[rows]

    def decode(self) -> Tensor:
        """Images (B, 3, S, S) in [0, 1], float32. Called once, after the last commit."""
        return to_pixels(self.image)


class TinyBackbone:
    """Tokenizer and predictor with ``info``: the facts that the search, the scorers and the records need."""

    def __init__(self, info: BackboneInfo, file: Path, request: BackboneRequest) -> None:
        self.info, self.file, self.device = info, file, request.device
        tokenizer, predictor = read_weights(file)
        self.tokenizer = tokenizer.to(self.device)
        self.predictor = predictor.to(self.device, request.dtype)
        self.predictor.heads.float()

    def begin(self, labels: Tensor, cfg: float) -> TinyState:
        """Start a batch for labels (B,) at guidance strength ``cfg``. Called once a batch."""
        return TinyState(self, labels.to(self.device), cfg)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Token maps (B, sum L), int64, of images (B, 3, S, S) in [0, 1], whose channels are averaged."""
        return self.tokenizer.encode(images.to(self.device).float().mean(dim=1, keepdim=True))

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] of token maps (B, sum L)."""
        return to_pixels(self.tokenizer.sums(tokens.to(self.device))[-1])

    @torch.no_grad()
    def views(self, tokens: Tensor) -> list[Tensor]:
        """e_k (B, C, H, W) at each scale of token maps (B, sum L): what ``propose`` showed of them."""
        return [to_map(image) for image in self.tokenizer.sums(tokens.to(self.device))]

    def weights_hash(self) -> str:
        """SHA-256 of the file of weights; a scorer is tied to it."""
        return sha256_file(self.file)


def to_map(images: Tensor) -> Tensor:
    """Images (N, 1, S, S) as maps (N, C, H, W): a position has the pixels of its patch as channels."""
    return F.pixel_unshuffle(images, PATCH)


def to_pixels(images: Tensor) -> Tensor:
    """Images (N, 1, S, S) as pixels (N, 3, S, S) in [0, 1]."""
    return repeat(images.clamp(0, 1), "n 1 h w -> n c h w", c=3)


def read_weights(file: Path) -> tuple[Pyramid, Predictor]:
    """Tokenizer and predictor, in float32, of a file that ``train.py`` wrote; refuse any other."""
    state, metadata = load_tensors(file)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{file} holds no weights of tiny; make them with the plugin's train.py")
    tokenizer, predictor = Pyramid(), Predictor()
    parts = nn.ModuleDict({"tokenizer": tokenizer, "predictor": predictor})
    try:
        parts.load_state_dict(state)
    except RuntimeError as error:  # tensors that are missing, unknown or of another shape
        raise CheckpointError(
            f"{file} holds damaged weights of tiny ({reason(error)[:200]}); make them again with train.py"
        ) from None
    parts.requires_grad_(False).eval()
    return tokenizer, predictor


def build(request: BackboneRequest) -> TinyBackbone:
    """The factory that the spec names. ``--weights FILE`` gives a file of ``train.py`` to use instead."""
    if len(request.weights) > 1:
        raise UsageError(f"tiny has one file of weights, got {len(request.weights)}; pass --weights once")
    info = BackboneInfo(
        name=SPEC.name,
        family=SPEC.family,
        schedule=SCHEDULE,
        codebook_size=SPEC.codebook_size,
        channels=SPEC.channels,
        grid=SCHEDULE[-1],
        classes=CLASSES,
        image_size=SIZE,
        guidance=SPEC.guidance[0],
        sampling=SPEC.sampling,
        stochastic=(True,) * SCALES,
        uint8="round",
    )
    return TinyBackbone(info, request.weights[0] if request.weights else WEIGHTS, request)
