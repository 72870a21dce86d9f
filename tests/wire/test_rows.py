"""The short ways of the codecs lead where the long ones do: the same events, faults and state, in any cut.

The long way follows the specifications' steps; a short one is taken where bytes are as they mostly
are. Streams here are as they mostly are, too, but with something else now and then.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runagent._wire import websocket
from runagent._wire.ndjson import LineRow, NDJSONDecoder
from runagent._wire.sse import EventRow, ServerSentEvent, SSEDecoder
from runagent._wire.websocket import WebSocketConnection
from tests.support.peer import websocket_frame as frame

many = settings(derandomize=True, max_examples=200, database=None)


def mostly(usual: bytes, *others: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(*[st.just(usual)] * 12, *map(st.just, others))


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(stream)), max_size=5))
    way = draw(st.integers(0, 5))
    if way == 0:
        places = list(range(len(stream)))
    elif way <= 2:  # one by one, as they are written
        places = [found.start() for found in re.finditer(rb"event: chunk|\{\"type", stream)]
    return [stream[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(stream)])]


# Server-sent events

sse_streams = st.lists(
    st.tuples(
        mostly(b"", b": hb\n", b"id: 7\n", b"retry: 9\n", b"\n", b"\xef\xbb\xbf", b"\r", b"event: x\n"),
        mostly(b"event: chunk\n", b"event: start\n", b"event: \n", b"event:chunk\n", b"event: \xff\n", b""),
        mostly(b"data: {", b"data:{", b"data: [", b"data: ", b"id: 1\ndata: {"),
        mostly(b'"a": 1', b'"a": "\xff"', b"", b"}\n\nevent: chunk\ndata: {", b"}\ndata: {", b"x" * 60),
        mostly(b"}\n\n", b"}\r\n\r\n", b"}\n", b"}\r\r", b"\n\n", b"}\nid: 8\n\n", b"}\n\n\n", b""),
    ).map(b"".join),
    max_size=8,
).map(b"".join)
numbered = st.lists(
    st.tuples(
        mostly(
            b"event: chunk\n", b"event: start\n", b"event: \n", b": hb\n\nevent: chunk\n", b"event: \xff\n"
        ),
        mostly(
            b"data: [1]\n",
            b"data: {}\n",
            b"data: \n",
            b"data: \xff\0\n",
            b"data: 1\ndata: 2\n",
            b"data: \r\n",
        ),
        mostly(
            b"id: 7-0\n\n",
            b"id: \n\n",
            b"id: \0\n\n",
            b"\n",
            b"id: 1\nid: 2\n\n",
            b"id: 1\nretry: 2\n\n",
            b"id: 3",
        ),
    ).map(b"".join),
    max_size=8,
).map(b"".join)
with_crlf = numbered.map(lambda stream: stream.replace(b"\n", b"\r\n"))
sse_streams = st.one_of(
    sse_streams, sse_streams.map(lambda x: x.replace(b"\n", b"\r\n")), numbered, with_crlf
)


def state_of(decoder: SSEDecoder) -> tuple[Any, ...]:
    error = None if decoder.error is None else str(decoder.error)
    return error, decoder.last_event_id, decoder.retry, decoder.comments, decoder.incomplete


@many
@given(st.data(), sse_streams, st.sampled_from([40, 100, 1 << 20]))
@example(None, b"event: chunk\ndata: {}\n\n" * 3, 1 << 20)
def test_rows_of_events_are_those_events(data: st.DataObject | None, stream: bytes, limit: int) -> None:
    slow, fast, apart = (SSEDecoder(max_event_bytes=limit) for _ in range(3))
    for piece in [stream] if data is None else data.draw(cuts(stream)):
        if slow.error:
            break
        expected = slow.feed(piece)
        found: list[ServerSentEvent] = []
        line = fast.peek_event(b"event: chunk", piece)
        if line is not None:
            found.append(ServerSentEvent("chunk", line.decode("utf-8", "replace"), fast.last_event_id))
        for part in fast.feed_rows(piece) if line is None else ():
            found += part.apart() if isinstance(part, EventRow) else [part]
        assert expected == found == apart.feed_apart(piece)
        assert state_of(slow) == state_of(fast) == state_of(apart)


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_an_event_written_by_itself_is_one_line(end: str) -> None:
    event = end.join(["event: chunk", 'data: {"a": 1}', "", ""]).encode()
    assert b'{"a": 1}' == SSEDecoder().peek_event(b"event: chunk", event)
    others = [event[:-1], event + b"\n", event * 2, b"\n" + event, event.replace(b"data", b"dato")]
    for other in [*others, event.removesuffix(end.encode()) + b"id: 1\n"]:
        assert SSEDecoder().peek_event(b"event: chunk", other) is None


@pytest.mark.parametrize("before", [b"id: 7\n", b"data: x", b"event: chunk\ndata: {}\r\r", b"\xef\xbb"])
def test_an_event_with_a_beginning_before_it_is_not_by_itself(before: bytes) -> None:
    decoder = SSEDecoder()
    decoder.feed(before)
    assert decoder.peek_event(b"event: chunk", b"event: chunk\ndata: {}\n\n") is None


def test_an_event_over_the_limit_is_left_to_the_long_way() -> None:
    assert SSEDecoder(max_event_bytes=10).peek_event(b"event: chunk", b"event: chunk\ndata: {}\n\n") is None


def test_a_mark_behind_an_event_is_no_byte_order_mark() -> None:
    decoder = SSEDecoder()
    assert decoder.peek_event(b"event: chunk", b"event: chunk\ndata: {}\n\n") == b"{}"
    assert [] == decoder.feed(b"\xef\xbb\xbfdata: x\n\n")


def test_a_burst_of_events_is_a_row() -> None:
    start, chunks = b'event: start\ndata: {"a":1}\n\n', b"event: chunk\ndata: {}\n\n" * 5
    first, second, *rest = SSEDecoder().feed_rows(start + chunks + b"event: done\ndata: {}\n\n")
    assert EventRow(b"start", b'{"a":1}', 1, "") == first
    assert EventRow(b"chunk", b"\n".join([b"{}"] * 5), 5, "") == second
    assert ["done"] == [event.event for event in rest]


# Newline-delimited JSON

ndjson_streams = st.lists(
    st.tuples(
        mostly(b'{"type": "chunk", ', b'{"type": "start"', b'{"a": 1, ', b"[", b"", b" {", b"\xef\xbb\xbf{"),
        mostly(b'"content": "x"', b'"content": {}', b'"a": 1}\n{"type": "chunk", "b":', b"?", b"x" * 60),
        mostly(b"}", b"} ", b"]", b"}{}", b""),
        mostly(b"\n", b"\r\n", b"\n\n", b""),
    ).map(b"".join),
    max_size=8,
).map(b"".join)


def values_of(decoder: NDJSONDecoder, piece: bytes) -> list[Any]:
    values: list[Any] = []
    for part in decoder.feed_rows(piece):
        values += decoder.feed(part.lines + b"\n") if isinstance(part, LineRow) else part
    return values


@many
@given(st.data(), ndjson_streams, st.sampled_from([40, 100, 1 << 20]))
def test_rows_of_lines_are_those_lines(data: st.DataObject, stream: bytes, limit: int) -> None:
    slow, fast = NDJSONDecoder(max_line_bytes=limit), NDJSONDecoder(max_line_bytes=limit)
    for piece in data.draw(cuts(stream)):
        if slow.error:
            break
        assert slow.feed(piece) == values_of(fast, piece)
        assert (str(slow.error), slow.lines) == (str(fast.error), fast.lines)


def test_a_burst_of_lines_is_a_row() -> None:
    start, chunks = b'{"type":"start"}\n', b'{"type":"chunk","content":1}\n' * 5
    first, second, rest = NDJSONDecoder().feed_rows(start + chunks + b'{"type":"done"}\n')
    assert LineRow(start[:-1], 1) == first
    assert LineRow(chunks[:-1], 5) == second
    assert [{"type": "done"}] == rest


# WebSocket

heads = st.tuples(
    st.one_of(*[st.just(0x81)] * 8, st.sampled_from([0x01, 0x80, 0x82, 0x89, 0x8A, 0x88, 0xC1, 0x83, 0x00])),
    mostly(b"", b"\x80"),
    st.sampled_from([0, 1, 5, 125, 126, 300, 70_000]),
    mostly(b"x", b"\xff", b"\xc3\xa9"),
)


def as_frame(first: int, mask: bytes, length: int, letter: bytes) -> bytes:
    payload = (letter * length)[:length]
    whole = bytearray(frame(payload, first & 0x0F, fin=bool(first & 0x80)))
    whole[0] = first
    if mask:
        whole[1] |= 0x80
    return bytes(whole)


def outcome(connection: WebSocketConnection) -> tuple[Any, ...]:
    error = None if connection.error is None else (type(connection.error), str(connection.error))
    return error, connection.close_code, connection.close_reason, connection.pings, connection.data_to_send()


class _LongWay(websocket._Core):
    between_messages = False  # as if a message were under way, always


@patch("websockets.frames.secrets.token_bytes", bytes)  # a mask of zeros, or no two answers are equal
@many
@given(st.data(), st.lists(heads, max_size=6), st.sampled_from([4, 200, 1 << 20]))
def test_plain_frames_are_what_the_core_makes_of_them(data: st.DataObject, parts: Any, limit: int) -> None:
    stream = b"".join(as_frame(*part) for part in parts)
    stream = stream[: data.draw(st.integers(len(stream) // 2, len(stream)))] or stream
    slow = WebSocketConnection(max_message_bytes=limit)
    slow._core = _LongWay(limit)
    fast = WebSocketConnection(max_message_bytes=limit)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    if len(stream) < 500 and data.draw(st.booleans()):
        places = list(range(len(stream)))
    for start, end in itertools.pairwise([0, *sorted(places), len(stream)]):
        if start == end:
            continue
        assert slow.receive_data(stream[start:end]) == fast.receive_data(stream[start:end])
        assert outcome(slow) == outcome(fast)
    slow.receive_eof()
    fast.receive_eof()
    assert outcome(slow) == outcome(fast)


def test_plain_frames_do_not_reach_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    receive = websocket._Core.receive_data

    def spy(core: Any, data: bytes) -> None:
        seen.append(data)
        receive(core, data)

    monkeypatch.setattr(websocket._Core, "receive_data", spy)
    connection = WebSocketConnection()
    stream = frame(b"a") + frame(b"b" * 200) + frame(b"", 9) + frame(b"c")
    stream += frame(b"\x03\xe8", 8)
    for start in range(0, len(stream), 50):
        connection.receive_data(stream[start : start + 50])
    assert [frame(b"\x03\xe8", 8)] == seen
