"""Batches that fit the device: halved when it runs out of memory, and the work goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from tts.errors import RunError

T = TypeVar("T")


@dataclass
class Fit:
    """How much is made at once: images, and candidates of an image (``None``: as memory settings allow).

    Both are halved while the device runs out of memory, images first; ``say`` hears of the first time.
    """

    batch: int
    chunk: int | None = None
    say: Callable[[str], None] = lambda message: None
    shrunk: bool = False

    def shrink(self, batch: int, most: int) -> bool:
        """Make less than ``batch`` images, or ``most`` candidates of one, at once; false at one of one."""
        if batch > 1:
            self.batch = batch // 2
        elif (self.chunk or most) > 1:
            self.chunk = (self.chunk or most) // 2
        else:
            return False
        if not self.shrunk:
            self.say("the device ran out of memory; going on with smaller batches")
        self.shrunk = True
        return True


def fitting(count: int, fit: Fit, most: int, make: Callable[[slice], T]) -> Iterator[T]:
    """Apply ``make`` to portions of ``count`` items that fit the device's memory, in their order."""
    first = 0
    while first < count:
        part = slice(first, min(first + fit.batch, count))
        try:
            made = make(part)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            made = None  # the traceback, which holds tensors, goes with the except block
        if made is not None:
            yield made
            first = part.stop
            continue
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not fit.shrink(part.stop - part.start, most):
            raise RunError(
                "the device has too little memory for one image;"
                " use a smaller backbone, --dtype bfloat16 or another --device"
            )


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that a device, or the CPU's allocator, has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
