"""Recordings of runs that a real service answers."""

from __future__ import annotations

import threading

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, ending
from runagent_testing._recording.reading import read_recording
from tests.runagent_testing.raw_client import PATIENCE, connected, stream
from tests.runagent_testing.test_forwarding import SECRET, TRANSPORTS, events_of


@pytest.fixture
def service():
    with FakeAgentServer() as running:
        yield running


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_passed_on_can_be_recorded(service, tmp_path, transport):
    service.agent("a").always("Once", f" with {SECRET}")
    with FakeAgentServer() as server:
        server.agent("*").forwards(service.url, record=tmp_path)
        events, error = events_of("sync", server.url, transport, api_key=SECRET)
        server.check()
    assert error is None
    assert SECRET in str(events)
    (path,) = tmp_path.iterdir()
    assert SECRET not in path.read_text()
    memory = MemoryNetwork()
    memory.agent("a").replay(path)
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport=transport)
    assert client.run_generic_stream("x").text() == f"Once with {'*' * len(SECRET)}"


@pytest.mark.parametrize("kind", ["cut", "reset", "fin-in-chunk"])
def test_the_recorded_ending_is_that_of_the_service(service, tmp_path, kind):
    service.agent("a").always("Once", ending(kind))
    with FakeAgentServer() as server:
        server.agent("*").forwards(service.url, record=tmp_path)
        events_of("sync", server.url)
    ends = {"cut": "fin", "reset": "reset", "fin-in-chunk": "cut-chunk"}
    found = read_recording(next(tmp_path.iterdir())).end
    assert found is not None
    assert found.kind == ends[kind]


def test_a_service_that_cannot_be_reached_is_recorded_as_a_reset(tmp_path):
    with FakeAgentServer() as closed:
        url = closed.url
    with FakeAgentServer() as server:
        server.agent("*").forwards(url, record=tmp_path)
        with connected(server.url) as client:
            client.send(stream(connection="close"))
            client.rest()
    found = read_recording(next(tmp_path.iterdir()))
    assert found.status is None
    assert found.end is not None
    assert found.end.kind == "reset"


def test_parallel_runs_are_recorded_in_a_file_each(service, tmp_path):
    service.agent("a").always("Once", " upon")
    with FakeAgentServer() as server:
        server.agent("*").forwards(service.url, record=tmp_path)
        threads = [threading.Thread(target=events_of, args=("sync", server.url)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(path.name[:4] for path in tmp_path.iterdir()) == [f"{n:04}" for n in range(1, 9)]
