"""What a part promised, and the sentence that says where it broke its word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor


class ConformanceError(AssertionError):
    """A part breaks its contract.

    ``part`` names it, ``rule`` is the contract, ``found`` what the check met and ``where`` the place in the
    toolkit that states the contract.
    """

    def __init__(self, part: str, rule: str, found: str, where: str) -> None:
        super().__init__(f"{part}: {rule}; {found}. See {where}.")
        self.part, self.rule, self.found, self.where = part, rule, found, where


@dataclass(frozen=True)
class Contract:
    """The contract of one part; its methods raise ``ConformanceError`` where it is broken."""

    part: str
    where: str

    def fail(self, rule: str, found: str) -> NoReturn:
        """The rule is broken."""
        raise ConformanceError(self.part, rule, found, self.where)

    def require(self, holds: bool, rule: str, found: str) -> None:
        """The rule must hold."""
        if not holds:
            self.fail(rule, found)

    @contextmanager
    def keeps(self, rule: str) -> Iterator[None]:
        """What is raised inside breaks the rule."""
        try:
            yield
        except ConformanceError:
            raise
        except Exception as error:
            message = " ".join(str(error).split()).rstrip(".")
            raised = f"raised {type(error).__name__}" + (f": {message}" if message else "")
            raise ConformanceError(self.part, rule, raised, self.where) from error

    def tensor(
        self, value: object, shape: tuple[int, ...], what: str, dtype: torch.dtype | None = None
    ) -> Tensor:
        """``value`` must be a tensor of this shape and dtype (``None``: any floating one), without NaN."""
        rule = f"{what} must be a {dtype or 'floating-point'} tensor of shape {shape}".replace("torch.", "")
        if not isinstance(value, Tensor):
            self.fail(rule, f"got {type(value).__name__}")
        got = f"got {value.dtype} of shape {tuple(value.shape)}".replace("torch.", "")
        right = value.is_floating_point() if dtype is None else value.dtype == dtype
        self.require(right and tuple(value.shape) == shape, rule, got)
        if value.is_floating_point():
            wrong = int(value.isnan().sum())
            self.require(not wrong, f"{what} must be numbers", f"{wrong} of {value.numel()} are NaN")
        return value

    def finite(self, value: object, shape: tuple[int, ...], what: str) -> Tensor:
        """``value`` must be a floating-point tensor of this shape, all finite."""
        tensor = self.tensor(value, shape, what)
        wrong = int((~tensor.isfinite()).sum())
        self.require(not wrong, f"{what} must be finite", f"{wrong} of {tensor.numel()} are not")
        return tensor

    def within(self, values: Tensor, low: float, high: float, what: str, slack: float = 0.0) -> None:
        """All values must be from ``low`` to ``high``, both included, but for ``slack``."""
        least, most = float(values.min()), float(values.max())
        rule = f"{what} must be from {low:g} to {high:g}"
        self.require(
            low - slack <= least and most <= high + slack, rule, f"they are from {least:g} to {most:g}"
        )

    def same(self, got: Tensor, wanted: Tensor, rule: str, what: str, tolerance: float = 0.0) -> None:
        """``got`` must be ``wanted``, to ``tolerance`` times its largest absolute value (at least 1)."""
        if got.shape != wanted.shape:
            self.fail(rule, f"{what} has shape {tuple(got.shape)} in place of {tuple(wanted.shape)}")
        if torch.equal(got, wanted):  # also infinities
            return
        difference = (got.double() - wanted.double()).abs().nan_to_num(torch.inf)
        difference = difference.masked_fill(got == wanted, 0.0)  # equal infinities
        largest = float(difference.max())
        scale = max(1.0, float(wanted.double().abs().nan_to_num(0.0, 0.0, 0.0).max()))
        if largest > tolerance * scale:
            count = int((difference > tolerance * scale).sum())
            share = f"in {count} of {difference.numel()} numbers"
            self.fail(
                rule, f"{what} differs {share}, by up to {largest:.3g} (allowed {tolerance * scale:.3g})"
            )

    @contextmanager
    def unchanged(self, what: str, **arguments: Tensor | None) -> Iterator[None]:
        """``what`` must leave these tensors as they are."""
        before = {name: None if value is None else value.clone() for name, value in arguments.items()}
        yield
        for name, copy in before.items():
            value = arguments[name]
            if value is not None and copy is not None:
                equal = torch.equal(value.nan_to_num(0.25), copy.nan_to_num(0.25))
                self.require(equal, f"{what} must not change its arguments", f"it changed {name}")

    def text(self, value: object, what: str) -> None:
        """``value`` must be text that is not empty."""
        self.require(isinstance(value, str) and bool(value), f"{what} must be text", f"got {value!r}")

    def record(self, part: object) -> None:
        """``describe()``, where a part has it, must give a dict that JSON can hold."""
        describe = getattr(part, "describe", None)
        if describe is None:
            return
        rule = "describe() must give a dict that can be written as JSON"
        with self.keeps(rule):
            found = describe()
        self.require(isinstance(found, Mapping), rule, f"got {type(found).__name__}")
        with self.keeps(rule):
            json.dumps(found)


def title(kind: str, part: Any) -> str:
    """The name of a part in messages."""
    name = getattr(part, "name", None) or getattr(part, "__name__", None) or type(part).__name__
    return f"{kind} {name}"
