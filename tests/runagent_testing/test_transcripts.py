"""Transcripts: the same in every run of a test, so that they can be snapshots."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import secrets
import threading
import uuid

import pytest
import trio

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent_testing import FakeAgentServer, MemoryNetwork, custom, delay, every, gate, status, tool_call
from runagent_testing._journal.placeholders import Placeholders
from tests.runagent_testing.players import PLAYERS, client_of, player
from tests.runagent_testing.raw_client import stream
from tests.runagent_testing.runs import RunsDialect
from tests.runagent_testing.test_exchange_dicts import network_of
from tests.support.styles import TRANSPORTS

KEY = "sk-l1ve-90a7812"


def asked(host, transport="sse", agent="writer", **inputs):
    with RunAgentClient(
        agent, base_url=host.url, transport=transport, api_key=KEY, max_retries=0, **network_of(host)
    ) as client:
        return client.run_generic_stream({"query": "hello", **inputs}).text()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", PLAYERS)
def test_two_runs_have_the_same_transcript(kind, transport):
    texts, values = set(), []
    for _ in range(2):
        with player(kind) as host:
            host.agent("writer").always("Once", delay(0.001), " upon", writes=every(7))
            thread = str(uuid.uuid4())
            asked(host, transport, thread=thread, run=secrets.token_hex(12), url=f"{host.url}/x")
            exchange = host.requests[0]
            texts.add(exchange.transcript())
            values.append(exchange.transcript_dict())
    (text,) = texts
    assert values[0] == values[1] == json.loads(json.dumps(values[0]))
    assert "  chunk 'Once'\n  delay 0.001 s\n  chunk ' upon'" in text
    assert '"thread": "<id ' in text
    assert "authorization: <redacted>" in text
    assert KEY not in text


def test_a_transcript_is_text_that_one_can_read():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once\n", tool_call("look", {"at": 1}), gate("door"), "upon")
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking, api_key=KEY)
    with client.run_generic_stream("hello") as reading:
        next(reading)
        text = memory.requests[0].transcript()
    assert text == (
        "POST /v1/agents/writer/stream (documented, sse)\n"
        "  accept: text/event-stream\n"
        "  authorization: <redacted>\n"
        "  content-type: application/json\n"
        '  {"query": "hello"}\n'
        "answer: 200\n"
        "  chunk 'Once\\n'\n"
        "  tool_call 'look', arguments '{\"at\": 1}'\n"
        "  never played: gate 'door'\n"
        "  never played: chunk 'upon'"
    )


@pytest.mark.parametrize("run", ["asyncio", "trio"])
def test_asynchronous_clients_have_the_same_as_synchronous_ones(fake_agent_server, run):
    fake_agent_server.agent("writer").always("Once")

    async def ask():
        async with AsyncRunAgentClient("writer", base_url=fake_agent_server.url, api_key=KEY) as client:
            await client.run_generic_stream("hello").text()

    asyncio.run(ask()) if run == "asyncio" else trio.run(ask)
    asked(fake_agent_server)
    first, second = fake_agent_server.journal.transcript_list()
    assert first == second


@pytest.mark.parametrize("kind", PLAYERS)
def test_ids_that_the_agent_makes_have_the_same_placeholder_in_every_exchange(kind):
    with player(kind, dialects=[RunsDialect()]) as host:
        host.agent("a").reply("x")
        with client_of(host) as client:
            client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            run = client.until(b"\r\n\r\n").partition(b"/runs/")[2].split()[0].decode()
        with client_of(host) as client:
            client.send(stream("nobody", {"run": run, "short": f"c-{run[:8]}"}))
            client.until(b"\r\n\r\n")
        transcript = host.journal.transcript_list()
    assert {"run": "<id 1>", "short": "c-<id 1>"} == transcript[1]["body"]


def test_requests_made_at_the_same_time_are_put_in_order_if_asked():
    texts = set()
    for order in ("abc", "cab"):
        memory = MemoryNetwork()
        for agent in order:
            memory.agent(agent).always(agent)
            asked(memory, agent=agent, thread=str(uuid.uuid4()))
        texts.add(memory.journal.transcript(sort=True))
    (text,) = texts
    assert ["chunk 'a'", "chunk 'b'", "chunk 'c'"] == re.findall("chunk '.'", text)
    assert ["<id 1>", "<id 2>", "<id 3>"] == [
        exchange["body"]["thread"] for exchange in memory.journal.transcript_list(sort=True)
    ]


def test_in_order_of_arrival_otherwise():
    memory = MemoryNetwork()
    for agent in "cab":
        memory.agent(agent).always(agent)
        asked(memory, agent=agent)
    assert list("cab") == [exchange["agent_id"] for exchange in memory.journal.transcript_list()]


def test_header_fields_are_shown_if_they_are_named(host):
    host.agent("a").always("x")
    with client_of(host) as client:
        client.send(stream("a", **{"X-Tenant": "blue", "X-Api-Key": KEY, "X-Request-Id": "r"}))
        client.until(b"0\r\n\r\n")
    exchange = host.requests[0]
    assert {"accept", "x-api-key"} == set(exchange.transcript_dict()["headers"])
    shown = exchange.transcript_dict(headers=["X-Tenant"])["headers"]
    assert ("blue", "<redacted>") == (shown["x-tenant"], shown["x-api-key"])
    with pytest.raises(TypeError, match="headers= takes names of header fields"):
        exchange.transcript(headers="x-tenant")


def test_a_transcript_waits_until_what_was_sent_is_noted(fake_agent_server):
    fake_agent_server.agent("writer").always(*["x"] * 200, writes="per-step")
    for number in range(20):
        asked(fake_agent_server)
        assert "never played" not in fake_agent_server.requests[number].transcript()


def test_a_request_that_no_script_answers_has_the_reason(host):
    host.agent("writer").reply(status(503))
    for agent in ("writer", "wrter"):
        with pytest.raises(RunAgentError):
            asked(host, agent=agent)
    first, second = host.journal.transcript_list()
    assert ["status 503"] == first["steps"]
    assert (404, "agent 'wrter': did you mean 'writer'?") == (second["status"], second["unmatched"])


def test_a_failure_of_a_function_is_in_it_without_the_place_of_its_file():
    memory = MemoryNetwork()

    def breaks(request):
        yield "Once"
        raise ValueError("oops")

    memory.agent("writer").responds(breaks)
    with pytest.raises(RunAgentError):
        asked(memory)
    failure = memory.requests[0].transcript_dict()["failure"]
    assert failure.startswith("ValueError: oops (in ")
    assert failure.endswith(" (test_transcripts.py))")


@pytest.mark.parametrize("kind", PLAYERS)
def test_the_messages_of_a_websocket_are_values(kind):
    with player(kind) as host:
        host.agent("writer").always("Once")
        asked(host, "websocket", number=7)
        (message,) = host.requests[0].transcript_dict()["messages"]
    assert {"query": "hello", "number": 7} == message["input_kwargs"]


def test_of_an_endless_answer_the_middle_is_counted():
    memory = MemoryNetwork()
    memory.agent("writer").responds(lambda _: (str(at) for at in range(5000)))
    asked(memory)
    steps = memory.requests[0].transcript_dict()["steps"]
    assert (2001, "... 3000 more steps ...") == (len(steps), steps[1000])


def test_many_equal_steps_share_a_line_of_the_text():
    memory = MemoryNetwork()
    memory.agent("writer").always("a", "a", "a", *["b"] * 100, gate("door"), *["c"] * 4)
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    with client.run_generic_stream("hello") as reading:
        next(reading)
        shown = memory.requests[0].transcript().partition("answer: 200\n")[2].splitlines()
    assert [f"  chunk {text}" for text in ("'a'", "'a'", "'a'", "'b' (100 times)")] == shown[:4]
    assert ["  never played: gate 'door'", "  never played: chunk 'c' (4 times)"] == shown[4:]
    assert 103 == len(memory.requests[0].transcript_dict()["steps"])


def test_threads_may_ask_for_it_while_agents_answer():
    with FakeAgentServer() as server:
        server.agent("writer").always("Once", " upon")
        threads = [threading.Thread(target=asked, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            server.journal.transcript(sort=True)
        for thread in threads:
            thread.join()
        assert 4 == len(server.journal.transcript_list())
        assert 1 == len({exchange.transcript() for exchange in server.requests})


ID, OTHER = "0b5d4a9e-8c1f-4a57-9d4e-6f1d2b3c4a5e", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
NOW = dt.datetime(2026, 11, 29, 9, 8, 7, 123456, dt.UTC)
REPLACED = {
    f"run {ID}": "run <id 1>",
    f"chatcmpl-{ID} msg_{OTHER} {ID}": "chatcmpl-<id 1> msg_<id 2> <id 1>",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV": "<id 1>",
    NOW.isoformat(): "<time>",
    f"at {NOW:%Y-%m-%d %H:%M}Z": "at <time>",
    NOW.strftime("%a, %d %b %Y %H:%M:%S GMT"): "<time>",
    "http://127.0.0.1:4711/x http://localhost:80": "http://127.0.0.1:<port>/x http://localhost:<port>",
    "multipart/form-data; boundary=x7A-3b": "multipart/form-data; boundary=<boundary>",
    "in f (/a/b/test_it.py:12)": "in f (test_it.py)",
    "gpt-4o-mini-2024-07-18, deadbeef, cafe 1234": "gpt-4o-mini-2024-07-18, deadbeef, cafe 1234",
    "ratio 16:9 at 12:30, localhost": "ratio 16:9 at 12:30, localhost",
}


@pytest.mark.parametrize(("text", "shown"), REPLACED.items())
def test_what_differs_from_run_to_run_has_a_placeholder(text, shown):
    assert shown == Placeholders().text(text)


VALUES = [
    ({"messageId": "Ab3dE5fG7hI9jK1l"}, {"messageId": "<id 1>"}),
    ({"thread_id": "Ab3dE5fG7hI9jK1l", "id": "Ab3dE5fG7hI9jK1l"}, {"thread_id": "<id 1>", "id": "<id 1>"}),
    ({"id": "call_1", "assistant_id": "storyteller"}, {"id": "call_1", "assistant_id": "storyteller"}),
    ({"text": "Ab3dE5fG7hI9jK1l", "valid": 12345678901}, {"text": "Ab3dE5fG7hI9jK1l", "valid": 12345678901}),
    ({"created": 1764407287, "createdAt": 1764407287.5}, {"created": "<time>", "createdAt": "<time>"}),
    ({"created": 12, "seed": 1764407287, "ok": True}, {"created": 12, "seed": 1764407287, "ok": True}),
    ([{ID: [ID]}, None], [{"<id 1>": ["<id 1>"]}, None]),
]


@pytest.mark.parametrize(("value", "shown"), VALUES)
def test_the_name_of_a_field_reveals_ids_and_times(value, shown):
    assert shown == Placeholders().value(value)


def test_what_steps_send_has_placeholders_too():
    memory = MemoryNetwork()
    memory.agent("writer").always({"id": str(uuid.uuid4())}, custom("made", {"at": NOW.isoformat()}))
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    assert 1 == len(list(client.run_generic_stream("hello")))
    steps = memory.requests[0].transcript_dict()["steps"]
    assert ["chunk {'id': '<id 1>'}", "custom 'made', value {'at': '<time>'}"] == steps
