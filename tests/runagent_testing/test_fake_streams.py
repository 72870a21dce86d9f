"""HTTP streams over real sockets: bytes, endings, keep-alive, size."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest
import requests

from runagent_testing import chunk, delay, done, ending, error, gate, heartbeat, raw, status
from runagent_testing._server.connection import Connection
from tests.runagent_testing.raw_client import NDJSON, PATIENCE, SSE, TEXT, connected, http_chunk, post, stream

ACCEPTS = [SSE, NDJSON, TEXT]


def read_events(response):
    """Decode an SSE or NDJSON body; a second opinion, not the server's own code."""
    text = response.content.decode()
    if response.headers["content-type"] == NDJSON:
        return [json.loads(line) for line in text.split("\n") if line]
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if "data" in fields:
            events.append({"type": fields["event"]} | json.loads(fields["data"]))
    return events


def ask(server, agent="a", body=None, accept=SSE, **headers):
    url = f"{server.url}/v1/agents/{agent}/stream"
    return requests.post(url, json=body or {}, headers={"Accept": accept} | headers, timeout=PATIENCE)


def test_the_bytes_of_a_whole_answer(server):
    server.agent("a").always("Once", heartbeat(), chunk(" upon", id="7"), raw(b"data: x\n\n"), done("bye"))
    with connected(server.url) as client:
        client.send(stream())
        assert client.until(b"0\r\n\r\n") == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(
                http_chunk(data)
                for data in (
                    b'event: start\ndata: {"message": "stream started"}\n\n',
                    b'event: chunk\ndata: {"content": "Once", "index": 0}\n\n',
                    b": heartbeat\n\n",
                    b'event: chunk\nid: 7\ndata: {"content": " upon", "index": 1}\n\n',
                    b"data: x\n\n",
                    b'event: done\ndata: {"message": "bye"}\n\n',
                    b"",
                )
            )
        )


@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_the_same_script_is_read_by_a_third_party_in_both_event_formats(server, accept):
    server.agent("a").always("x", {"k": 1}, "\u2028\r\n", "", error("C", "m", retry_after=3))
    assert read_events(ask(server, accept=accept, body={"session_id": "s"})) == [
        {"type": "start", "message": "stream started", "session_id": "s"},
        {"type": "chunk", "content": "x", "index": 0},
        {"type": "chunk", "content": {"k": 1}, "index": 1},
        {"type": "chunk", "content": "\u2028\r\n", "index": 2},
        {"type": "chunk", "content": "", "index": 3},
        {"type": "error", "error": "m", "code": "C", "retry_after": 3},
    ]


def test_plain_text_is_the_text(server):
    server.agent("a").always("Es war", " einmal 🦊", [1])
    response = ask(server, accept=TEXT)
    assert (response.headers["content-type"], response.text) == (
        "text/plain; charset=utf-8",
        "Es war einmal 🦊[1]",
    )


@pytest.mark.parametrize(
    ("accept", "transport", "content_type"),
    [
        (SSE, "sse", SSE),
        ("application/x-ndjson, text/plain;q=0.5", "chunked", NDJSON),
        ("text/plain", "text", "text/plain; charset=utf-8"),
        ("text/plain, Text/Event-Stream", "sse", SSE),
        ("*/*", "sse", SSE),
    ],
)
def test_accept_decides_the_format(server, accept, transport, content_type):
    server.agent("a").always("x")
    response = ask(server, accept=accept)
    assert (content_type, transport) == (response.headers["content-type"], server.requests[0].transport)


def test_nothing_acceptable_is_406(server):
    server.agent("a").reply("x")
    response = ask(server, accept="image/png")
    assert (406, "NOT_ACCEPTABLE") == (response.status_code, response.json()["error"]["code"])
    assert "x" == ask(server, accept=TEXT).text  # the reply is still there


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize(
    ("kind", "how"),
    [("cut", "fin"), ("reset", "reset")],
)
def test_a_broken_ending_delivers_what_was_sent_and_no_end_marker(server, accept, kind, how):
    server.agent("a").always("word", ending(kind))
    with connected(server.url) as client:
        client.send(stream(accept=accept))
        received, ended = client.rest()
    assert b"word" in received
    assert b"0\r\n\r\n" not in received
    assert b"done" not in received
    assert how == ended
    assert server.requests[0].wait_done(PATIENCE)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_all_is_delivered_before_a_cut(server, accept):
    server.agent("a").always(raw(b"x" * 8_000_000), ending("cut"))
    with connected(server.url) as client:
        client.send(stream(accept=accept))
        received, ended = client.rest()
    assert (8_000_000, "fin") == (received.count(b"xx") * 2, ended)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_stall_sends_nothing_more_and_waits_for_the_client(server, accept):
    server.agent("a").always("word", ending("stall"))
    with connected(server.url) as client:
        client.send(stream(accept=accept))
        client.until(b"word")
        assert server.requests[0].outcome == "running"
        client.until(b"\r\n")  # the rest of its chunk
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    assert server.requests[0].wait_disconnected(PATIENCE)


@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_an_end_without_done_is_clean_for_http(server, accept):
    server.agent("a").always("word", ending("no-done"))
    types = [event["type"] for event in read_events(ask(server, accept=accept))]
    assert ["start", "chunk"] == types


def test_replies_are_used_up_in_order_before_always(server):
    server.agent("a").always("always").reply("first").reply("second", delay(0.01), "!")
    assert ["first", "second!", "always", "always"] == [ask(server, accept=TEXT).text for _ in range(4)]


