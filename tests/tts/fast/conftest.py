"""What tests of the fast forms share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def assert_same_model():
    """Checks that another form of a backbone has its logits at every scale, and its images."""

    def check(exact, other, labels, cfg):
        states = [backbone.begin(labels, cfg) for backbone in (exact, other)]
        for _ in range(exact.info.scales):
            wanted, found = (state.logits() for state in states)
            torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)
            for state in states:
                state.commit(wanted.argmax(dim=-1))
        wanted, found = (state.decode() for state in states)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)

    return check
