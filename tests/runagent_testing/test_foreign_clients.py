"""Clients that nobody here wrote read the fake agent as they should."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess

import aiohttp
import httpx2
import pytest
import requests
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosedError

from runagent_testing import delay, done, ending, error, every, heartbeat, inside, rechunked, status
from tests.runagent_testing.raw_client import NDJSON, PATIENCE, SSE, STREAM_REQUEST, TEXT

CHUNKS = ("Once", " upon ä time 😀", {"page": [1, None]}, "", "line\n\r\u2028", 0.5)
SCRIPT = (*CHUNKS[:2], heartbeat(), *CHUNKS[2:], done(usage={"total_tokens": 6}))
CURL = shutil.which("curl")

needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")
any_writes = pytest.mark.parametrize(
    "writes",
    [
        "merged",
        "per-step",
        every(1),
        inside("characters", "crlf", "chunk-header", "frame-header"),
        rechunked(3),
    ],
    ids=["merged", "per-step", "every byte", "inside", "rechunked"],
)


def path(server, agent="a"):
    return f"{server.url}/v1/agents/{agent}/stream"


def socket_url(server):
    return f"{server.url.replace('http', 'ws')}/api/v1/agents/a/run-stream"


def contents_of(events):
    """Give the contents of the chunks, and the closing event."""
    chunks = [json.loads(data)["content"] for name, data in events if name == "chunk"]
    return chunks, json.loads(events[-1][1]) if events[-1][0] == "done" else events[-1]


EXPECTED = list(CHUNKS), {"usage": {"total_tokens": 6}}


def sse_events(text):
    """Read well-formed SSE with as little as possible."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(field["event"], field["data"]) for field in fields]


@any_writes
@pytest.mark.parametrize("framing", ["chunked", "extensions", "length", "close"])
def test_httpx2_reads_sse(framing, writes, server):
    server.agent("a").always(*SCRIPT, writes=writes, framing=framing, ids=True)
    with (
        httpx2.Client(timeout=PATIENCE, trust_env=False) as client,
        client.sse(path(server), method="POST", json={}) as source,
    ):
        events = list(source)
    assert EXPECTED == contents_of([(event.event, event.data) for event in events])
    assert [str(number) for number in range(6)] == [event.id for event in events[1:-1]]


@any_writes
def test_httpx2_reads_sse_on_asyncio(writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)

    async def events():
        async with (
            httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client,
            client.sse(path(server), params={"query": "hi"}) as source,  # its default method is GET
        ):
            return [(event.event, event.data) async for event in source]

    assert EXPECTED == contents_of(asyncio.run(events()))
    assert {"query": "hi"} == server.requests[0].input


@any_writes
@pytest.mark.parametrize("framing", ["chunked", "extensions", "length", "close"])
def test_requests_reads_ndjson(framing, writes, server):
    server.agent("a").always(*SCRIPT, writes=writes, framing=framing)
    with requests.post(
        path(server), json={}, headers={"Accept": NDJSON}, stream=True, timeout=PATIENCE
    ) as answer:
        lines = [json.loads(line) for line in answer.iter_lines(chunk_size=7, delimiter=b"\n") if line]
    assert list(CHUNKS) == [line["content"] for line in lines if line["type"] == "chunk"]
    assert {"type": "done", "usage": {"total_tokens": 6}} == lines[-1]


@any_writes
def test_requests_reads_text(writes, server):
    server.agent("a").always("Once", " upon ä time 😀", writes=writes)
    answer = requests.post(path(server), json={}, headers={"Accept": TEXT}, timeout=PATIENCE)
    answer.encoding = "utf-8"
    assert "Once upon ä time 😀" == answer.text


def test_requests_uses_a_connection_again(server):
    server.agent("a").always("x").returns(1)
    with requests.Session() as session:
        for _ in range(3):
            assert session.post(path(server), json={}, timeout=PATIENCE).ok
            assert (
                1
                == session.post(f"{server.url}/v1/agents/a/invoke", json={}, timeout=PATIENCE).json()[
                    "result"
                ]
            )
    assert 1 == server.connections


