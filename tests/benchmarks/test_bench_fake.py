"""The benchmark of the fake agent server in short, with bounds that a busy machine keeps, too."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_fake import cost_of_a_test, events_per_second, hold_streams, start_time
from tests.benchmarks.served import served


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_events_come_fast(transport, server):
    assert events_per_second(server.port, "merged", transport, seconds=0.2) > 20_000


def test_many_streams_are_held_at_once(server):
    held = hold_streams(server, 1000)
    assert 1000 == held.count
    assert held.memory < 200 * 1024


def test_it_starts_at_once():
    _, median = start_time(5)
    assert median < 0.1


def test_a_test_costs_little():
    assert cost_of_a_test(20) < 0.02
