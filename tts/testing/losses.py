"""The conformance check of losses. N is the number of pairs of scores."""

from __future__ import annotations

import torch
from torch import Tensor

from tts.scorers.settings import Loss
from tts.testing.contract import Contract, title

WHERE = "LossSpec in tts/specs.py"


def check_loss(loss: Loss) -> None:
    """Check the contract of a loss: a finite scalar that falls as real scores rise above generated ones.

    Raises ``ConformanceError``.
    """
    contract = Contract(title("loss", loss), WHERE)
    generator = torch.Generator().manual_seed(0)
    for count in (2, 16):  # single pairs never come to a loss
        real, generated = torch.randn(2, count, generator=generator)
        before = check_value(loss, real, generated, contract)
        after = check_value(loss, real + 2, generated - 2, contract)
        rule = "a loss must be lower where real scores stand higher above generated ones"
        contract.require(after < before, rule, f"it went from {before:.4g} to {after:.4g} for {count} pairs")
    for shift in (100.0, -100.0):
        check_value(loss, torch.full((4,), shift), torch.full((4,), -shift), contract)


def check_value(loss: Loss, real: Tensor, generated: Tensor, contract: Contract) -> float:
    """The loss of scores (N,) and (N,), checked with its gradients."""
    rule = f"a loss must take real and generated scores of shape {tuple(real.shape)}"
    scores = [real.clone().requires_grad_(), generated.clone().requires_grad_()]
    with contract.keeps(rule), torch.enable_grad():
        value = loss(*scores)
    for name, given, own in zip(("real", "generated"), (real, generated), scores, strict=True):
        equal = torch.equal(own.detach(), given)
        contract.require(equal, "a loss must not change its arguments", f"it changed {name}")
    contract.finite(value, (), "the loss")
    rule = "a loss must have gradients for both sides"
    contract.require(value.requires_grad, rule, "its value has none")
    with contract.keeps(rule):
        gradients = torch.autograd.grad(value, scores)
    for name, gradient in zip(("real", "generated"), gradients, strict=True):
        contract.finite(gradient, tuple(real.shape), f"gradients for {name} scores")
    return float(value.detach())
