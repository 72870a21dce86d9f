"""`Exchange.as_dict` and `Journal.as_dict`: an exchange as a JSON value."""

from __future__ import annotations

import asyncio
import json

import pytest
import trio

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing import MemoryNetwork, chunk, delay, ending, every, gate, raw, status
from tests.runagent_testing.players import body_of, client_of
from tests.runagent_testing.raw_client import PATIENCE, post, stream

KEYS = {
    *("number", "arrival", "agent_id", "dialect", "transport", "method", "path", "headers", "body", "input"),
    *("messages", "message_times", "connection", "reused", "status", "outcome", "client", "unread_bytes"),
    *("started_at", "ended_at", "disconnected_at", "unmatched", "refused", "failure", "fault"),
    *("steps", "bytes", "writes", "timeline"),
}
HANDSHAKE = {"websocket": 101}


def network_of(host):
    return {"network": host.blocking} if isinstance(host, MemoryNetwork) else {}


def read(host, transport, **options):
    with RunAgentClient(
        "writer", base_url=host.url, transport=transport, api_key="sk-l1ve-90a7812", **network_of(host)
    ) as client:
        text = client.run_generic_stream("hello", **options).text()
    host.requests[-1].wait_done(PATIENCE)
    return text


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_an_exchange_is_a_json_value_that_has_everything(host, transport):
    host.agent("writer").always("Once", delay(0.001), " upon")
    assert "Once upon" == read(host, transport)
    shown = json.loads(json.dumps(host.requests[0].as_dict()))
    assert KEYS == set(shown)
    assert (1, 1, "writer", transport) == tuple(
        shown[name] for name in ("number", "arrival", "agent_id", "transport")
    )
    assert HANDSHAKE.get(transport, 200) == shown["status"]
    assert ("done", None, None, None) == tuple(
        shown[name] for name in ("outcome", "unmatched", "refused", "failure")
    )
    assert ["chunk 'Once'", "delay 0.001 s", "chunk ' upon'"] == [step["step"] for step in shown["steps"]]
    times = [step["seconds"] for step in shown["steps"]]
    assert 0 <= times[0] <= times[1] <= times[2] <= shown["ended_at"] + 1e-6
    assert shown["bytes"] == sum(write["bytes"] for write in shown["writes"])
    assert [1] in [write["steps"] for write in shown["writes"]]
    assert "<redacted>" == shown["headers"]["authorization"]
    assert "request 1: " in shown["timeline"]


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_asynchronous_clients_leave_the_same(fake_agent_server, run):
    fake_agent_server.agent("writer").always("Once")

    async def ask():
        async with AsyncRunAgentClient("writer", base_url=fake_agent_server.url) as client:
            return await client.run_generic_stream("hello").text()

    assert "Once" == (asyncio.run(ask()) if run is asyncio.run else trio.run(ask))
    assert fake_agent_server.requests[0].wait_done(PATIENCE)
    assert 200 == fake_agent_server.requests[0].as_dict()["status"]


def test_no_credential_is_in_it_even_if_a_write_cuts_it(host):
    host.agent("writer").always("you are sk-l1ve-90a7812", writes=every(3))
    assert "you are sk-l1ve-90a7812" == read(host, "sse")
    with client_of(host) as client:
        client.send(post("/v1/agents/nobody/stream?key=sk-l1ve-90a7812"))
        client.until(b"\r\n\r\n")
    shown = host.journal.as_dict()
    assert ["writer", "nobody"] == [exchange["agent_id"] for exchange in shown["exchanges"]]
    assert "sk-l1ve" not in json.dumps(shown)
    sent = "".join(write["text"] for write in shown["exchanges"][0]["writes"])
    assert "you are ***************" in sent


def test_requests_that_no_script_answers_are_in_the_journal_once(host):
    host.agent("writer").reply(status(503))
    with client_of(host) as client:
        for agent, wanted in (("writer", 503), ("wroter", 404)):
            client.send(stream(agent=agent))
            assert wanted == body_of(client)[0]
    assert host.unmatched[0].wait_done(PATIENCE)
    first, second = host.journal.as_dict()["exchanges"]
    assert (503, None) == (first["status"], first["unmatched"])
    assert 404 == second["status"]
    assert "did you mean 'writer'?" in second["unmatched"]


def test_an_exchange_that_waits_shows_how_far_it_is():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", gate("door"), " upon")
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    with client.run_generic_stream("hello") as reading:
        assert "Once" == next(reading)
        shown = memory.requests[0].as_dict()
    assert ("running", None) == (shown["outcome"], shown["ended_at"])
    assert [0.0, None, None] == [step["seconds"] for step in shown["steps"]]


def test_what_is_no_text_is_base64():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", raw(b": \xff\xfe\n\n"), ending("cut"), writes="per-step")
    with client_of(memory) as client:
        client.send(stream(agent="writer"))
        client.until(b"\xfe\n\n\r\n")
    shown = memory.requests[0].as_dict()
    assert {"number": 2, "step": r"raw b': \xff\xfe\n\n'", "seconds": 0.0} == shown["steps"][1]
    assert ["base64"] == [name for write in shown["writes"] if write["steps"] == [2] for name in write][-1:]


def test_of_a_long_answer_of_a_generator_only_both_ends_are_in_it():
    memory = MemoryNetwork()
    memory.agent("writer").responds(lambda _: (chunk(str(at)) for at in range(5000)))
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    assert 5000 == len(list(client.run_generic_stream("hello")))
    numbers = [step["number"] for step in memory.requests[0].as_dict()["steps"]]
    assert [*range(1, 1001), *range(4001, 5001)] == numbers


def test_a_status_that_is_cut_into_single_bytes_is_known_once_it_is_whole():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", writes=every(1), write_gap=1.0)
    with client_of(memory) as client:
        client.send(stream(agent="writer"))
        seen = []
        for _ in range(13):
            client.socket.recv(1)
            seen.append(memory.requests[0].status)
    assert [None] * 11 + [200, 200] == seen
