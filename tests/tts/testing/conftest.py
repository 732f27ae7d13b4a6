"""What the tests of the checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tts.testing import ConformanceError

Broken = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def broken() -> Broken:
    """Expect a sentence that names the part, the place of its contract, and the given words."""

    @contextmanager
    def check(part: str, *words: str) -> Iterator[None]:
        with pytest.raises(ConformanceError) as caught:
            yield
        message = str(caught.value)
        assert message.startswith(part), message
        assert " See " in message
        assert message.endswith(".py.")
        assert "\n" not in message
        for word in words:
            assert word in message, message

    return check
