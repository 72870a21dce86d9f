"""The published server's WebSocket, asked by websockets' client and by raw sockets."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from runagent_testing import FakeAgentServer, chunk, delay, done, ending, error, gate, heartbeat, raw, status
from runagent_testing._host.websocket import MAX_MESSAGE
from tests.runagent_testing.raw_client import PATIENCE, STREAM_REQUEST, connected, handshake, masked, post

CLOSE_1000 = b"\x88\x02\x03\xe8"


def websocket_url(server, agent="a"):
    return f"{server.url.replace('http', 'ws', 1)}/api/v1/agents/{agent}/run-stream"


@contextmanager
def opened(server, agent="a", **options):
    options = {"compression": None, "max_size": None, "proxy": None} | options
    with connect(websocket_url(server, agent), **options) as socket:
        yield socket


def asked(server, request=STREAM_REQUEST):
    """Run once; return the messages up to the one that ends the run, which leaves the socket open."""
    with opened(server) as socket:
        socket.send(json.dumps(request))
        messages: list[dict[str, Any]] = []
        while not messages or not ends(messages[-1]):
            messages.append(json.loads(socket.recv(timeout=PATIENCE)))
        return messages


def ends(message):
    return message["type"] == "error" or message.get("status") == "stream_completed"


def contents(messages):
    structured = [json.loads(message["content"]) for message in messages if message["type"] == "data"]
    return [json.loads(item["payload"]) for item in structured]


def test_the_messages_of_a_run(server):
    server.agent("a").always(
        "wörld", {"type": "error"}, "\ud83d", done(usage={"total_tokens": 3}, execution_time=0.5)
    )
    started, *chunks, completed = asked(server)
    assert {"type": "status", "status": "stream_started"}.items() <= started.items()
    assert {"type": "data", "content": '{"type": "string", "payload": "\\"wörld\\""}'} == chunks[0]
    assert ["wörld", {"type": "error"}, "\ud83d"] == contents(chunks)
    assert completed == {
        "type": "status",
        "status": "stream_completed",
        "total_chunks": 3,
        "execution_time": 0.5,
        "usage": {"total_tokens": 3},
        "invocation_id": started["invocation_id"],
    }


def test_non_ascii_travels_as_it_is_and_no_compression_is_agreed_to(server):
    server.agent("a").always("wörld 🦊")
    with connected(server.url) as client:
        client.send(
            handshake().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        )
        assert b"extensions" not in client.until(b"\r\n\r\n").lower()
        client.send(masked(1, json.dumps(STREAM_REQUEST).encode()))
        client.until("wörld 🦊".encode())


def test_an_error_does_not_close_the_socket(server):
    server.agent("a").always("x", error(None, "Streaming error: deliberate failure"))
    with opened(server) as socket:
        socket.send(json.dumps(STREAM_REQUEST))
        messages = [json.loads(socket.recv(timeout=PATIENCE)) for _ in range(3)]
        assert {"type": "error", "error": "Streaming error: deliberate failure"} == messages[-1]
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.05)
        assert socket.ping().wait(PATIENCE)
    assert 1000 == socket.close_code


def test_after_the_end_a_second_request_is_never_answered_and_a_close_at_once(server):
    server.agent("a").always("x")
    with opened(server) as socket:
        for _ in range(2):
            socket.send(json.dumps(STREAM_REQUEST))
        assert [socket.recv(timeout=PATIENCE) for _ in range(3)]
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.05)
        socket.close()
        assert (1000, "") == (socket.close_code, socket.close_reason)
    assert 1 == len(server.requests)
    assert server.requests[0].wait_done(PATIENCE)


def test_a_ping_of_the_client_is_answered_during_a_run(server):
    server.agent("a").always(gate("never"))
    with opened(server) as socket:
        socket.send(json.dumps(STREAM_REQUEST))
        assert socket.ping().wait(PATIENCE)


def test_a_heartbeat_is_a_ping_and_raw_bytes_reach_the_socket(server):
    server.agent("a").always(heartbeat(), raw(b"\x83\x00junk"), ending("cut"))
    with connected(server.url) as client:
        client.open_websocket()
        received, ended = client.rest()
    assert (b"\x89\x00\x83\x00junk", "fin") == (received[-8:], ended)


@pytest.mark.parametrize(("kind", "how"), [("cut", "fin"), ("reset", "reset")])
def test_a_broken_ending_sends_no_close_frame(server, kind, how):
    server.agent("a").always("word", ending(kind))
    with connected(server.url) as client:
        client.open_websocket()
        received, ended = client.rest()
    assert received.endswith(b'word\\\\\\"\\"}"}')
    assert how == ended
    assert server.requests[0].wait_done(PATIENCE)


def test_no_done_closes_with_1000_and_takes_the_answer(server):
    server.agent("a").always("x", ending("no-done"))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(CLOSE_1000)
        client.send(masked(8, b"\x03\xe8"))
        assert (b"", "fin") == client.rest()


def test_a_stall_keeps_the_socket_until_the_client_disconnects(server):
    server.agent("a").always("x", ending("stall"))
    with opened(server) as socket:
        socket.send(json.dumps(STREAM_REQUEST))
        assert [socket.recv(timeout=PATIENCE) for _ in range(2)]
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.05)
        assert "running" == server.requests[0].outcome
    assert server.requests[0].wait_disconnected(PATIENCE)


@pytest.mark.parametrize("leave", ["close frame", "reset"])
def test_the_server_sees_the_client_leave(server, leave):
    server.agent("a").always("word", gate("never"))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(b"word")
        client.send(masked(8, b"\x03\xe9")) if leave == "close frame" else client.abort()
        assert server.requests[0].wait_disconnected(PATIENCE)


def test_a_close_in_the_middle_of_a_run_is_answered_with_1000(server):
    server.agent("a").always("word", gate("never"))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(b'"}"}')
        client.send(masked(8, b"\x03\xe9"))
        assert (CLOSE_1000, "fin") == client.rest()


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("{", "Invalid JSON format: "),
        ("[]", "Invalid JSON format: expected an object"),
        ('{"entrypoint_tag": "x_stream", "input_kwargs": {}}', "Missing required field: input_args"),
        ('{"entrypoint_tag": 1, "input_args": [], "input_kwargs": {}}', "Invalid field type: entrypoint_tag"),
        (
            '{"entrypoint_tag": "nope_stream", "input_args": [], "input_kwargs": {}}',
            "Entrypoint nope_stream not found",
        ),
        (
            '{"entrypoint_tag": "echo", "input_args": [], "input_kwargs": {}}',
            "Entrypoint `echo` is not a streaming entrypoint.",
        ),
    ],
)
def test_a_bad_request_is_refused_with_a_message_and_1003(server, message, detail):
    server.agent("a").entrypoints("echo", "words_stream").reply("kept for the next run")
    with opened(server) as socket:
        socket.send(message)
        refusal = json.loads(socket.recv(timeout=PATIENCE))
        assert refusal["type"] == "error"
        assert refusal["detail"].startswith(detail)
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=PATIENCE)
        assert (1003, "") == (socket.close_code, socket.close_reason)
    good = STREAM_REQUEST | {"entrypoint_tag": "words_stream", "user_id": "unknown keys do not matter"}
    assert ["kept for the next run"] == contents(asked(server, good))


def test_a_failure_that_a_bad_request_did_not_meet_stays_a_failure(server):
    server.agent("a").fails(1, ending("cut")).always("x").returns("y")
    with opened(server) as socket:
        socket.send("{}")
        socket.recv(timeout=PATIENCE)
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=PATIENCE)
    assert ["fails"] == [kind for kind, _ in server._scripts["a"].unused()]
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/invoke"))
        assert b"}" != client.rest()[0][-1:]  # cut


def test_earlier_answers_of_an_agent_are_not_queued_when_it_changes(server):
    agent = server.agent("a").always("before")
    with connected(server.url) as client:
        client.send(handshake())
        client.until(b"\r\n\r\n")
        agent.always("after")
    assert ["after"] == contents(asked(server, STREAM_REQUEST))


def test_any_stream_tag_is_known_unless_restricted(server):
    server.agent("a").always("x")
    assert ["x"] == contents(asked(server, STREAM_REQUEST | {"entrypoint_tag": "whatever_stream"}))


def test_a_request_may_come_as_a_binary_message(server):
    server.agent("a").always("x")
    with opened(server) as socket:
        socket.send(json.dumps(STREAM_REQUEST).encode())
        assert "stream_started" in socket.recv(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("agent", "step", "expected"),
    [
        ("unknown", None, (403, b"")),
        ("a", status(503, retry_after=1, body=b"busy"), (503, b"busy")),
        ("a", status(418, body={"tea": True}), (418, b'{"tea": true}')),
    ],
)
def test_a_handshake_is_refused_with_status_and_body(server, agent, step, expected):
    server.agent("a").always("x")
    if step:
        server.agent("a").reply(step)
    with pytest.raises(InvalidStatus) as refusal, opened(server, agent):
        pass
    response = refusal.value.response
    assert expected == (response.status_code, response.body)
    assert ["websocket"] == [exchange.transport for exchange in server.requests]
    assert ["x"] == contents(asked(server))


def test_sockets_take_their_replies_in_the_order_of_their_handshakes(server):
    server.agent("a").reply("first").reply("second").reply(status(503)).always("x")
    with opened(server) as first, opened(server) as second:
        with pytest.raises(InvalidStatus), opened(server):
            pass
        for socket, expected in ((second, '"second'), (first, '"first')):
            socket.send(json.dumps(STREAM_REQUEST))
            socket.recv(timeout=PATIENCE)
            assert expected in json.loads(json.loads(socket.recv(timeout=PATIENCE))["content"])["payload"]


def test_an_agent_without_script_names_the_call_to_make(server):
    server.agent("a")
    with pytest.raises(InvalidStatus) as refusal, opened(server):
        pass
    body = json.loads(refusal.value.response.body)
    assert (500, "NO_SCRIPT") == (refusal.value.response.status_code, body["error"]["code"])
    assert "agent 'a' has no answer to a stream run: call always(...)" == body["error"]["message"]


def test_what_was_asked_is_on_record(server):
    server.agent("ä/b").always("x")
    request = STREAM_REQUEST | {"input_kwargs": {"query": "hi"}, "input_args": [1], "timeout_seconds": 600}
    with opened(server, "%C3%A4%2Fb", additional_headers={"X-Trace": "1"}) as socket:
        socket.send(json.dumps(request))
        socket.recv(timeout=PATIENCE)
    (exchange,) = server.requests
    assert ("websocket", "ä/b", "/api/v1/agents/%C3%A4%2Fb/run-stream", "1") == (
        exchange.transport,
        exchange.agent_id,
        exchange.path,
        exchange.headers["x-trace"],
    )
    assert ({"query": "hi"}, [1], request) == (exchange.input, exchange.input_args, exchange.body)


def test_resuming_works_as_over_http(server):
    server.agent("a").always(delay(9), "a", "b", "c")
    request = STREAM_REQUEST | {"input_kwargs": {"parameters": {"resume_from_index": 1}}}
    assert ["b", "c"] == contents(asked(server, request))


def test_ten_thousand_chunks_arrive(server):
    server.agent("a").always(*[f"{number};" for number in range(10_000)])
    messages = asked(server)
    assert [f"{number};" for number in range(10_000)] == contents(messages)
    assert 10_000 == messages[-1]["total_chunks"]


def test_an_eleven_megabyte_chunk_arrives_whole(server):
    big = "0123456789ä" * (1024 * 1024)
    server.agent("a").always(big)
    assert [big] == contents(asked(server))


def padded(size):
    request = json.dumps(STREAM_REQUEST | {"padding": ""})
    return request.replace('"padding": ""', f'"padding": "{"x" * (size - len(request))}"')


def test_a_request_of_sixteen_megabytes_is_read(server):
    server.agent("a").always("x")
    with opened(server) as socket:
        socket.send(padded(MAX_MESSAGE))
        assert "stream_started" in socket.recv(timeout=10 * PATIENCE)


def test_a_larger_request_is_closed_with_1009(server):
    server.agent("a").always("x")
    with opened(server) as socket:
        socket.send(padded(MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=PATIENCE)
        assert 1009 == socket.close_code
    assert [] == server.requests


def test_a_silent_client_is_pinged_and_given_up_with_1011():
    with FakeAgentServer(ping_interval=0.05) as server:
        server.agent("a").always("x")
        with connected(server.url) as client:
            client.open_websocket()
            client.until(b"\x89\x00")
            client.until(b"\x88\x02\x03\xf3")
            assert (b"", "fin") == client.rest()


def test_a_client_that_answers_pings_is_kept():
    with FakeAgentServer(ping_interval=0.02) as server:
        server.agent("a").always("x")
        with connected(server.url) as client:
            client.open_websocket()
            for _ in range(5):
                client.until(b"\x89\x00")
                client.send(masked(0xA, b""))


def test_a_stall_does_not_ping():
    with FakeAgentServer(ping_interval=0.01) as server:
        server.agent("a").always(chunk("x"), ending("stall"))
        with connected(server.url) as client:
            client.open_websocket()
            client.until(b'"}"}')
            client.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)


@pytest.mark.parametrize(
    ("asked", "instead", "code", "upgrade"),
    [
        (b"Upgrade: websocket\r\n", b"", 426, True),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8", 426, True),
        (b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x", 400, False),
    ],
)
def test_a_request_that_is_no_handshake(asked, instead, code, upgrade, server):
    server.agent("a").always("x")
    assert asked in handshake()
    with connected(server.url) as client:
        client.send(handshake().replace(asked, instead))
        head = client.until(b"\r\n\r\n")
    assert (code, upgrade) == (int(head[9:12]), b"\r\nUpgrade: websocket\r\n" in head)


def test_a_request_may_come_together_with_the_handshake_and_in_pieces(server):
    server.agent("a").always("word")
    request = json.dumps(STREAM_REQUEST).encode()
    whole = handshake() + masked(9, b"early") + masked(1, request)
    with connected(server.url) as client:
        client.send(whole[:-10])
        client.until(b"\x8a\x05early")
        client.send(whole[-10:])
        client.until(b"stream_completed")


def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(server):
    server.agent("a").always("word", gate("never"))
    with connected(server.url) as client:
        client.open_websocket()
        client.until(b'word\\\\\\"\\"}"}')
        client.send(b"\x81\x02hi")  # not masked
        received, _ = client.rest()
    assert received.startswith(b"\x88")
    assert b"\x03\xea" == received[2:4]
    assert server.requests[0].wait_disconnected(PATIENCE)
