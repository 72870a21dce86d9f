"""The invariants for any bytes: the cut changes nothing, and only documented errors are raised.

Each function takes the bytes that a peer sends and raises an AssertionError, or whatever the library
lets through, where that is not so. The fuzzer, its corpus and the property tests share them.
"""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING, Any
from unittest import mock

from runagent._address.route import Route
from runagent._address.url import parse_base_url
from runagent._call import AgentCall
from runagent._errors import RunAgentError
from runagent._limits import Limits
from runagent._wire.content_coding import content_decoder
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.plaintext import text_decoder
from runagent._wire.sse import SSEDecoder
from runagent._wire.websocket import WebSocketConnection, accept_value
from runagent.transports._base import Session, Wants
from runagent.transports._chunked import ChunkedSession
from runagent.transports._invoke import InvokeSession
from runagent.transports._sse import SSESession
from runagent.transports._websocket import WebSocketSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["TARGETS", "check_http", "check_ndjson", "check_sse", "check_websocket", "pieces_of"]

LIMITS = Limits(max_event_bytes=256, max_head_bytes=4096, max_error_bytes=256, max_result_bytes=1024)
_CHARSETS = ("utf-8", "utf-16", "latin-1", "cp1252")
_BASE = parse_base_url("http://127.0.0.1:8450")


def pieces_of(data: bytes) -> Iterator[list[bytes]]:
    """Give some ways to cut ``data``, the same ones each time: whole, byte by byte, at random."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    rng = random.Random(zlib.crc32(data))
    for _ in range(2):
        at = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 6)))
        yield [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def same_for_all(decode: Callable[[list[bytes]], Any], data: bytes) -> None:
    """Decode ``data`` in all its cuts and compare."""
    whole, *others = map(decode, pieces_of(data))
    for other in others:
        assert whole == other


def _drain(
    feed: Callable[[bytes], Any], close: Callable[[], Any], pieces: list[bytes]
) -> tuple[list[Any], str]:
    """Feed the pieces; return what came and the kind of error that ended it."""
    results: list[Any] = []
    fault = ""
    try:
        for piece in pieces:
            results += feed(piece)
        results += close() or []
    except RunAgentError as exc:
        fault = type(exc).__name__
    return results, fault


# The codecs


def decode_sse(pieces: list[bytes]) -> Any:
    """Decode an event stream."""
    decoder = SSEDecoder(max_event_bytes=LIMITS.max_event_bytes)
    events, fault = _drain(decoder.feed, decoder.close, pieces)
    state = () if fault else (decoder.last_event_id, decoder.retry, decoder.incomplete, decoder.comments)
    return events, fault, state


def decode_ndjson(pieces: list[bytes]) -> Any:
    """Decode lines; as texts, because NaN is no value but 0 and False are equal ones."""
    decoder = NDJSONDecoder(max_line_bytes=LIMITS.max_event_bytes)
    values, fault = _drain(decoder.feed, decoder.close, pieces)
    return [repr(value) for value in values], fault


def decode_http(pieces: list[bytes]) -> Any:
    """Decode an answer and undo its content coding."""
    decoder, coding, body = ResponseDecoder(LIMITS), None, b""
    try:
        for piece in pieces:
            data = decoder.feed(piece)
            if decoder.upgraded:
                break
            if decoder.head_complete and coding is None:
                coding = content_decoder(decoder.headers.get("content-encoding", ""))
            body += data if coding is None else coding.feed(data)
            if coding is not None and coding.error:
                break
        if coding is None or not coding.error:
            decoder.close()
        if coding is not None:
            coding.close()
        fault = ""
    except RunAgentError as exc:
        fault = type(exc).__name__
    over = decoder.complete and not fault and (decoder.keep_alive, decoder.excess)
    return decoder.status, decoder.headers, body, fault, decoder.upgraded, over


def decode_websocket(pieces: list[bytes]) -> Any:
    """Decode the frames of an open WebSocket."""
    connection = WebSocketConnection(max_message_bytes=LIMITS.max_event_bytes)
    messages: list[str | bytes] = []
    sent = b""
    with mock.patch("websockets.frames.secrets.token_bytes", bytes):  # frames that are masked with zeros
        for piece in pieces:
            messages += connection.receive_data(piece)
            sent += connection.data_to_send()
    connection.receive_eof()
    fault = type(connection.error).__name__
    assert connection.closed
    assert connection.receive_data(b"\x81\x01a") == []
    return messages, fault, connection.close_code, connection.close_reason, sent


# The sessions: what a run makes of them


def _call(**fields: Any) -> AgentCall:
    return AgentCall(agent_id="agent", base=_BASE, limits=LIMITS, **fields)


def run_session(make: Callable[[AgentCall, Route, None], Session], head: bytes, **fields: Any) -> Any:
    """Return what decodes a body in a session of this kind, behind a head that is good."""

    def run(pieces: list[bytes]) -> Any:
        session = make(_call(**fields), Route(_BASE.origin), None)
        request = session.data_to_send()
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
        events = [*session.receive_data(head.replace(b"{accept}", accept_value(key).encode()))]
        for piece in pieces:
            if session.wants is not Wants.READ:
                break
            session.data_to_send()
            events += session.receive_data(piece)
        if session.wants is Wants.READ:
            events += session.receive_eof()
        session.close()
        session.data_to_send()
        return [repr(event) for event in events], type(session.error).__name__

    return run


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n"
_UPGRADE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n\r\n"
)

run_sse = run_session(SSESession, _HEAD % b"text/event-stream")
run_ndjson = run_session(ChunkedSession, _HEAD % b"application/x-ndjson")
run_text = run_session(ChunkedSession, _HEAD % b"text/plain")
run_invoke = run_session(InvokeSession, _HEAD % b"application/json", mode="invoke")
run_websocket = run_session(WebSocketSession, _UPGRADE)
run_answer = run_session(SSESession, b"")


def _text_of(charset: str) -> Callable[[list[bytes]], str]:
    def decode(pieces: list[bytes]) -> str:
        decoder = text_decoder(charset)
        return "".join(map(decoder.decode, pieces)) + decoder.decode(b"", True)

    return decode


# The targets


def check_sse(data: bytes) -> None:
    """Hold an event stream against the invariants."""
    same_for_all(decode_sse, data)
    same_for_all(run_sse, data)


def check_ndjson(data: bytes) -> None:
    """Hold lines and text against the invariants."""
    same_for_all(decode_ndjson, data)
    same_for_all(run_ndjson, data)
    for charset in _CHARSETS:
        same_for_all(_text_of(charset), data)


def check_http(data: bytes) -> None:
    """Hold an answer, and the whole exchange, against the invariants."""
    same_for_all(decode_http, data)
    same_for_all(run_answer, data)
    same_for_all(run_invoke, data)


def check_websocket(data: bytes) -> None:
    """Check frames for the invariants."""
    same_for_all(decode_websocket, data)
    same_for_all(run_websocket, data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": check_sse,
    "ndjson": check_ndjson,
    "http": check_http,
    "websocket": check_websocket,
}
