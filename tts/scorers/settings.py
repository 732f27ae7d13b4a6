"""The settings of a training, with the published ones as defaults (LSRS paper, appendix A)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from tts.errors import UsageError
from tts.limits import OPTIONS, check_numbers

Loss = Callable[[Tensor, Tensor], Tensor]
"""The mean over pairs of what the scores of real (n,) and generated maps (n,) cost."""

CONDITIONS = ("scale", "side")
PRECISIONS = ("float32", "bfloat16", "float16")
KEEP = ("best", "last")


@dataclass(frozen=True)
class TrainSettings:
    """The paper's recipe: Adam 3e-4, batch 128, 4 epochs, the first one of linear warm-up, then cosine to 0.

    ``condition`` is what the scorer is told of a map besides its class: its ``scale`` index, as published, or
    its ``side``, so that it serves every schedule of the same sides. ``epoch_pairs`` is the number of pairs
    of an epoch (``None``: 1 % of all same-class pairs), ``held_out`` the share of each side kept for
    validation, ``scales`` the zero-based scales trained on, ``ema`` the decay of the weights' moving average
    (0: off).

    ``batch`` counts the pairs of a step over all processes, which ``accumulate`` cuts into parts that go
    through the network one after the other. ``precision`` is that of the network's forward pass in training;
    the loss and the held-out figures are always in float32. ``keep`` is the epoch whose network counts, the
    ``best`` by mean held-out loss or the ``last``, and ``patience`` ends a training after so many epochs
    without a lower one (``None``: never).
    """

    loss: str
    scales: tuple[int, ...]
    condition: str = "scale"
    epochs: int = 4
    batch: int = 128
    learning_rate: float = 3e-4
    epoch_pairs: int | None = None
    held_out: float = 0.1
    held_out_pairs: int = 4096
    ema: float = 0.0
    seed: int = 0
    accumulate: int = 1
    precision: str = "float32"
    keep: str = "best"
    patience: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"lr {self.learning_rate} must be a number above 0; the paper uses 3e-4")
        check_numbers(self)
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema {self.ema} must be from 0 (off) to below 1")
        if self.accumulate > self.batch:
            raise UsageError(
                f"accumulate {self.accumulate} cuts a batch of {self.batch} pairs into parts without any;"
                f" pass at most {self.batch}"
            )
        for name, choices in (("condition", CONDITIONS), ("precision", PRECISIONS), ("keep", KEEP)):
            value = getattr(self, name)
            if value not in choices:
                words = f"{', '.join(choices[:-1])} or {choices[-1]}"
                raise UsageError(f"unknown {name} {value!r}; use {words}")


_LATER = ("accumulate", "precision", "keep", "patience")


def described(settings: TrainSettings) -> dict[str, Any]:
    """The settings that a scorer file gives.

    Those that came after the first shipped files are left out at their defaults, so that these files are
    made again with the same description.
    """
    default = TrainSettings(settings.loss, settings.scales)
    record = asdict(settings)
    return {k: v for k, v in record.items() if k not in _LATER or v != getattr(default, k)}


def option(name: str) -> str:
    """The command line's word for a field."""
    return OPTIONS.get(name, name.replace("_", "-"))