def test_a_status_refuses_one_run_and_the_next_one_goes_through(server):
    server.agent("a").always("x").reply(status(503, retry_after=1))
    refused, fine = ask(server), ask(server, accept=TEXT)
    assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
    error_body = refused.json()["error"]
    del error_body["request_id"]
    assert error_body == {
        "code": "SERVICE_UNAVAILABLE",
        "message": "Service Unavailable",
        "status": 503,
        "retry_after": 1,
    }
    assert "x" == fine.text


def test_resuming_by_index_and_by_event_id(server):
    server.agent("a").always("a", "b", "c", ids=True)
    by_index = ask(server, body={"parameters": {"resume_from_index": 2}})
    by_id = ask(server, **{"Last-Event-ID": "0"})
    assert [("c", 2)] == [(event["content"], event["index"]) for event in read_events(by_index)[1:-1]]
    assert [("b", 1), ("c", 2)] == [(event["content"], event["index"]) for event in read_events(by_id)[1:-1]]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_thousand_runs_share_one_connection(server, accept):
    server.agent("a").always("x")
    asked = stream(accept=accept)
    with connected(server.url) as client:
        for _ in range(1000):
            client.send(asked)
            client.until(b"0\r\n\r\n")
    assert (1, 1000) == (server.connections, len(server.requests))
    assert {1} == {exchange.connection for exchange in server.requests}


def test_done_leaves_together_with_the_end_marker(server):
    opened = gate("g")
    server.agent("a").always("x", opened, "y")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b"\n\n\r\n")
        client.until(b"\n\n\r\n")
        opened.open()
        assert client.socket.recv(65536).endswith(b"event: done\ndata: {}\n\n\r\n0\r\n\r\n")


def test_pipelined_requests_are_answered_in_order(server):
    server.agent("a").reply("one").reply("two")
    with connected(server.url) as client:
        client.send(stream(accept=TEXT) * 2)
        assert b"one" in client.until(b"0\r\n\r\n")
        assert b"two" in client.until(b"0\r\n\r\n")


@pytest.mark.parametrize(("version", "headers"), [("1.0", {}), ("1.1", {"connection": "close"})])
def test_a_client_that_wants_no_keep_alive_gets_none(server, version, headers):
    server.agent("a").always("x")
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/stream", {}, version, accept=TEXT, **headers))
        received, ended = client.rest()
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert (b"x" if version == "1.0" else b"1\r\nx\r\n0\r\n\r\n", "fin") == (body, ended)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_ten_thousand_chunks_arrive(server, accept):
    server.agent("a").always(*[f"{number};" for number in range(10_000)])
    response = ask(server, accept=accept)
    expected = [f"{number};" for number in range(10_000)]
    if accept == TEXT:
        assert "".join(expected) == response.text
    else:
        assert expected == [event["content"] for event in read_events(response)[1:-1]]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_an_eleven_megabyte_chunk_arrives_whole(server, accept):
    big = "0123456789ä" * (1024 * 1024)
    server.agent("a").always(big)
    response = ask(server, accept=accept)
    assert big == (response.text if accept == TEXT else read_events(response)[1]["content"])


def test_a_client_that_does_not_read_delays_the_answer(server):
    server.agent("a").always(*["x" * 1_000_000] * 40)
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        client.until(b"\r\n\r\n")
        assert not server.requests[0].wait_done(0.1)  # more is to be sent than sockets hold
        client.until(b"0\r\n\r\n")
    assert server.requests[0].wait_done(PATIENCE)


def test_fifty_streams_at_once(server):
    opened = gate("all are here")
    server.agent("a").always("x", opened, "y")

    async def main():
        async def one(session):
            url = f"{server.url}/v1/agents/a/stream"
            async with session.post(url, json={}, headers={"Accept": TEXT}) as response:
                first = await response.content.readexactly(1)
                arrived.release()
                return first + await response.content.read()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            arrived = asyncio.Semaphore(0)
            tasks = [asyncio.create_task(one(session)) for _ in range(50)]
            async with asyncio.timeout(PATIENCE):
                for _ in tasks:
                    await arrived.acquire()
                opened.open()
                return await asyncio.gather(*tasks)

    assert [b"xy"] * 50 == asyncio.run(main())
    assert 50 == server.connections


@pytest.mark.parametrize("leave", ["abort", "close"])
def test_the_server_sees_the_client_leave(server, leave):
    server.agent("a").always("x", gate("never"))
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"x"')
        client.abort() if leave == "abort" else client.socket.close()
        assert server.requests[0].wait_disconnected(PATIENCE)
    assert not server.requests[0].wait_done(0)


def test_a_complete_answer_is_not_closed_early(server):
    server.agent("a").always("x")
    ask(server)
    assert server.requests[0].wait_done(PATIENCE)
    assert not server.requests[0].wait_disconnected(0)


def test_what_was_asked_is_on_record(server):
    server.agent("ä/b?").always("x")
    ask(server, "%C3%A4%2Fb%3F", {"query": "hi"}, **{"X-Trace": "1"})
    (exchange,) = server.requests
    assert ("sse", "ä/b?", "/v1/agents/%C3%A4%2Fb%3F/stream", {"query": "hi"}, 1) == (
        exchange.transport,
        exchange.agent_id,
        exchange.path,
        exchange.input,
        exchange.connection,
    )
    assert ("1", SSE) == (exchange.headers["x-trace"], exchange.headers["accept"])


def test_small_writes_are_not_delayed_by_the_kernel(server, monkeypatch):
    seen = []
    made = Connection.connection_made

    def watched(self, transport):
        made(self, transport)
        connection = transport.get_extra_info("socket")
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(Connection, "connection_made", watched)
    server.agent("a").always("x")
    ask(server)
    assert seen
    assert all(seen)
