"""What the adapters of both families share: a transformer and a tokenizer, and their precision."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tts.backbones.blocks import ScaleTransformer
from tts.backbones.fetch import revision_of
from tts.backbones.parts import Weights
from tts.fast.decoder import fast_decoder, with_decoder
from tts.fast.graphs import recorder
from tts.fast.transformer import FastTransformer
from tts.interfaces import BackboneInfo


class Tokenizer(Protocol):
    """A tokenizer (``nn.Module``) whose decoder may run in half precision."""

    @property
    def decoder(self) -> nn.Module:
        """The image decoder."""
        ...

    @property
    def post_quant_conv(self) -> nn.Module:
        """What comes before the decoder."""
        ...

    def float(self) -> object:
        """Bring all weights to float32, in place."""
        ...

    def to(self, device: torch.device) -> object:
        """Bring all weights to a device, in place."""
        ...


class Running(Protocol):
    """A batch on its way through the blocks; ``condition`` (R, D) is its class embedding."""

    condition: Tensor

    def logits(self, x: Tensor, start: int) -> Tensor:
        """Logits (R, L_k, V), float32, of one scale's tokens (R, L_k, D), from position ``start`` on."""
        ...

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        ...


class Engine(Protocol):
    """What runs a transformer's blocks: the transformer itself, or its fast form."""

    def start(self, labels: Tensor, tokens: int) -> Running:
        """A batch of labels (R,) for images of so many tokens."""
        ...


def halves(rows: Tensor, batch: int, guided: bool) -> Tensor:
    """Rows of the transformer's batch for rows (R,) of images: guidance has a second half of rows."""
    return torch.cat((rows, rows + batch)) if guided else rows


Net = TypeVar("Net", bound=ScaleTransformer)
Code = TypeVar("Code", bound=Tokenizer)
Self = TypeVar("Self", bound="Adapter[Any, Any]")


class Adapter(Generic[Net, Code]):
    """A transformer with its tokenizer.

    The transformer and the image decoder run in ``dtype``; the encoder, the quantizer and the head stay in
    float32, because tokens, latents and logits need the precision.
    """

    def __init__(
        self,
        info: BackboneInfo,
        transformer: Net,
        tokenizer: Code,
        weights: tuple[Weights, ...],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.info = info
        self.transformer = transformer.half_precision_(dtype).to(device)
        self.engine: Engine = self.transformer
        tokenizer.float()
        tokenizer.to(device)
        tokenizer.decoder.to(dtype)
        tokenizer.post_quant_conv.to(dtype)
        self.tokenizer = tokenizer
        self.device = device
        self.weights = weights
        self.exact: Any = None  # of a fast form: what it was made of
        self._hash: str | None = None

    def fast(self: Self, compile_parts: bool = False) -> Self:
        """The same model for the fast sampler: same results but for rounding, with the same weights."""
        other = copy.copy(self)
        other.exact = self
        record = recorder(self.device) if compile_parts else None
        other.engine = FastTransformer(self.transformer, compile_parts, record)
        decoder = fast_decoder(self.tokenizer.decoder)
        if compile_parts:
            decoder.compile(dynamic=False)
        other.tokenizer = with_decoder(self.tokenizer, decoder)
        return other

    def weights_hash(self) -> str:
        """SHA-256 over the weights as they were read; made once, since they may be gigabytes."""
        if self._hash is None:
            digests = "".join(weights.digest() for weights in self.weights)
            self._hash = hashlib.sha256(digests.encode()).hexdigest()
        return self._hash

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the weights."""
        return tuple(file for weights in self.weights for file in weights.files)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of the files."""
        return tuple(remark for weights in self.weights for remark in weights.remarks)

    def describe(self) -> dict[str, object]:
        """Where the weights came from, for a run's record."""
        return {
            "files": [file.name for file in self.files],
            "revisions": [revision_of(file) for file in self.files],
            "parts": [weights.part for weights in self.weights],
            "stored_as": [weights.rounded or "float32" for weights in self.weights],
        }
