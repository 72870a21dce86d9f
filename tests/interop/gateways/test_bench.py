"""The bench of gateways, at a small size: it measures gateways that relay everything."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_gateway import measure
from tests.interop.programs import needs_environment

pytestmark = [pytest.mark.interop, needs_environment("gateways")]


@pytest.mark.parametrize("name", ["own chunks, Starlette", "relay, bare ASGI", "relay, WSGI"])
def test_a_gateway_relays_all_chunks(name: str) -> None:
    cost = measure(name, streams=10, pause=0.05, seconds=1.0)
    assert 0 == cost.failures
    assert 0.5 < cost.share < 1.5
    assert 0 < cost.chunk < 10_000
