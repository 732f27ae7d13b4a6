"""Finding a batch size."""

from __future__ import annotations

import pytest

from tts.bench.auto import choose_batch
from tts.errors import RunError


@pytest.mark.parametrize(
    ("speed", "wanted", "tried", "stopped"),
    [
        (lambda batch: float(batch), 64, 7, "64 images are the most"),
        (lambda batch: float(batch) if batch <= 16 else None, 16, 6, "too little memory for 32 images"),
        (lambda batch: 1.0, 1, 2, "2 images at once make less than 5% more"),
        (lambda batch: min(batch, 8) + batch / 1000, 16, 5, "16 images at once"),
    ],
)
def test_a_batch_is_doubled_while_that_pays_and_fits(speed, wanted, tried, stopped):
    choice = choose_batch(speed, most=64)
    assert choice.batch == wanted
    assert [one.batch for one in choice.tried] == [2**i for i in range(tried)]
    assert stopped in choice.stopped


def test_one_image_must_fit():
    with pytest.raises(RunError, match="too little memory for one image"):
        choose_batch(lambda batch: None)
