"""The chunked transport without sockets: NDJSON and plain text, docs/wire.md sections 3 and 5."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import Any

import pytest

from runagent import (
    Chunk,
    Completed,
    ProtocolError,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
)
from runagent._call import ResumePoint
from runagent.transports import json_decoder
from tests.support.peer import chunked, http, ndjson
from tests.support.sessions import Seen, feed, open_session
from tests.support.small_stack import on_a_small_stack

START, DONE = {"type": "start"}, {"type": "done"}
SMILE = "\N{GRINNING FACE}"


@pytest.fixture(params=[1, 5, 1 << 30], ids=["byte by byte", "by fives", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def run(answer: bytes, step: int = 1 << 30, *, eof: bool = True, **fields: Any) -> Seen:
    return feed(open_session("chunked", **fields), answer, step=step, eof=eof)


def chunk(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "chunk", "content": content, **fields}


def text(*pieces: bytes, content_type: str = "text/plain", end: bool = True) -> bytes:
    return chunked(content_type, *pieces, end=end)


def test_the_request() -> None:
    head, _, body = run(b"", eof=False).request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/agents/a/stream HTTP/1.1\r\n")
    assert b"\r\nAccept: application/x-ndjson, text/plain;q=0.5\r\n" in head
    assert {"query": "x"} == json.loads(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "Application/X-NDJSON; charset=utf-8",
    ],
)
def test_ndjson(content_type: str, step: int) -> None:
    lines = [
        {"type": "start", "message": "hi", "session_id": "s"},
        chunk("a\u2028b\n", index=0),
        chunk({"n": 1}, index=1),
        {"type": "done", "message": "bye", "usage": {"total_tokens": 3}, "execution_time": 1},
    ]
    answer = chunked(content_type, *(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines))
    assert [
        Started(message="hi", session_id="s"),
        Chunk("a\u2028b\n", 0),
        Chunk({"n": 1}, 1),
        Completed(message="bye", usage={"total_tokens": 3}, execution_time=1),
    ] == run(answer, step).events


def test_the_published_servers_messages_are_understood(step: int) -> None:
    wrapped = json.dumps({"type": "string", "payload": json.dumps("wörld")})
    answer = ndjson(
        {"type": "status", "status": "stream_started", "invocation_id": "i"},
        {"type": "data", "content": wrapped},
        {"type": "status", "status": "stream_completed", "total_chunks": 1, "execution_time": 0.5},
    )
    seen = run(answer, step)
    assert [
        Started(invocation_id="i"),
        Chunk("wörld"),
        Completed(execution_time=0.5, total_chunks=1),
    ] == seen.events
    assert "i" == seen.session.request_id


@pytest.mark.parametrize(
    ("lines", "contents", "ignored"),
    [
        ([{"type": "progress"}, chunk("x"), DONE], ["x"], {"unknown message 'progress'": 1}),
        ([{"content": "x"}, DONE], [], {"unknown message 'None'": 1}),
        (
            [{"type": 5}, {"type": "status", "status": "odd"}, DONE],
            [],
            {"unknown message '5'": 1, "unknown status 'odd'": 1},
        ),
        ([START, chunk("x"), START, DONE], ["x"], {"another start": 1}),
        ([chunk("x", index="0"), DONE], ["x"], {"index of the wrong type": 1}),
        ([chunk(None), DONE], [None], {}),
        ([b"\n", b"\r\n", chunk("x"), b"  \n", DONE], ["x"], {}),
        ([chunk("x"), DONE, chunk("late"), b"not JSON\n"], ["x"], {}),
        ([b"\xef\xbb\xbf", chunk("x"), DONE], ["x"], {}),
        ([chunk("x"), b'{"type":"done"}'], ["x"], {}),
    ],
)
def test_odd_lines_that_do_no_harm(
    lines: list[Any], contents: list[Any], ignored: dict[str, int], step: int
) -> None:
    seen = run(ndjson(*lines), step)
    assert (contents, ignored, None) == (seen.contents, seen.session.ignored, seen.error)
    assert isinstance(seen.events[-1], Completed)


@pytest.mark.parametrize(
    "bad",
    [
        b"{oops\n",
        b"[1]\n",
        b"5\n",
        b'"text"\n',
        b'{"type":"chunk"}\n',
        b'{"type":"data"}\n',
        b'{"type":"chunk","content":"\xff"}\n',
        b'{"type":"chunk","content":1} {}\n',
    ],
)
def test_a_bad_line_is_a_protocol_error_behind_the_good_ones(bad: bytes, step: int) -> None:
    seen = run(ndjson(chunk("good"), bad, chunk("never"), DONE), step)
    assert ([Chunk("good")], ProtocolError) == (seen.events, type(seen.error))


def test_a_bad_payload_is_quoted(step: int) -> None:
    seen = run(ndjson({"type": "data", "content": '{"type": "string", "payload": "oops"}'}), step)
    assert type(seen.error) is ProtocolError
    assert "oops" in str(seen.error)


def test_an_error_line(step: int) -> None:
    seen = run(ndjson(chunk("x"), {"type": "error", "error": "boom", "code": "C", "retry_after": 2}), step)
    assert ([Chunk("x")], StreamError) == (seen.events, type(seen.error))
    assert ("boom", "C", 2) == (seen.error.message, seen.error.code, seen.error.retry_after)


@pytest.mark.parametrize(
    "answer",
    [
        ndjson(chunk("x")),
        ndjson(chunk("x"), end=False),
        ndjson(chunk("x"), b'{"type":"do'),
        http(200, b'{"type":"chunk","content":"x"}\n', content_type="application/jsonl"),
        b'HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\n\r\n{"type":"chunk","content":"x"}\n',
    ],
)
def test_an_end_without_done_is_truncated(answer: bytes, step: int) -> None:
    seen = run(answer, step)
    assert ([Chunk("x")], StreamTruncatedError) == (seen.events, type(seen.error))


def test_a_resumed_stream_must_prove_its_place(step: int) -> None:
    point = ResumePoint(1, proof="index")
    assert ["y"] == run(ndjson(chunk("y", index=1), DONE), step, resume=point).contents
    assert isinstance(run(ndjson(chunk("x", index=0), DONE), step, resume=point).error, StreamError)
    assert isinstance(run(text(b"y"), step, resume=point).error, ProtocolError)


@pytest.mark.parametrize("size", [100, 101])
def test_a_line_has_a_limit(size: int, step: int) -> None:
    line = json.dumps(chunk("")).encode()
    padded = json.dumps(chunk("x" * (size - len(line)))).encode() + b"\n"
    seen = run(ndjson(padded, DONE), step, limits={"max_event_bytes": 100})
    assert (None if size == 100 else StreamLimitError) == (seen.error and type(seen.error))


# Plain text


@pytest.mark.parametrize(
    ("content_type", "data", "whole"),
    [
        ("text/plain", f"Straße {SMILE}".encode(), f"Straße {SMILE}"),
        ("text/plain; charset=UTF-8", f"Straße {SMILE}".encode(), f"Straße {SMILE}"),
        ('text/plain;charset="iso-8859-1"', b"Stra\xdfe", "Straße"),
        ("text/plain; format=flowed; charset=utf-16", SMILE.encode("utf-16"), SMILE),
        ("text/plain", b"a\xff\xf0\x9f", "a\ufffd\ufffd"),
        ("text/plain", b"{}\r\n\n", "{}\r\n\n"),
    ],
)
def test_text_comes_whole_and_never_half_a_character(
    content_type: str, data: bytes, whole: str, step: int
) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]
    seen = run(text(*pieces, content_type=content_type), step)
    assert (whole, Started(), Completed()) == ("".join(seen.contents), seen.events[0], seen.events[-1])
    assert "" not in seen.contents


def test_text_is_delivered_as_it_arrives() -> None:
    session = open_session("chunked")
    feed(session, text(end=False))
    assert [Started(), Chunk("a")] == session.receive_data(b"1\r\na\r\n")
    assert [Chunk("b")] == session.receive_data(b"1\r\nb\r\n")


def test_an_empty_text_is_a_good_end(step: int) -> None:
    assert [Completed()] == run(text(), step).events
    assert [Completed()] == run(http(200, content_type="text/plain"), step).events


@pytest.mark.parametrize(
    "answer",
    [
        text(b"abc", end=False),
        text(b"abc", end=False) + b"0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nabc",
    ],
)
def test_a_text_that_http_does_not_end_is_truncated(answer: bytes, step: int) -> None:
    seen = run(answer, step)
    assert ("abc", StreamTruncatedError) == ("".join(seen.contents), type(seen.error))


def test_an_end_by_closing_is_not_proven(step: int) -> None:
    seen = run(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc", step)
    assert ("abc", Completed(proven=False)) == ("".join(seen.contents), seen.events[-1])
    assert not seen.session.reusable


def test_an_unknown_charset_is_named(step: int) -> None:
    seen = run(text(b"abc", content_type="text/plain; charset=klingon"), step)
    assert type(seen.error) is ProtocolError
    assert "klingon" in str(seen.error)


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/event-stream", "application/json", "application/json-seq", ""]
)
def test_any_other_content_type_is_named_and_the_body_quoted(content_type: str, step: int) -> None:
    seen = run(http(200, "<hello>", content_type=content_type), step)
    assert ([], ProtocolError, False) == (seen.events, type(seen.error), seen.session.unsupported)
    assert (content_type or "of no stated type") in str(seen.error)
    assert '"<' in str(seen.error)
    assert "application/x-ndjson" in str(seen.error)


def cannot_be_decoded(depth: int) -> bool:
    try:
        json_decoder().decode(b"[" * depth + b"]" * depth)
    except RecursionError:
        return True
    return False


@pytest.mark.parametrize(
    "line", [b"%b", b'{"type":%b}', b'{"type":"chunk","x":%b}', b'{"type":"status","status":%b}']
)
@on_a_small_stack
def test_what_is_nested_as_deeply_as_can_be_decoded_is_no_more_than_an_error(line: bytes) -> None:
    """Writing a value takes as deep a stack as reading it did: no RecursionError comes out, at any depth."""
    limit = bisect_left(range(100_000), True, key=cannot_be_decoded)
    assert 900 < limit < 100_000
    for depth in range(limit - 90, limit + 10):
        feed(open_session("chunked"), ndjson(line % (b"[" * depth + b"]" * depth) + b"\n"), eof=True)


def test_kinds_of_messages_that_a_peer_makes_up_are_counted_up_to_a_bound() -> None:
    seen = feed(
        open_session("chunked"), ndjson(*({"type": f"new-{n}"} for n in range(1000)), chunk("x"), DONE)
    )
    assert seen.contents == ["x"]
    assert len(seen.session.ignored) <= 51
    assert sum(seen.session.ignored.values()) == 1000


@pytest.mark.parametrize(
    ("parameters", "decoded"),
    [
        ("", "ß"),
        ("; charset=iso-8859-1", "Ã\x9f"),
        (';charset="ISO-8859-1"', "Ã\x9f"),
        ('; CharSet = "iso-8859\\-1" ; x=y', "Ã\x9f"),
        ('; x="a;charset=utf-16"; charset=iso-8859-1', "Ã\x9f"),
        ('; x="\\";charset=utf-16"', "ß"),
        ("; charset=iso-8859-1; charset=utf-16", "Ã\x9f"),
        ("; charset", "ß"),
        ("; charset=", "ß"),
        ("; xcharset=utf-16", "ß"),
    ],
)
def test_the_charset_is_a_parameter(parameters: str, decoded: str) -> None:
    seen = run(text("ß".encode(), content_type=f"text/plain{parameters}"))
    assert seen.contents == [decoded]
