"""What the adapters of both families share: a transformer and a tokenizer, and their precision."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

from tts.backbones.blocks import ScaleTransformer
from tts.backbones.storage import hash_files
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


Net = TypeVar("Net", bound=ScaleTransformer)
Code = TypeVar("Code", bound=Tokenizer)


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
        files: tuple[Path, ...],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.info = info
        self.transformer = transformer.half_precision_(dtype).to(device)
        tokenizer.float()
        tokenizer.to(device)
        tokenizer.decoder.to(dtype)
        tokenizer.post_quant_conv.to(dtype)
        self.tokenizer = tokenizer
        self.device = device
        self.files = files
        self._hash: str | None = None

    def weights_hash(self) -> str:
        """SHA-256 over the files that the weights came from; read once, since they may be gigabytes."""
        if self._hash is None:
            self._hash = hash_files(self.files)
        return self._hash
