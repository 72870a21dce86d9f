"""The benchmark of the fake agent server in short, with bounds that a busy machine keeps, too."""

from __future__ import annotations

import json
import time

import pytest

from tests.benchmarks.bench_fake import departure_times, hold_streams, rate, start_time
from tests.benchmarks.fake_against import Scale, compare, measure
from tests.benchmarks.lazy_scripts import long_stream, others_during, planning_time
from tests.benchmarks.served import EVENTS, served
from tests.support.tracing import SLOWDOWN

ROUNDS = 5


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
@pytest.mark.parametrize("agent", ["merged", "steps", "anew"])
def test_events_cost_little(agent, transport, server):
    # The benchmark holds it to 100 000 a second. Here the measure is the machine's own speed, in the same
    # seconds: 50 000 where 450 000 events a second are written as JSON. The best of some rounds counts, as
    # what else runs on the machine only slows it down.
    found = written = 0.0
    for _ in range(ROUNDS):
        written = max(written, events_written_per_cpu_second())
        found = max(found, rate(server, agent, transport, seconds=0.2).per_cpu_second)
        if found > written / 9 / SLOWDOWN:
            return
    pytest.fail(f"{found:,.0f} events cost a second, in which {written:,.0f} are written as JSON")


def events_written_per_cpu_second():
    """Write events as JSON for a while, as a measure of the machine."""
    count, began = 0, time.process_time()
    while (worked := time.process_time() - began) < 0.05:
        for number in range(EVENTS):
            json.dumps({"type": "chunk", "content": f"word{number} ", "index": number})
        count += EVENTS
    return count / worked


def test_many_streams_are_open_at_once(server):
    held = hold_streams(server, 1000)
    assert 1000 == held.count
    assert held.memory < 200 * 1024


def test_it_starts_at_once():
    _, median = start_time(5)
    assert median < 0.1


def test_an_agent_knows_soon_that_its_client_has_disconnected():
    assert {"closed", "reset", "half-closed"} == departure_times(1).keys()


def test_a_generator_begins_at_once_and_fills_no_memory(server):
    long = long_stream(server, "generator-in-short")
    assert long.first < 1.0
    assert long.growth < 16 * 1024 * 1024


@pytest.mark.parametrize("agent", ["sleeping", "awaiting"])
def test_a_slow_function_delays_no_other_agent(agent, server):
    assert others_during(server, agent, 5) < 0.5  # the function takes twice as long


def test_a_script_with_many_pauses_is_planned_quickly():
    assert planning_time(8000, times=2) < 0.5 * SLOWDOWN


def test_every_cost_that_is_compared_with_another_commit_is_measured():
    costs = measure(Scale(starts=3, seconds=0.02, streams=3))
    assert 11 == len(costs)
    assert all(cost > 0 for what, cost in costs.items() if "memory" not in what)


def test_a_package_that_cannot_be_imported_is_reported(tmp_path):
    (tmp_path / "runagent_testing").mkdir()
    (tmp_path / "runagent_testing" / "__init__.py").write_text("raise SystemExit(5)", encoding="ascii")
    with pytest.raises(RuntimeError, match="a measured process failed"):
        compare(tmp_path, 1, Scale())
