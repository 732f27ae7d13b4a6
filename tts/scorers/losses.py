"""Losses of the scoring network (LSRS paper, section 3.3). Both are minimal at the log density ratio.

With s = log p_real - log p_generated + a constant for each class and scale, the pairwise loss cannot fall
further; the pointwise loss fixes the constant too.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tts.checks import check_floats


def pairwise(real: Tensor, generated: Tensor) -> Tensor:
    """Equation 4: mean of -log sigmoid(S_real - S_gen) over pairs (N,), (N,)."""
    check_floats(real, (len(generated),), "scores of real maps")
    check_floats(generated, (len(real),), "scores of generated maps")
    return F.softplus(generated - real).mean()


def pointwise(real: Tensor, generated: Tensor) -> Tensor:
    """Equation 5: binary cross-entropy, real maps labelled 1 and generated ones 0, mean over both."""
    for scores, whose in ((real, "real"), (generated, "generated")):
        check_floats(scores, (len(scores),), f"scores of {whose} maps")
    return (F.softplus(-real).mean() + F.softplus(generated).mean()) / 2
