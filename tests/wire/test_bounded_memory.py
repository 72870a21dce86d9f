"""Hostile streams without an end: an error of a limit, or memory that stays flat."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from runagent._errors import StreamLimitError
from runagent._limits import Limits
from runagent._wire.content_coding import content_decoder
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.sse import SSEDecoder
from runagent._wire.websocket import WebSocketConnection
from tests.support.peer import websocket_frame as frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIB, MIB = 1024, 1024 * 1024
TEXT, BINARY, PING, PONG = 1, 2, 9, 10
LIMITS = Limits(max_event_bytes=256 * KIB, max_head_bytes=64 * KIB)


def peak_of(feed: Callable[[bytes], Any], source: Iterator[bytes]) -> tuple[int, int]:
    """Feed until an error is set; return how many bytes were held at most, and how many were fed."""
    fed = 0
    tracemalloc.start()
    try:
        for data in source:
            feed(data)
            fed += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak, fed


def until_error(decoder: Any, data: bytes, start: bytes = b"", most: int = 32 * MIB) -> Iterator[bytes]:
    """Give the start, then the same data over and over, until the decoder has had enough."""
    yield start
    for _ in range(0, most, len(data)):
        if decoder.error:
            return
        yield data


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[Callable[[], Any], bytes, bytes]] = {
    "an SSE line": (lambda: SSEDecoder(max_event_bytes=256 * KIB), b"data: ", b"x" * 4000),
    "an SSE comment": (lambda: SSEDecoder(max_event_bytes=256 * KIB), b":", b"x" * 4000),
    "an SSE event": (lambda: SSEDecoder(max_event_bytes=256 * KIB), b"", b"data: " + b"x" * 4000 + b"\n"),
    "an NDJSON line": (lambda: NDJSONDecoder(max_line_bytes=256 * KIB), b'"', b"x" * 4000),
    "a status line": (lambda: ResponseDecoder(LIMITS), b"HTTP/1.1 200 ", b"O" * 4000),
    "a field": (lambda: ResponseDecoder(LIMITS), b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4000),
    "fields": (lambda: ResponseDecoder(LIMITS), b"HTTP/1.1 200 OK\r\n", b"X-Some: thing\r\n" * 200),
    "interim answers": (lambda: ResponseDecoder(LIMITS), b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a chunk extension": (lambda: ResponseDecoder(LIMITS), CHUNKED + b"5;a=", b"x" * 4000),
    "trailers": (lambda: ResponseDecoder(LIMITS), CHUNKED + b"0\r\n", b"X-Some: thing\r\n" * 200),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_a_limit_error_in_bounded_memory(name: str) -> None:
    make, start, data = ENDLESS[name]
    decoder = make()
    peak, fed = peak_of(decoder.feed, until_error(decoder, data, start))
    assert isinstance(decoder.error, StreamLimitError)
    assert fed <= 2 * LIMITS.max_event_bytes
    assert peak < 4 * LIMITS.max_event_bytes


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_an_endless_websocket_message_is_a_limit_error_in_bounded_memory(opcode: int) -> None:
    connection = WebSocketConnection(max_message_bytes=256 * KIB)
    source = until_error(connection, frame(b"x" * 4000, 0, fin=False), frame(b"x", opcode, fin=False))
    peak, fed = peak_of(connection.receive_data, source)
    assert isinstance(connection.error, StreamLimitError)
    assert fed <= 2 * LIMITS.max_event_bytes
    assert peak < 6 * LIMITS.max_event_bytes


@pytest.mark.parametrize("field", ["gzip", "deflate"])
def test_a_bomb_is_a_limit_error_in_bounded_memory(field: str) -> None:
    coding = content_decoder(field, max_ratio=200)
    assert coding is not None
    pack = gzip.compress if field == "gzip" else zlib.compress
    bomb = pack(bytes(64 * MIB), 9)
    peak, _ = peak_of(coding.feed, until_error(coding, bomb, most=1))
    assert isinstance(coding.error, StreamLimitError)
    assert peak < 32 * MIB


def test_a_bomb_in_a_bomb_is_a_limit_error() -> None:
    coding = content_decoder("gzip, gzip", max_ratio=200)
    assert coding is not None
    peak, _ = peak_of(coding.feed, iter([gzip.compress(gzip.compress(bytes(64 * MIB)))]))
    assert isinstance(coding.error, StreamLimitError)
    assert peak < 32 * MIB


FLOODS: dict[str, tuple[Callable[[], Any], bytes, bytes]] = {
    "SSE comments": (SSEDecoder, b"", b": hb\n\n" * 500),
    "SSE blank lines": (SSEDecoder, b"", b"\n" * 4000),
    "NDJSON blank lines": (NDJSONDecoder, b"", b"\n" * 4000),
    "tiny chunks": (ResponseDecoder, CHUNKED, b"1\r\na\r\n" * 500),
    "chunk extensions": (ResponseDecoder, CHUNKED, (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 4),
    "empty gzip members": (lambda: content_decoder("gzip"), b"", gzip.compress(b"") * 100),
}


@pytest.mark.parametrize("name", FLOODS)
def test_memory_stays_flat_under_a_flood(name: str) -> None:
    make, start, data = FLOODS[name]
    decoder = make()
    peak, fed = peak_of(decoder.feed, until_error(decoder, data, start, most=MIB))
    assert decoder.error is None
    assert fed >= MIB
    assert peak < 128 * KIB


FRAMES = {
    "empty pings": frame(b"", PING),
    "full pings": frame(b"x" * 125, PING),
    "pongs": frame(b"", PONG),
    "empty fragments": frame(b"", 0, fin=False),
}


@pytest.mark.parametrize("name", FRAMES)
def test_memory_stays_flat_under_a_flood_of_frames(name: str) -> None:
    connection = WebSocketConnection()
    connection.receive_data(frame(b"", TEXT, fin=False))

    def feed(data: bytes) -> None:
        connection.receive_data(data)
        connection.data_to_send()

    frames, in_a_read = 4000, 100
    peak, _ = peak_of(feed, itertools.repeat(FRAMES[name] * in_a_read, frames // in_a_read))
    assert connection.error is None
    assert peak < 400 * KIB  # as much as a hundred bytes kept of each frame
