"""A row of messages decoded in one call gives what the same messages give one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent._call import ResumePoint
from runagent.transports import _chunks as chunks
from runagent.transports import _messages as messages
from tests.support.peer import chunked, http_chunk, message, websocket_frame
from tests.support.sessions import Seen, feed, handshake_answer, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

many = settings(derandomize=True, max_examples=150, database=None)

contents = st.one_of(
    *[st.sampled_from(["a", " word", "wörld", "\N{GRINNING FACE}", "two\nlines", "{", '"'])] * 4,
    st.sampled_from([1, None, {"a": "b"}, ["x"], 1.5, "\ud83d", "\ude00", "{}", '{"type": "x"}', "}\n{"]),
)
# What is replaced by what in one of the messages; N is its number.
oddities = st.sampled_from(
    [
        ("N", "N.0"),
        ("N", "true"),
        ("N", '"0"'),
        ("N", "N7"),
        ("}", ', "more": "\\x"}'),
        ("}", ', "more": 1}'),
        ("}", ', "content": "again"}'),
        ("}", "}{}"),
        ("}", '} {"content": "b"}'),
        ("}", ""),
        ('"content"', '"cont\\u0065nt"'),
        ('"content"', '"other"'),
        ("{", "\t{ "),
    ]
)


def chunk_text(kind: str | None, content: Any, index: int | None) -> str:
    fields = ({} if kind is None else {"type": kind}) | {"content": content}
    return json.dumps(fields | ({} if index is None else {"index": index}), ensure_ascii=True)


@st.composite
def message_texts(draw: Any, kind: str | None, content: st.SearchStrategy[Any]) -> list[str]:
    """Write chunks as they mostly are, with or without an index, and perhaps one of them with an oddity."""
    counted = draw(st.booleans())
    texts = [
        chunk_text(kind, each, number if counted else None)
        for number, each in enumerate(draw(st.lists(content, max_size=8)))
    ]
    if texts and draw(st.booleans()):
        place = draw(st.integers(0, len(texts) - 1))
        old, new = (text.replace("N", str(place)) for text in draw(oddities))
        texts[place] = texts[place].replace(old, new)
    return texts


def outcome(seen: Seen) -> Any:
    error = seen.session.error
    shown = None if error is None else (type(error), str(error), error.code)
    # As text, because NaN is not equal to itself.
    return repr(seen.events), shown, seen.session.ignored, seen.session.resume_point, seen.session.wants


def both_ways(run: Callable[[], Seen]) -> None:
    in_rows = patch.object(messages.MessageReader, "take_one", lambda *_: None)
    with in_rows, patch.object(chunks, "decode_row", lambda *_: None):
        expected = outcome(run())
    with in_rows:
        assert expected == outcome(run())
    assert expected == outcome(run())


resumes = st.sampled_from(
    [None, None, ResumePoint(0, "", proof="index"), ResumePoint(3, "x", proof="index"), ResumePoint(0, "")]
)


@many
@given(message_texts(None, contents), st.sampled_from([20, 60, 1 << 20]), resumes)
def test_over_sse(texts: list[str], step: int, resume: ResumePoint | None) -> None:
    body = "".join(f"event: chunk\ndata: {text}\n\n" for text in texts) + "event: done\ndata: {}\n\n"
    answer = chunked("text/event-stream", body.encode())
    both_ways(lambda: feed(open_session("sse", resume=resume), answer, step=step, eof=True))


between_events = st.sampled_from([b""] * 6 + [b"id: 7\n", b": hb\n\n", b"retry: 5\n", b"event: x\n\n", b"\n"])


@many
@given(st.data(), message_texts(None, contents), resumes)
def test_over_sse_one_event_in_each_read(
    data: st.DataObject, texts: list[str], resume: ResumePoint | None
) -> None:
    events = [data.draw(between_events) + f"event: chunk\ndata: {text}\n\n".encode() for text in texts]
    events.append(b"event: done\ndata: {}\n\n")
    pieces = [chunked("text/event-stream", end=False), *map(http_chunk, events)]
    both_ways(lambda: feed(open_session("sse", resume=resume), pieces, eof=True))


odd_reads = [
    http_chunk(b'event: chunk\ndata: {"content":\n "b", "index": 1}\n\n'),
    http_chunk(b'event: chunk\ndata: {"content":\r "b", "index": 1}\n\n'),
    http_chunk(b'event: chunk\ndata: {"content": "b"\n\n, "index": 1}\n\n'),
    http_chunk(b'event: chunk\ndata: {"content": "b", "index": 1}\n'),
    http_chunk(b'event: chunk\ndata: {"content": "b", "index": 1}\r\n\r\n'),
    http_chunk(b'event: chunk\ndata:  {"content": "b", "index": 1} \n\n'),
    http_chunk(b'event: chunk\ndata: {"content": "b\xff", "index": 1}\n\n'),
    http_chunk(b'event: chunk\ndata: {"content": "b", "index": 1}\n\n') * 2,
    http_chunk(b'event: chunk\ndata: {"content": "b", "index": 1}\n\n').replace(b"\r\n", b";a=b\r\n", 1),
    http_chunk(b'event: chunk\ndata: {"content": "b", "index": 1}\n\n').upper(),
    http_chunk(b'event: done\ndata: {"content": "b", "index": 1}\n\n'),
    http_chunk(b'event: chunk\ndata: {"content": "%s", "index": 1}\n\n' % (b"b" * 2000)),
    b'event: chunk\ndata: {"content": "b", "index": 1}\n\n',
]


@pytest.mark.parametrize("odd", odd_reads)
def test_over_sse_an_odd_read_among_single_events(odd: bytes) -> None:
    first, last = (
        http_chunk(b'event: chunk\ndata: {"content": "a", "index": %d}\n\n' % each) for each in (0, 2)
    )
    head = chunked("text/event-stream", end=False)
    both_ways(lambda: feed(open_session("sse"), [head, first, odd, last, first], eof=True))


@pytest.mark.parametrize(
    "between", [b"id: 7\n\n", b"id: 7\n\nid\n\n", b": heartbeat\n\n", b"\n", b"retry: 5\n\n"]
)
def test_over_sse_a_read_without_an_event_among_single_events(between: bytes) -> None:
    event = http_chunk(b'event: chunk\ndata: {"content": "a"}\n\n')
    head, odd = chunked("text/event-stream", end=False), http_chunk(between)
    both_ways(lambda: feed(open_session("sse"), [head, event, odd, event, odd, odd, event]))


def test_over_sse_single_events_after_the_end() -> None:
    event = http_chunk(b'event: chunk\ndata: {"content": "a"}\n\n')
    head, done = chunked("text/event-stream", end=False), http_chunk(b"event: done\ndata: {}\n\n")
    both_ways(lambda: feed(open_session("sse"), [head, event, event, done, event], eof=True))


def test_over_sse_single_events_larger_than_the_limit() -> None:
    event = http_chunk(b'event: chunk\ndata: {"content": "%s"}\n\n' % (b"a" * 100))
    limits = {"max_event_bytes": 80}
    small = http_chunk(b'event: chunk\ndata: {"content": "a"}\n\n')
    pieces = [chunked("text/event-stream", end=False), small, small, event]
    both_ways(lambda: feed(open_session("sse", limits=limits), pieces))


@pytest.mark.parametrize("index", ["1.0", "true", "null", '"1"', "2", "0"])
def test_over_sse_an_index_that_is_not_the_next(index: str) -> None:
    texts = [f'{{"content": "a", "index": {each}}}' for each in ("0", index, "1")]
    pieces = [http_chunk(f"event: chunk\ndata: {text}\n\n".encode()) for text in texts]
    both_ways(lambda: feed(open_session("sse"), [chunked("text/event-stream", end=False), *pieces], eof=True))


@many
@given(message_texts("chunk", contents), st.sampled_from([20, 60, 1 << 20]), resumes)
def test_over_chunked_http(texts: list[str], step: int, resume: ResumePoint | None) -> None:
    body = "".join(f"{text}\n" for text in ['{"type":"start"}', *texts, '{"type":"done"}'])
    answer = chunked("application/x-ndjson", body.encode())
    both_ways(lambda: feed(open_session("chunked", resume=resume), answer, step=step, eof=True))


def wrapped(kind: str, payload: Any) -> str:
    return json.dumps({"type": kind, "payload": payload})


wrappings = st.one_of(
    *[contents.map(lambda content: wrapped("string", json.dumps(content)))] * 4,
    st.sampled_from(
        [
            wrapped("string", "1"),
            wrapped("string", '"a" "b"'),
            wrapped("string", '"'),
            wrapped("string", ""),
            wrapped("string", ' "a"'),
            wrapped("integer", "1"),
            wrapped("number", "null"),
            wrapped("string", None),
            wrapped("string", '"\\ud83d"'),
            wrapped("else", '"a"'),
            '{"type": "string", "payload": "\\"a\\"", "more": 1}',
            '{"payload": "\\"a\\"", "type": "string"}',
            '{"type": "string"}',
            wrapped("string", '"a"') * 2,
            "plain",
        ]
    ),
)


@pytest.mark.parametrize("content", [contents, wrappings], ids=["plain", "wrapped"])
@many
@given(data=st.data(), step=st.sampled_from([20, 60, 1 << 20]))
def test_over_a_websocket(content: Any, data: st.DataObject, step: int) -> None:
    start, end = ({"type": "status", "status": f"stream_{word}"} for word in ("started", "completed"))
    texts = data.draw(message_texts("data", content))
    encoded = [text.encode() for text in texts]
    if encoded:
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place] = encoded[place].replace(b'": "', b'": "\xff', data.draw(st.sampled_from([0, 0, 1])))
    frames = [message(start), *map(websocket_frame, encoded), message(end)]
    both_ways(
        lambda: feed(open_session("websocket"), lambda request: handshake_answer(request, *frames), step=step)
    )
