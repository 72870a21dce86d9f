"""Endings and write boundaries on real sockets: the bytes that arrived, and how TCP ended."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from runagent_testing import (
    FakeAgentServer,
    at,
    chunk,
    delay,
    ending,
    every,
    gate,
    head,
    heartbeat,
    inside,
    raw,
    raw_response,
    rechunked,
    status,
)
from runagent_testing._render.plan import Write
from runagent_testing.dialects._frames import BAD_FRAMES
from tests.runagent_testing.raw_client import (
    NDJSON,
    PATIENCE,
    SSE,
    STREAM_REQUEST,
    TEXT,
    RawClient,
    connected,
    handshake,
    masked,
    post,
    stream,
)

ACCEPTS = [SSE, NDJSON, TEXT]
CLOSE_1000 = b"\x88\x02\x03\xe8"


def received(server, accept=SSE):
    """Ask for a stream and read all of the connection; the head, the body, and how TCP ended."""
    with connected(server.url) as client:
        client.send(stream(accept=accept))
        whole, how = client.rest()
    head_bytes, _, body = whole.partition(b"\r\n\r\n")
    return head_bytes, body, how


def read_chunks(body):
    """Take chunked framing apart; the rest is what is not a whole chunk."""
    chunks = []
    while b"\r\n" in body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if len(rest) < length + 2:
            break
        chunks.append(rest[:length])
        body = rest[length + 2 :]
    return chunks, body


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize(
    ("kind", "how"),
    [("fin", "fin"), ("cut", "fin"), ("no-close-frame", "fin"), ("bad-utf8", "fin"), ("reset", "reset")],
)
def test_a_cut_comes_after_whole_chunks_and_before_the_end_marker(server, accept, kind, how):
    server.agent("a").always("word", ending(kind))
    _, body, ended = received(server, accept)
    chunks, rest = read_chunks(body)
    assert (how, b"", True) == (ended, rest, b"word" in chunks[-1])
    assert server.requests[0].wait_done(PATIENCE)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(SSE, b"16\r\nevent: done"), (NDJSON, b'11\r\n{"type":'), (TEXT, b"1\r\n")],
)
def test_fin_in_chunk_ends_inside_the_closing_event(server, accept, expected):
    server.agent("a").always("word", ending("fin-in-chunk"))
    _, body, how = received(server, accept)
    assert (expected, "fin") == (read_chunks(body)[1], how)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_close_delimited_cut_has_no_framing_at_all(server, accept):
    server.agent("a").always("word", ending("close-delimited-cut"))
    head_bytes, body, how = received(server, accept)
    assert b"transfer-encoding" not in head_bytes.lower()
    assert b"content-length" not in head_bytes.lower()
    assert b"\r\nConnection: close" in head_bytes
    assert (True, False, "fin") == (b"word" in body, b"done" in body, how)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_half_close_is_a_fin_of_one_side_only(server, accept):
    server.agent("a").always("word", ending("half-close"))
    with connected(server.url) as client:
        client.send(stream(accept=accept))
        body, how = client.rest()
        assert (True, "fin") == (body.endswith(b"\r\n"), how)
        for _ in range(20):  # the other side is still there, or the second send would meet a reset
            client.send(b"x" * 1000)
        client.socket.settimeout(0.02)
        assert b"" == client.socket.recv(1)
    assert server.requests[0].wait_done(PATIENCE)


@pytest.mark.parametrize("transport", ["http", "websocket"])
def test_a_stall_reset_is_silent_and_then_resets(server, transport):
    server.agent("a").always("word", ending("stall-reset", seconds=0.15))
    with connected(server.url) as client:
        client.send(stream()) if transport == "http" else client.open_websocket()
        client.until(b"word")
        before = time.perf_counter()
        assert "reset" == client.rest()[1]
    assert time.perf_counter() - before > 0.1


def test_a_clean_ending_is_what_no_ending_does(server):
    server.agent("a").reply("x", ending("clean")).reply("x")
    bodies = []
    with connected(server.url) as client:
        for _ in range(2):
            client.send(stream())
            bodies.append(client.until(b"0\r\n\r\n"))
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("kind", ["close", "no-done"])
def test_over_http_a_close_is_an_end_without_done(server, kind):
    server.agent("a").always("x", ending(kind))
    with connected(server.url) as client:
        client.send(stream())
        assert b"done" not in client.until(b"0\r\n\r\n")


@pytest.mark.parametrize(("code", "reason"), [(1011, "oh no"), (1005, ""), (4242, "wörld")])
def test_a_websocket_is_closed_with_code_and_reason(server, code, reason):
    server.agent("a").always("x", ending("close", code=code, reason=reason))
    with connected(server.url) as client:
        client.open_websocket()
        before = code.to_bytes(2, "big") + reason.encode()
        client.until(bytes([0x88, len(before)]) + before)
        client.send(masked(8, b"\x03\xe8"))
        assert (b"", "fin") == client.rest()


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_a_bad_frame_is_sent_and_the_client_decides_how_it_ends(server, kind):
    server.agent("a").always("word", ending(kind))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(BAD_FRAMES[kind])
        client.send(masked(8, b"\x03\xea"))
        assert (CLOSE_1000, "fin") == client.rest()


def test_a_websocket_ends_inside_a_frame(server):
    server.agent("a").always("word", ending("fin-in-chunk"))
    with connected(server.url) as client:
        client.open_websocket()
        body, how = client.rest()
    rest = body[body.rindex(b"\x81") :]
    size, payload = int.from_bytes(rest[2:4], "big"), rest[4:]
    assert (126, size // 2, "fin") == (rest[1], len(payload), how)


def test_a_silent_websocket_answers_neither_ping_nor_close(server):
    server.agent("a").always("word", ending("silent"))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(b'"}"}')
        client.send(masked(9, b"hello") + masked(8, b"\x03\xe8"))
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        assert "running" == server.requests[0].outcome
    assert server.requests[0].wait_disconnected(PATIENCE)


def test_a_pong_never_lands_inside_a_frame(server):
    server.agent("a").always("word", writes=every(5), write_gap=0.002)
    with connected(server.url) as client:
        client.open_websocket()
        for _ in range(10):
            client.send(masked(9, b"ping"))
        whole = client.until(b"stream_completed")
        client.until(b'"}')
    at_byte, frames = 0, []
    while at_byte < len(whole):
        assert whole[at_byte] in (0x81, 0x8A)
        size, skip = whole[at_byte + 1], 2
        if size == 126:
            size, skip = int.from_bytes(whole[at_byte + 2 : at_byte + 4], "big"), 4
        frames.append(whole[at_byte + skip : at_byte + skip + size])
        at_byte += skip + size
    texts = [json.loads(text) for text in frames[:-1] if text != b"ping"]
    assert ["status", "data"] == [message["type"] for message in texts]


@pytest.mark.parametrize(
    "asks", [stream(), post("/v1/agents/a/invoke"), handshake()], ids=["stream", "invoke", "ws"]
)
def test_a_raw_response_is_all_that_is_sent(server, asks):
    junk = b"\x00\xffSSH-2.0\r\n\r\n"
    server.agent("a").always(raw_response(junk), delay(0.01), raw(b"more"))
    server.agent("a").returns(raw_response(junk), delay(0.01), raw(b"more"))
    with connected(server.url) as client:
        client.send(asks)
        assert (junk + b"more", "fin") == client.rest()


def test_a_raw_response_can_end_in_a_reset(server):
    server.agent("a").always(raw_response(b"HTTP/1.1 200 "), ending("reset"))
    with connected(server.url) as client:
        client.send(stream())
        assert (b"HTTP/1.1 200 ", "reset") == client.rest()


def test_a_head_changes_status_and_headers_of_a_stream(server):
    server.agent("a").always(
        head(299, headers={"X-A": "b", "cache-control": None, "content-type": "x/y"}), "x"
    )
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        assert client.until(b"0\r\n\r\n") == (
            b"HTTP/1.1 299 Unnamed\r\nTransfer-Encoding: chunked\r\nX-A: b\r\ncontent-type: x/y\r\n\r\n"
            b"1\r\nx\r\n0\r\n\r\n"
        )


def test_a_head_changes_the_handshake_and_waits_as_scripted(server):
    door = gate("door")
    server.agent("a").always(door, head(headers={"Sec-WebSocket-Accept": "wrong"}), "x")
    with connected(server.url) as client:
        client.send(handshake())
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE)
        door.open()
        answer = client.until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: wrong\r\n" in answer


@pytest.mark.parametrize("framing", ["chunked", "extensions", "length", "close"])
def test_framings_carry_the_same_body(server, framing):
    server.agent("a").always("ab", heartbeat(), "c", framing=framing)
    with connected(server.url) as client:
        client.send(stream(accept=TEXT, connection="close"))
        whole, how = client.rest()
    head_bytes, _, body = whole.partition(b"\r\n\r\n")
    expected = {
        "chunked": (b"Transfer-Encoding: chunked", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        "extensions": (b"Transfer-Encoding: chunked", b"2;part=1\r\nab\r\n1;part=1\r\nc\r\n0\r\n\r\n"),
        "length": (b"Content-Length: 3", b"abc"),
        "close": (b"Connection: close", b"abc"),
    }[framing]
    assert (True, expected[1], "fin") == (expected[0] in head_bytes, body, how)


def test_a_length_promises_what_a_cut_withholds(server):
    server.agent("a").always("abc", ending("cut"), framing="length")
    head_bytes, body, how = received(server, TEXT)
    assert (True, b"abc", "fin") == (b"Content-Length: 4" in head_bytes, body, how)


WRITES = {
    "per-step": "per-step",
    "every": every(3),
    "at": at(10, 200),
    "inside": inside("characters", "crlf", "chunk-header", "frame-header"),
    "rechunked": rechunked(7),
}


@pytest.mark.parametrize("accept", [*ACCEPTS, "websocket"])
@pytest.mark.parametrize("writes", WRITES)
def test_writes_that_are_kept_apart_arrive_one_by_one(server, accept, writes):
    server.agent("a").always("wörld 🦊", {"k": "ü"}, writes=WRITES[writes], write_gap=0.004)
    seen = []
    with connected(server.url) as client:
        if accept == "websocket":
            client.send(handshake())
            client.until(b"\r\n\r\n")
            client.send(masked(1, json.dumps(STREAM_REQUEST).encode()))
        else:
            client.send(stream(accept=accept))
        seen.append(client.socket.recv(65536))
        sent = [move.data for move in server.requests[0].plan.moves if isinstance(move, Write)]
        while sum(map(len, seen)) < sum(map(len, sent)) and seen[-1]:
            seen.append(client.socket.recv(65536))
        client.socket.settimeout(0.02)  # and nothing more
        with contextlib.suppress(TimeoutError):
            seen.append(client.socket.recv(65536))
    assert b"".join(sent) == b"".join(seen)
    # A busy machine may not read one before the next has come, though hardly ever so many of them.
    assert len(set(_offsets(seen)) & set(_offsets(sent))) >= len(sent) // 4
    assert set(_offsets(seen)) <= set(_offsets(sent))


def _offsets(pieces):
    offset = 0
    for piece in pieces:
        offset += len(piece)
        yield offset


def whole_connection(server):
    try:
        with connected(server.url) as client:
            return client.rest()
    except ConnectionResetError:  # so quick that connecting itself has noticed
        return b"", "reset"


@pytest.mark.parametrize(("fault", "how"), [("close", "fin"), ("reset", "reset")])
def test_a_connection_can_end_before_anything_is_read(server, fault, how):
    server.agent("a").always("x")
    server.on_connect(fault, times=2)
    for _ in range(2):
        assert (b"", how) == whole_connection(server)
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        client.until(b"0\r\n\r\n")
    assert (3, 1) == (server.connections, len(server.requests))


def test_a_silent_connection_reads_nothing(server):
    server.agent("a").always("x")
    server.on_connect("silent")
    with connected(server.url) as client:
        client.send(stream())
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    assert [] == server.requests


def test_a_spoilt_connection_of_an_unknown_kind_is_an_error(server):
    with pytest.raises(ValueError, match="close, reset, silent, not 'explode'"):
        server.on_connect("explode")


def test_a_half_close_on_a_unix_socket(tmp_path):
    with FakeAgentServer(unix_path=tmp_path / "s") as server, socket.socket(socket.AF_UNIX) as plain:
        server.agent("a").always("word", ending("half-close"))
        plain.settimeout(PATIENCE)
        plain.connect(str(tmp_path / "s"))
        client = RawClient(plain)
        client.send(stream(accept=TEXT))
        assert client.rest()[0].endswith(b"word\r\n")
        client.send(b"still there")


def test_responding_functions_get_the_request_and_may_fail(server):
    def reply(request):
        if request.input["query"] == "boom":
            raise LookupError("no such word")
        if request.transport in ("invoke", "run"):
            return [f"{request.dialect} {request.input['query']}"]
        return [request.transport, " ", chunk(request.agent_id)]

    server.agent("a").responds(reply)
    asked = {"query": "hi"}
    with connected(server.url) as client:
        client.send(stream(body=asked, accept=TEXT))
        assert client.until(b"0\r\n\r\n").endswith(b"4\r\ntext\r\n1\r\n \r\n1\r\na\r\n0\r\n\r\n")
        client.send(post("/v1/agents/a/invoke", asked))
        assert b'"documented hi"' in client.until(b'"}}')
        client.send(stream(body={"query": "boom"}))
        assert b"LookupError: no such word" in client.until(b'"}}')
    with connected(server.url) as client:
        client.open_websocket(request=STREAM_REQUEST | {"input_kwargs": asked})
        assert b"websocket" in client.until(b"stream_completed")


def test_failures_come_first_for_streams_and_plain_runs(server):
    server.agent("a").always("x").returns("y").fails(2, status(503, retry_after=1)).fails(1, ending("cut"))
    with connected(server.url) as client:
        for ask in (stream(), post("/v1/agents/a/invoke")):
            client.send(ask)
            assert client.until(b"}}").startswith(b"HTTP/1.1 503 ")
        client.send(post("/v1/agents/a/invoke"))
        assert (b"", "fin") == client.rest()
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        client.until(b"x\r\n0\r\n\r\n")
