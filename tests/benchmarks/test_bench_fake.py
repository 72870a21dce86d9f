"""The benchmark of the fake agent server in short, with bounds that a busy machine keeps, too."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_fake import departure_times, hold_streams, rate, start_time
from tests.benchmarks.served import served
from tests.support.tracing import SLOWDOWN


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
@pytest.mark.parametrize("agent", ["merged", "steps", "anew"])
def test_events_cost_little(agent, transport, server):
    # The benchmark holds it to 100 000; a machine that others use has colder caches.
    assert rate(server, agent, transport, seconds=0.2).per_cpu_second > 50_000 / SLOWDOWN


def test_many_streams_are_open_at_once(server):
    held = hold_streams(server, 1000)
    assert 1000 == held.count
    assert held.memory < 200 * 1024


def test_it_starts_at_once():
    _, median = start_time(5)
    assert median < 0.1


def test_an_agent_knows_soon_that_its_client_has_disconnected():
    assert {"closed", "reset", "half-closed"} == departure_times(1).keys()