@any_writes
@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_aiohttp_reads_streams(accept, writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)

    async def body():
        async with (
            aiohttp.ClientSession() as session,
            session.post(path(server), json={}, headers={"Accept": accept}) as answer,
        ):
            return (await answer.read()).decode()

    text = asyncio.run(body())
    if accept == SSE:
        assert EXPECTED == contents_of(sse_events(text))
    else:
        lines = [json.loads(line) for line in text.split("\n") if line]
        assert list(CHUNKS) == [line["content"] for line in lines if line["type"] == "chunk"]


def structured(message):
    return json.loads(json.loads(json.loads(message)["content"])["payload"])


def check_messages(messages):
    assert "stream_started" == json.loads(messages[0])["status"]
    assert list(CHUNKS) == [structured(message) for message in messages[1:-1]]
    completed = json.loads(messages[-1])
    assert ("stream_completed", 6) == (completed["status"], completed["total_chunks"])


@any_writes
def test_aiohttp_reads_the_websocket(writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)

    async def messages():
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_url(server)) as websocket:
            await websocket.send_json(STREAM_REQUEST)
            return [await websocket.receive_str() for _ in range(8)]

    check_messages(asyncio.run(messages()))
    assert server.requests[0].wait_done(PATIENCE)


@any_writes
def test_websockets_reads_the_websocket(writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)
    with websockets.sync.client.connect(socket_url(server), proxy=None) as websocket:
        websocket.send(json.dumps(STREAM_REQUEST))
        messages = [websocket.recv(timeout=PATIENCE) for _ in range(8)]
    check_messages(messages)
    assert 1000 == websocket.close_code


@any_writes
def test_websockets_reads_the_websocket_on_asyncio(writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)

    async def messages():
        async with websockets.asyncio.client.connect(socket_url(server), proxy=None) as websocket:
            await websocket.send(json.dumps(STREAM_REQUEST))
            return [await websocket.recv() for _ in range(8)]

    check_messages(asyncio.run(messages()))


def curl(*arguments):
    command = [CURL, "--silent", "--no-buffer", "--noproxy", "*", "--max-time", "10", *arguments]
    return subprocess.run(command, capture_output=True, timeout=20)


@needs_curl
@any_writes
@pytest.mark.parametrize("framing", ["chunked", "extensions", "length", "close"])
def test_curl_reads_sse(framing, writes, server):
    server.agent("a").always(*SCRIPT, writes=writes, framing=framing)
    ran = curl("--json", "{}", "--header", f"Accept: {SSE}", path(server))
    assert 0 == ran.returncode
    assert EXPECTED == contents_of(sse_events(ran.stdout.decode()))


@needs_curl
@any_writes
def test_curl_reads_lines(writes, server):
    server.agent("a").always(*SCRIPT, writes=writes)
    ran = curl("--json", "{}", "--header", f"Accept: {NDJSON}", path(server))
    lines = [json.loads(line) for line in ran.stdout.split(b"\n") if line]
    assert (0, {"type": "done", "usage": {"total_tokens": 6}}) == (ran.returncode, lines[-1])
    assert list(CHUNKS) == [line["content"] for line in lines if line["type"] == "chunk"]


@needs_curl
@any_writes
def test_curl_reads_text(writes, server):
    server.agent("a").always("Once", " upon ä time 😀", writes=writes)
    ran = curl("--json", "{}", "--header", f"Accept: {TEXT}", path(server))
    assert (0, "Once upon ä time 😀") == (ran.returncode, ran.stdout.decode())


