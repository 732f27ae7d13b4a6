"""Names of the independent families of random draws. Imports no torch."""

from __future__ import annotations

from enum import IntEnum


class Stream(IntEnum):
    """What an image is made for: an image for training data never shares noise with a sample."""

    SAMPLE = 0
    COLLECT = 1


class Purpose(IntEnum):
    """What a draw decides within its stream."""

    TOKENS = 0
    SELECTION = 1
    RANDOMIZE = 2
    RESAMPLING = 3
