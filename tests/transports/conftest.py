"""The sizes in which an answer is fed to a session, unless a module has its own."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[1, 1 << 30], ids=["byte by byte", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    """The size of each piece."""
    size: int = request.param
    return size
