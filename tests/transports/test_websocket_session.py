"""The WebSocket transport without sockets: docs/wire.md sections 2 and 5."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    Chunk,
    Completed,
    ProtocolError,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ValidationError,
)
from tests.support.peer import http, message, websocket_frame
from tests.support.sessions import Seen, feed, handshake_answer, open_session

STARTED = {"type": "status", "status": "stream_started", "invocation_id": "i"}
COMPLETED = {"type": "status", "status": "stream_completed", "total_chunks": 1, "execution_time": 0.1}


@pytest.fixture(params=[1, 7, 1 << 30], ids=["byte by byte", "by sevens", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def run(*frames: Any, step: int = 1 << 30, eof: bool = True, **fields: Any) -> Seen:
    data = [f if isinstance(f, bytes) else message(f) for f in frames]
    return feed(open_session("websocket", **fields), lambda r: handshake_answer(r, *data), step=step, eof=eof)


def refused(answer: bytes, step: int = 1 << 30, **fields: Any) -> Seen:
    return feed(open_session("websocket", **fields), answer, step=step, eof=True)


def data(content: Any) -> dict[str, Any]:
    return {"type": "data", "content": content}


def wrapped(kind: Any, payload: Any) -> dict[str, Any]:
    return data(json.dumps({"type": kind, "payload": payload}))


def close(code: int, reason: bytes = b"") -> bytes:
    return websocket_frame(struct.pack("!H", code) + reason, 8)


def client_frames(sent: bytes) -> list[tuple[int, bytes]]:
    frames = []
    while sent:
        size, at = sent[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(sent[2:4]), 4
        mask, body = sent[at : at + 4], sent[at + 4 : at + 4 + size]
        frames.append((sent[0] & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(body))))
        sent = sent[at + 4 + size :]
    return frames


def test_the_handshake_and_the_request() -> None:
    seen = run(
        api_key="secret", entrypoint_tag="words_stream", args=(1,), eof=False, options={"user_id": "u"}
    )
    head = seen.request.decode()
    assert head.startswith("GET /api/v1/agents/a/run-stream HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer secret\r\n" in head
    assert "secret" not in head.split("\r\n")[0]
    assert "Sec-WebSocket-Extensions" not in head
    ((opcode, payload),) = client_frames(seen.sent)
    assert 1 == opcode
    assert {
        "entrypoint_tag": "words_stream",
        "input_args": [1],
        "input_kwargs": {"query": "x"},
        "timeout_seconds": 600,
        "async_execution": False,
        "user_id": "u",
    } == json.loads(payload)


def test_the_documented_stream(step: int) -> None:
    seen = run(STARTED, wrapped("string", '"wörld"'), COMPLETED, step=step)
    assert [
        Started(invocation_id="i"),
        Chunk("wörld"),
        Completed(execution_time=0.1, total_chunks=1),
    ] == seen.events
    assert "i" == seen.session.request_id
    assert (8, struct.pack("!H", 1000)) == client_frames(seen.sent)[-1]
    assert not seen.session.keeps_connection


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (wrapped("string", '"{}"'), "{}"),
        (wrapped("integer", "5"), 5),
        (wrapped("number", "2.5"), 2.5),
        (wrapped("number", '"inf"'), math.inf),
        (wrapped("number", '"-inf"'), -math.inf),
        (wrapped("boolean", "true"), True),
        (wrapped("array", "[1, [2]]"), [1, [2]]),
        (wrapped("object", '{"type": "error", "error": "no"}'), {"type": "error", "error": "no"}),
        (wrapped("null", "null"), None),
        (wrapped("object", {"already": "decoded"}), {"already": "decoded"}),
        (wrapped("unknown", "5"), '{"type": "unknown", "payload": "5"}'),
        (wrapped(["string"], "5"), '{"type": ["string"], "payload": "5"}'),
        (wrapped({}, "5"), '{"type": {}, "payload": "5"}'),
        (data("plain"), "plain"),
        (data("{not JSON"), "{not JSON"),
        (data('{"a": 1}'), '{"a": 1}'),
        (data({"a": 1}), {"a": 1}),
        (data(None), None),
        (data(""), ""),
        ({"type": "chunk", "content": "x", "index": 0}, "x"),
    ],
)
def test_payloads(sent: dict[str, Any], content: Any, step: int) -> None:
    assert [content] == run(sent, COMPLETED, step=step).contents


def test_not_a_number_arrives_as_null() -> None:
    (value,) = run(wrapped("number", "null"), COMPLETED).contents
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("frames", "ignored"),
    [
        (
            [{"type": "log", "text": "x"}, {"no": "type"}],
            {"unknown message 'log'": 1, "unknown message 'None'": 1},
        ),
        ([STARTED, STARTED], {"another start": 1}),
        ([{"type": "status", "status": "thinking"}], {"unknown status 'thinking'": 1}),
        ([websocket_frame(b"beat", 9), websocket_frame(b"", 10)], {}),
    ],
)
def test_odd_messages_that_do_no_harm(frames: list[Any], ignored: dict[str, int], step: int) -> None:
    seen = run(*frames, data("x"), COMPLETED, step=step)
    assert (["x"], ignored, None) == (seen.contents, seen.session.ignored, seen.error)


def test_a_ping_is_answered(step: int) -> None:
    seen = run(websocket_frame(b"beat", 9), step=step, eof=False)
    assert (10, b"beat") == client_frames(seen.sent)[-1]


def test_a_binary_message_is_utf8_json(step: int) -> None:
    frames = [websocket_frame(json.dumps(m, ensure_ascii=False).encode(), 2) for m in (data("ß"), COMPLETED)]
    assert ["ß"] == run(*frames, step=step).contents


@pytest.mark.parametrize(
    "bad",
    [
        websocket_frame(b"{oops"),
        websocket_frame(b"[1]"),
        websocket_frame(b""),
        websocket_frame(b'{"type": "data", "content": "\xff"}'),
        websocket_frame(b'{"type": "data", "content": "\xff"}', 2),
        message({"type": "data"}),
        message(wrapped("string", "oops")),
        b"\xc1\x01x",
    ],
)
def test_what_is_no_message_is_a_protocol_error_behind_the_good_ones(bad: bytes, step: int) -> None:
    seen = run(data("good"), bad, step=step)
    assert ([Chunk("good")], ProtocolError) == (seen.events, type(seen.error))
    assert 8 == client_frames(seen.sent)[-1][0]


def test_a_failure_during_the_run_ends_it_though_the_server_does_not_close(step: int) -> None:
    failure = {"type": "error", "error": "Streaming error: deliberate failure"}
    seen = run(STARTED, data("x"), failure, step=step, eof=False)
    assert ([Started(invocation_id="i"), Chunk("x")], StreamError) == (seen.events, type(seen.error))
    assert "Streaming error: deliberate failure" == seen.error.message
    assert 8 == client_frames(seen.sent)[-1][0]


@pytest.mark.parametrize("detail", ["Entrypoint nope_stream not found", "Missing required field: input_args"])
def test_a_refused_request_is_the_callers_mistake(detail: str, step: int) -> None:
    seen = run({"type": "error", "detail": detail}, close(1003), step=step)
    assert (ValidationError, detail) == (type(seen.error), seen.error.message)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (close(1000), "CLOSE_1000"),
        (close(1001), "CLOSE_1001"),
        (close(1011, b"keepalive ping timeout"), "CLOSE_1011"),
        (close(1012), "CLOSE_1012"),
        (websocket_frame(b"", 8), "CLOSE_1005"),
        (b"", "CLOSE_1006"),
        (b"\x81\x05{", "CLOSE_1006"),
    ],
)
def test_an_end_of_any_code_before_completion_is_truncated(end: bytes, code: str, step: int) -> None:
    seen = run(STARTED, data("x"), end, step=step)
    assert ([Started(invocation_id="i"), Chunk("x")], StreamTruncatedError) == (seen.events, type(seen.error))
    assert code == seen.error.code
    if b"keepalive" in end:
        assert "keepalive ping timeout" in str(seen.error)


@pytest.mark.parametrize(
    "late", [data("late"), b"\xc1\x01x", close(1011), {"type": "error", "error": "late"}]
)
def test_anything_after_the_end_is_ignored(late: Any, step: int) -> None:
    seen = run(data("x"), COMPLETED, late, step=step)
    assert (["x"], None) == (seen.contents, seen.error)


@pytest.mark.parametrize("size", [100, 101])
def test_a_message_has_a_limit(size: int, step: int) -> None:
    padded = message(data("x" * (size - len(json.dumps(data(""))))))
    seen = run(padded, message({"type": "done"}), step=step, limits={"max_event_bytes": 100})
    assert (None if size == 100 else StreamLimitError) == (seen.error and type(seen.error))


@pytest.mark.parametrize(
    ("answer", "error", "unsupported"),
    [
        (http(403), AgentNotFoundError, False),
        (http(404, {"error": {"code": "AGENT_NOT_FOUND", "message": "no"}}), AgentNotFoundError, False),
        (http(404, "<html>"), AgentNotFoundError, True),
        (http(401, {"error": {"message": "key"}}), AuthenticationError, False),
        (http(400, 'Can "Upgrade" only to "WebSocket".'), ValidationError, True),
        (http(400, {"error": {"message": "bad tag"}}), ValidationError, False),
        (http(200, "<html>hello</html>", content_type="text/html"), ProtocolError, True),
        (http(301, location="/x"), ProtocolError, False),
        (b"SSH-2.0-x\r\n", ProtocolError, False),
    ],
)
def test_refused_handshakes(answer: bytes, error: type, unsupported: bool, step: int) -> None:
    seen = refused(answer, step, agent_id="my agent")
    assert (error, unsupported) == (type(seen.error), seen.session.unsupported)
    if answer == http(403):
        assert "'my agent'" in str(seen.error)
        assert "check the agent id" in str(seen.error)


@pytest.mark.parametrize(
    "head",
    [
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eHh4\r\n\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_a_false_acceptance_is_a_protocol_error(head: str, step: int) -> None:
    seen = refused(f"HTTP/1.1 101 x\r\n{head}".encode(), step)
    assert ([], ProtocolError, b"") == (seen.events, type(seen.error), seen.sent)


def test_the_request_leaves_before_the_server_sends_anything() -> None:
    seen = run(eof=False)
    assert [1] == [opcode for opcode, _ in client_frames(seen.sent)]


def test_closing_early_sends_a_close() -> None:
    seen = run(data("x"), eof=False)
    seen.session.close()
    assert (8, struct.pack("!H", 1000)) == client_frames(seen.session.data_to_send())[-1]
