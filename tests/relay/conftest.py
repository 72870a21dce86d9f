"""A gateway on a memory network, in each style and format."""

from __future__ import annotations

import pytest

from tests.support.gateways import GATEWAYS, Gateway


@pytest.fixture(params=GATEWAYS, ids="-".join)
def gateway(request: pytest.FixtureRequest) -> Gateway:
    """A gateway in each style, and in each format that the style has."""
    return Gateway(*request.param)


@pytest.fixture(params=[pair for pair in GATEWAYS if pair[1] == "sse"], ids="-".join)
def sse_gateway(request: pytest.FixtureRequest) -> Gateway:
    """A gateway in each style."""
    return Gateway(*request.param)