@needs_curl
@pytest.mark.parametrize(
    ("kind", "code"),
    [("no-done", 0), ("cut", 18), ("fin-in-chunk", 18), ("reset", 56), ("close-delimited-cut", 0)],
)
def test_curl_sees_how_a_stream_ends(kind, code, server):
    # The pause lets curl read what comes before a reset.
    server.agent("a").always("Once", delay(0.05), ending(kind))
    ran = curl("--data", "{}", path(server))
    assert (code, True) == (ran.returncode, b"Once" in ran.stdout)


@needs_curl
def test_curl_tries_again_at_retry_after(server):
    server.agent("a").fails(1).always("x")
    ran = curl("--retry", "2", "--json", "{}", "--header", f"Accept: {TEXT}", path(server))
    assert [True, True] == [exchange.wait_done(PATIENCE) for exchange in server.requests]
    assert (0, True) == (ran.returncode, ran.stdout.endswith(b"x"))


# Failures, as each client names them

broken = pytest.mark.parametrize("kind", ["cut", "fin-in-chunk", "reset"])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut", httpx2.RemoteProtocolError),
        ("fin-in-chunk", httpx2.RemoteProtocolError),
        ("reset", httpx2.ReadError),
    ],
)
def test_httpx2_sees_how_a_stream_breaks(kind, expected, server):
    server.agent("a").always("Once", delay(0.05), ending(kind))
    with (
        httpx2.Client(timeout=PATIENCE, trust_env=False) as client,
        client.sse(path(server), method="POST", json={}) as source,
        pytest.raises(expected),
    ):
        list(source)


@broken
def test_requests_sees_how_a_stream_breaks(kind, server):
    server.agent("a").always("Once", delay(0.05), ending(kind))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(path(server), json={}, timeout=PATIENCE)


@broken
def test_aiohttp_sees_how_a_stream_breaks(kind, server):
    server.agent("a").always("Once", delay(0.05), ending(kind))

    async def read():
        async with aiohttp.ClientSession() as session, session.post(path(server), json={}) as answer:
            await answer.read()

    with pytest.raises(aiohttp.ClientError):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("last", "received", "sent"),
    [
        (ending("close", code=1012, reason="restart"), 1012, 1012),
        (ending("no-close-frame"), None, None),
        (ending("reset"), None, None),
        (ending("bad-utf8"), None, 1007),
        (ending("bad-opcode"), None, 1002),
        (ending("masked-frame"), None, 1002),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else str(value),
)
def test_websockets_sees_how_a_stream_breaks(last, received, sent, server):
    server.agent("a").always("Once", delay(0.05), last)
    with websockets.sync.client.connect(socket_url(server), proxy=None) as websocket:
        websocket.send(json.dumps(STREAM_REQUEST))
        with pytest.raises(ConnectionClosedError) as closed:
            list(websocket)
    codes = [None if frame is None else frame.code for frame in (closed.value.rcvd, closed.value.sent)]
    assert [received, sent] == codes


def test_clients_agree_on_a_refusal(server):
    server.agent("a").always(status(429, retry_after=7, code="RATE_LIMITED", message="slowly"))
    answers = [
        (answer.status_code, answer.headers["retry-after"], answer.json()["error"]["message"])
        for answer in (post(path(server), json={}, timeout=PATIENCE) for post in (requests.post, httpx2.post))
    ]
    with pytest.raises(websockets.InvalidStatus) as refused:
        websockets.sync.client.connect(socket_url(server), proxy=None)
    handshake = refused.value.response
    message = json.loads(handshake.body)["error"]["message"]
    answers.append((handshake.status_code, handshake.headers["retry-after"], message))
    assert [(429, "7", "slowly")] * 3 == answers


def test_an_error_of_the_agent_is_an_event(server):
    server.agent("a").always("Once", error("CAPACITY_ERROR", "full", retry_after=3))
    with (
        httpx2.Client(timeout=PATIENCE, trust_env=False) as client,
        client.sse(path(server), method="POST", json={}) as source,
    ):
        *_, last = source
    assert ("error", {"error": "full", "code": "CAPACITY_ERROR", "retry_after": 3}) == (
        last.event,
        last.json(),
    )
